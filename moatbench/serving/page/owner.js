"use strict";
// Everything is drawn from /state.json of this server; nothing else is asked.
const SVG = "http://www.w3.org/2000/svg";
let chosen = null;

function made(kind, text, name) {
  const one = document.createElement(kind);
  if (text !== undefined) one.textContent = text;
  if (name) one.className = name;
  return one;
}

function share(value) { return value === null ? "" : (100 * value).toFixed(1) + " %"; }

function row(account) {
  const line = made("tr");
  line.dataset.account = account.id;
  if (account.id === chosen) line.className = "chosen";
  const left = account.left === null ? "" : account.left + " of " + account.budget;
  const alarm = account.alarm === null ? "" : "at query " + account.alarm;
  line.append(
    made("td", account.name + (account.revoked ? " (revoked)" : "")),
    made("td", account.queries, "n"), made("td", account.refused, "n"), made("td", left, "n"),
    made("td", alarm, "alarm"), made("td", account.waits ? account.waits + " s" : "", "n"),
    made("td", account.thief === null ? "" : share(account.thief.fidelity), "n"),
  );
  line.addEventListener("click", () => { chosen = account.id; refresh(); });
  return line;
}

function drawn(kind, attributes, text) {
  const one = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  if (text !== undefined) one.textContent = text;
  return one;
}

function chart(line) {
  const wide = Math.max(300, document.getElementById("scores").clientWidth), high = 190, edge = 24, picture = drawn("svg", { viewBox: `0 0 ${wide} ${high}` });
  const scores = line.points.map((p) => p.score), limit = line.threshold;
  if (!scores.length) {
    picture.append(drawn("text", { x: 10, y: 30 }, "no score yet: it judges after more queries"));
    return picture;
  }
  const all = limit === null ? scores : [...scores, limit];
  const low = Math.min(...all), span = Math.max(...all) - low || 1;
  const first = line.points[0].time, length = line.points[line.points.length - 1].time - first || 1;
  const x = (p) => edge + (wide - 2 * edge) * (p.time - first) / length;
  const y = (score) => high - edge - (high - 2 * edge) * (score - low) / span;
  picture.append(drawn("polyline", { class: "line", points: line.points.map((p) => `${x(p)},${y(p.score)}`).join(" ") }));
  for (const p of line.points) {
    const dot = drawn("circle", { class: "dots", cx: x(p), cy: y(p.score), r: 2.5 });
    dot.append(drawn("title", {}, `query ${p.queries}: ${p.score.toPrecision(4)}`));
    picture.append(dot);
  }
  if (limit !== null) {
    picture.append(drawn("line", { class: "limit", x1: 0, x2: wide, y1: y(limit), y2: y(limit) }));
    picture.append(drawn("text", { x: 6, y: y(limit) - 4 }, `alarm above ${Number(limit.toPrecision(4))}`));
  }
  const when = (t) => new Date(1000 * t).toLocaleTimeString();
  picture.append(drawn("text", { x: edge, y: high - 5 }, when(first)));
  picture.append(drawn("text", { x: wide - edge, y: high - 5, "text-anchor": "end" }, when(first + length)));
  return picture;
}

function show(state) {
  document.getElementById("lead").textContent = state.lead;
  document.getElementById("thief").textContent = state.thief;
  if (chosen === null && state.accounts.length) chosen = state.accounts[0].id;
  document.getElementById("accounts").replaceChildren(...state.accounts.map(row));
  const one = state.accounts.find((a) => a.id === chosen), scores = document.getElementById("scores");
  scores.replaceChildren();
  if (!one) { scores.append(made("p", "No account yet: moatbench-key create name=alice", "caption")); return; }
  if (!one.lines.length) { scores.append(made("p", "This defense has no monitor.", "caption")); return; }
  for (const line of one.lines) {
    scores.append(made("p", `${line.monitor} on ${one.name}: the greatest score of each request`, "caption"), chart(line));
  }
}

async function refresh() {
  const asked = await fetch("state.json");
  if (asked.ok) show(await asked.json());
}

show(JSON.parse(document.getElementById("state").textContent));
setInterval(refresh, 2000);
