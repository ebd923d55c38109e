"use strict";
// The report's charts: plain SVG, drawn from the JSON in the page; no library, no network.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const hidden = new Set();
const DASH = { solid: "", dashed: "7 4", dashdot: "8 3 2 3", dotted: "2 3" };
const byId = (id) => document.getElementById(id);
const colour = (name) => (data.looks[name].ink ? "var(--ink)" : data.looks[name].colour);
const percent = (v) => {
  if (v < 1 && v >= 0.9995) return v >= 0.99995 ? "> 99.99" : (100 * v).toFixed(2);
  return (100 * v).toFixed(1);
};
// Of a fit: converged, not converged, not begun
const SIGNS = ["", "*", "~"];
const STATES = ["", "; the fit had not converged: a lower bound", "; the attack had not begun to fit"];
const count = (q) => q.toLocaleString("en-US");

function svg(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

function html(name, parent, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  if (parent) parent.appendChild(node);
  return node;
}

// Paths around (0, 0) of about equal area
const MARKS = {
  o: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z", s: "M-3.6,-3.6h7.2v7.2h-7.2Z",
  "^": "M0,-4.6L4.4,3.4H-4.4Z", v: "M0,4.6L4.4,-3.4H-4.4Z", D: "M0,-5L5,0L0,5L-5,0Z",
  "<": "M-4.6,0L3.4,-4.4V4.4Z", ">": "M4.6,0L-3.4,-4.4V4.4Z",
  P: "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
};

function mark(parent, name, x, y, hollow, size = 1) {
  return svg("path", {
    d: MARKS[data.looks[name].marker], transform: `translate(${x},${y}) scale(${size})`,
    fill: hollow ? "var(--paper)" : colour(name), stroke: colour(name), "stroke-width": 1.4,
  }, parent);
}

// A drawing area of the container's own width, so that text keeps its size.
function area(box, height) {
  box.replaceChildren();
  const width = Math.max(box.clientWidth, 320);
  const frame = { left: 74, right: width - 18, top: 12, bottom: height - 46 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" }, box);
  return { root, width, height, ...frame };
}

function linear(from, to, start, end) {
  const scale = (v) => start + ((v - from) / (to - from || 1)) * (end - start);
  const rough = (to - from || 1) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9 * step; k++) ticks.push(k * step);
  return { scale, ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function yAxis(a, y, label) {
  for (const t of y.ticks) {
    svg("line", { class: "grid", x1: a.left, x2: a.right, y1: y.scale(t), y2: y.scale(t) }, a.root);
    svg("text", { class: "axis", x: a.left - 8, y: y.scale(t) + 4, "text-anchor": "end" }, a.root, t.toFixed(y.digits));
  }
  svg("text", { x: 14, y: (a.top + a.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(a.top + a.bottom) / 2})` }, a.root, label);
  svg("path", { class: "frame", d: `M${a.left},${a.top}V${a.bottom}H${a.right}` }, a.root);
}

function xLabel(a, text) {
  svg("text", { x: (a.left + a.right) / 2, y: a.height - 8, "text-anchor": "middle" }, a.root, text);
}

function xTick(a, at, text) {
  svg("line", { class: "frame", x1: at, x2: at, y1: a.bottom, y2: a.bottom + 5 }, a.root);
  svg("text", { class: "axis", x: at, y: a.bottom + 19, "text-anchor": "middle" }, a.root, text);
}

function showTip(event, fill) {
  tip.replaceChildren();
  fill(tip);
  tip.hidden = false;
  const right = event.pageX + 18 + tip.offsetWidth > window.scrollX + document.documentElement.clientWidth;
  tip.style.left = `${right ? Math.max(4, event.pageX - tip.offsetWidth - 18) : event.pageX + 18}px`;
  tip.style.top = `${event.pageY + 14}px`;
}

const interval = (p) => (p[1] === null ? percent(p[0]) : `${percent(p[0])} [${percent(p[1])}, ${percent(p[2])}]`);

// ---- fidelity against queries ------------------------------------------------------------
function drawCurves() {
  const setting = data.settings[+byId("curves-setting").value], metric = byId("curves-metric").value;
  const attack = byId("curves-attack").value, x0 = setting.checkpoints;
  const lines = setting.curves.filter((c) => c.attack === attack && c.metrics[metric] && !hidden.has(c.defense));
  const a = area(byId("curves-chart"), 420);
  const ends = lines.flatMap((c) => c.metrics[metric].flatMap((p) => p.slice(0, 3))).filter((v) => v !== null);
  const whole = byId("curves-whole").checked || !ends.length;
  const low = whole ? 0 : 100 * Math.min(...ends), high = whole ? 100 : 100 * Math.max(...ends);
  const pad = Math.max(0.04 * (high - low), 0.05);
  const y = linear(low - pad, high + pad, a.bottom, a.top);
  y.ticks = y.ticks.filter((t) => t >= 0 && t <= 100);
  const log = linear(Math.log(x0[0]), Math.log(x0[x0.length - 1]), a.left + 14, a.right - 10);
  const x = (q) => log.scale(Math.log(q));
  const label = data.metrics.find((m) => m.key === metric).label;
  yAxis(a, y, `${label} (%)`);
  xLabel(a, "queries (log scale)");
  let last = Infinity;
  for (const q of [...x0].reverse()) {
    const need = 4 * (count(q).length + 2) + 12;
    if (last - x(q) >= need) { xTick(a, x(q), count(q)); last = x(q); }
  }
  for (const c of lines) drawLine(a, c, c.metrics[metric], x0, x, (v) => y.scale(100 * v));
  follow(a, lines, metric, x0, x);
}

function drawLine(a, curve, points, x0, x, y) {
  const group = svg("g", { "data-defense": curve.defense }, a.root);
  const known = points.map((p, i) => [x(x0[i]), p]).filter(([, p]) => p[0] !== null);
  if (known.length > 1 && known.every(([, p]) => p[1] !== null)) {
    const up = known.map(([at, p]) => `${at},${y(p[2])}`), down = known.map(([at, p]) => `${at},${y(p[1])}`).reverse();
    svg("polygon", { class: "band", points: [...up, ...down].join(" "), fill: colour(curve.defense), opacity: 0.13 }, group);
  }
  const path = known.map(([at, p], i) => `${i ? "L" : "M"}${at},${y(p[0])}`).join("");
  svg("path", { class: "line", d: path, fill: "none", stroke: colour(curve.defense), "stroke-width": 2, "stroke-dasharray": DASH[data.looks[curve.defense].dash] }, group);
  for (const [at, p] of known) mark(group, curve.defense, at, y(p[0]), p[3]);
}

function follow(a, lines, metric, x0, x) {
  const rule = svg("line", { class: "frame", y1: a.top, y2: a.bottom, "stroke-dasharray": "3 3", visibility: "hidden" }, a.root);
  const glass = svg("rect", { x: a.left, y: a.top, width: a.right - a.left, height: a.bottom - a.top, fill: "transparent" }, a.root);
  glass.addEventListener("mousemove", (event) => {
    const at = (event.offsetX / a.root.clientWidth) * a.width;
    const i = x0.reduce((best, q, k) => (Math.abs(x(q) - at) < Math.abs(x(x0[best]) - at) ? k : best), 0);
    for (const end of ["x1", "x2"]) rule.setAttribute(end, x(x0[i]));
    rule.setAttribute("visibility", "visible");
    showTip(event, (box) => {
      html("b", box, `${count(x0[i])} queries`);
      const table = html("table", box);
      const there = lines.map((c) => [c, c.metrics[metric][i]]).filter(([, p]) => p[0] !== null);
      for (const [c, p] of there.sort((m, n) => m[1][0] - n[1][0])) {
        const row = html("tr", table);
        html("td", row).appendChild(swatch(c.defense));
        html("td", row, c.defense);
        html("td", row, interval(p) + SIGNS[p[3]]);
        html("td", row, p[4] || "");
      }
    });
  });
  glass.addEventListener("mouseleave", () => { tip.hidden = true; rule.setAttribute("visibility", "hidden"); });
}

function swatch(name) {
  const root = svg("svg", { width: 30, height: 12, "aria-hidden": true });
  svg("line", { x1: 1, x2: 29, y1: 6, y2: 6, stroke: colour(name), "stroke-width": 2, "stroke-dasharray": DASH[data.looks[name].dash] }, root);
  mark(root, name, 15, 6, false);
  return root;
}

function legend(box, names, redraw) {
  box.replaceChildren();
  for (const name of names) {
    const button = html("button", box);
    button.append(swatch(name), name);
    button.setAttribute("aria-pressed", String(!hidden.has(name)));
    button.title = "click: hide or show; shift and click: this one alone";
    button.addEventListener("click", (event) => {
      const alone = names.every((n) => n === name || hidden.has(n));
      if (event.shiftKey) names.forEach((n) => (alone || n === name ? hidden.delete(n) : hidden.add(n)));
      else if (!hidden.delete(name)) hidden.add(name);
      redraw();
    });
    const dim = (on) => document.querySelectorAll("[data-defense]").forEach((g) => g.classList.toggle("dim", on && g.dataset.defense !== name));
    button.addEventListener("mouseenter", () => dim(true));
    button.addEventListener("mouseleave", () => dim(false));
  }
}

// ---- worst case against honest cost ------------------------------------------------------
function drawTradeoff() {
  const setting = data.settings[+byId("tradeoff-setting").value];
  const points = setting.standings.filter((p) => p.cost[0] !== null && !hidden.has(p.defense));
  const a = area(byId("tradeoff-chart"), 400);
  if (!points.length) return;
  const xs = points.flatMap((p) => p.cost.slice(0, 3)).filter((v) => v !== null);
  const ys = points.flatMap((p) => p.test.slice(0, 3)).filter((v) => v !== null).map((v) => 100 * v);
  const wide = Math.max(...xs) || 1, tall = Math.max(...ys) - Math.min(...ys) || 1;
  const x = linear(-0.03 * wide, 1.08 * wide, a.left, a.right);
  const y = linear(Math.min(...ys) - 0.12 * tall, Math.max(...ys) + 0.12 * tall, a.bottom, a.top);
  y.ticks = y.ticks.filter((t) => t <= 100);
  yAxis(a, y, "worst-case fidelity (%)");
  xLabel(a, "honest cost: mean L1 of the answers, a refused query counts 2");
  x.ticks.filter((t) => t >= 0).forEach((t) => xTick(a, x.scale(t), t.toFixed(x.digits)));
  const at = (p) => [x.scale(p.cost[0]), y.scale(100 * p.test[0])];
  const front = points.filter((p) => p.front).sort((p, q) => p.cost[0] - q.cost[0] || p.test[0] - q.test[0]);
  const steps = front.map((p, i) => (i ? `H${at(p)[0]}V${at(p)[1]}` : `M${at(p)}`)).join("");
  svg("path", { class: "frame front", d: steps, "stroke-dasharray": "2 4" }, a.root);
  const taken = points.flatMap((p) => obstacles(p, at(p), x, y));
  for (const p of points) drawPoint(a, p, at(p), x, y);
  for (const p of points) place(a, p.defense, at(p), taken);
}

function drawPoint(a, p, [cx, cy], x, y) {
  const group = svg("g", { "data-defense": p.defense }, a.root);
  const arm = { stroke: colour(p.defense), "stroke-width": 1.2 };
  if (p.cost[1] !== null) svg("line", { ...arm, x1: x.scale(p.cost[1]), x2: x.scale(p.cost[2]), y1: cy, y2: cy }, group);
  if (p.test[1] !== null) svg("line", { ...arm, y1: y.scale(100 * p.test[1]), y2: y.scale(100 * p.test[2]), x1: cx, x2: cx }, group);
  const node = mark(group, p.defense, cx, cy, !p.front, 1.35);
  node.addEventListener("mousemove", (event) => showTip(event, (box) => {
    html("b", box, p.defense);
    html("div", box, `worst case ${interval(p.test)} % by ${p.attack}`);
    html("div", box, `honest cost ${p.cost[0].toPrecision(3)}`);
    html("div", box, [p.front ? "on the front" : "", ...p.marks].filter(Boolean).join("; "));
  }));
  node.addEventListener("mouseleave", () => { tip.hidden = true; });
}

// A point's mark and its two bars, as boxes
function obstacles(p, [cx, cy], x, y) {
  const boxes = [[cx - 8, cy - 8, cx + 8, cy + 8]];
  if (p.cost[1] !== null) boxes.push([x.scale(p.cost[1]), cy - 1, x.scale(p.cost[2]), cy + 1]);
  if (p.test[1] !== null) boxes.push([cx - 1, y.scale(100 * p.test[2]), cx + 1, y.scale(100 * p.test[1])]);
  return boxes;
}

// Put a label where it meets no other; where there is no room, the tip and the legend tell.
function place(a, text, [cx, cy], taken) {
  const node = svg("text", { "data-defense": text, class: "label" }, a.root, text);
  const w = node.getComputedTextLength ? node.getComputedTextLength() : 7 * text.length, h = 13;
  const spots = [];
  for (const d of [11, 24, 38]) {
    const right = cx + 0.8 * d, left = cx - 0.8 * d - w, up = cy - 0.6 * d - h, down = cy + 0.6 * d;
    spots.push([right, cy - h / 2], [right, up], [right, down], [left, cy - h / 2], [left, up], [left, down], [cx - w / 2, cy - d - h], [cx - w / 2, cy + d]);
  }
  const free = spots.find(([l, t]) => l > a.left + 2 && l + w < a.right && t > a.top - 8 && t + h < a.bottom - 2
    && !taken.some((b) => l < b[2] && l + w > b[0] && t < b[3] && t + h > b[1]));
  if (!free) return node.remove();
  taken.push([free[0], free[1], free[0] + w, free[1] + h]);
  node.setAttribute("x", free[0]);
  node.setAttribute("y", free[1] + h - 3);
  return node;
}

// ---- attack by defense -------------------------------------------------------------------
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function shade(v) {
  const at = Math.min(Math.max(v, 0), 1) * (CIVIDIS.length - 1), i = Math.min(Math.floor(at), CIVIDIS.length - 2);
  const rgb = CIVIDIS[i].map((c, k) => Math.round(c + (at - i) * (CIVIDIS[i + 1][k] - c)));
  const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 128;
  return [`rgb(${rgb})`, light ? "#111" : "#fff"];
}

function drawHeat() {
  const setting = data.settings[+byId("heat-setting").value], metric = byId("heat-metric").value;
  const box = byId("heat-chart");
  box.replaceChildren();
  const table = html("table", html("div", box, undefined, "scroll"), undefined, "heat");
  const values = setting.curves.flatMap((c) => (c.attack !== data.worst && c.metrics[metric] ? [c.metrics[metric].at(-1)[0]] : []));
  const floor = Math.floor(10 * Math.min(...values.filter((v) => v !== null), 0.9)) / 10;
  const head = html("tr", html("thead", table));
  html("th", head);
  setting.attacks.forEach((name) => { html("th", head, name).scope = "col"; });
  const body = html("tbody", table);
  for (const defense of setting.defenses) {
    const row = html("tr", body);
    html("th", row, defense).scope = "row";
    const cells = setting.attacks.map((attack) => {
      const curve = setting.curves.find((c) => c.defense === defense && c.attack === attack);
      const points = curve && curve.metrics[metric];
      return points ? points[points.length - 1] : null;
    });
    const known = cells.filter((p) => p && p[0] !== null).map((p) => p[0]);
    const worst = metric.startsWith("tv_") ? Math.min(...known) : Math.max(...known);
    cells.forEach((p, i) => heatCell(row, p, setting.skips[`${defense}|${setting.attacks[i]}`], worst, floor));
  }
  const scale = html("p", box, `${percent(floor)} `, "caption");
  const bar = html("span", scale, undefined, "scale");
  bar.style.background = `linear-gradient(90deg, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => shade(v)[0])})`;
  scale.append(" 100.0 %");
}

function heatCell(row, p, reason, worst, floor) {
  if (!p || p[0] === null) {
    html("td", row, reason ? "n/a" : "\u2013", "none").title = reason || "not run";
    return;
  }
  const cell = html("td", row, percent(p[0]) + SIGNS[p[3]], p[0] === worst ? "worst" : "");
  [cell.style.background, cell.style.color] = shade((p[0] - floor) / (1 - floor));
  cell.title = `${interval(p)}${STATES[p[3]]}`;
}

// ---- page --------------------------------------------------------------------------------
function choices(id, options, redraw) {
  const select = byId(id);
  options.forEach(([value, text]) => { html("option", select, text).value = value; });
  if (options.length < 2) select.closest("label").hidden = true;
  select.addEventListener("change", redraw);
}

function offerAttacks() {
  const select = byId("curves-attack"), before = select.value;
  const names = [data.worst, ...data.settings[+byId("curves-setting").value].attacks];
  select.replaceChildren();
  names.forEach((name) => { html("option", select, name === data.worst ? "worst case" : name).value = name; });
  if (names.includes(before)) select.value = before;
}

function sortable(table) {
  const value = (row, i) => {
    const found = row.cells[i].textContent.replace(/,(?=\d{3})/g, "").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/);
    return found ? +found[0] : -Infinity;
  };
  table.querySelectorAll("th").forEach((th, i) => th.addEventListener("click", () => {
    const down = th.getAttribute("aria-sort") === "ascending";
    const rows = [...table.tBodies[0].rows], numeric = th.classList.contains("n");
    rows.sort((p, q) => (numeric ? value(p, i) - value(q, i) : p.cells[i].textContent.localeCompare(q.cells[i].textContent)));
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...(down ? rows.reverse() : rows));
  }));
}

function drawAll() {
  const names = Object.keys(data.looks);
  offerAttacks();
  legend(byId("curves-legend"), names.filter((n) => data.settings[+byId("curves-setting").value].defenses.includes(n)), drawAll);
  legend(byId("tradeoff-legend"), names.filter((n) => data.settings[+byId("tradeoff-setting").value].defenses.includes(n)), drawAll);
  drawCurves();
  drawTradeoff();
  drawHeat();
}

const settings = data.settings.map((s, i) => [String(i), s.name]);
const metrics = data.metrics.map((m) => [m.key, m.label]);
["curves-setting", "tradeoff-setting", "heat-setting"].forEach((id) => choices(id, settings, drawAll));
["curves-metric", "heat-metric"].forEach((id) => choices(id, metrics, drawAll));
byId("curves-attack").addEventListener("change", drawAll);
byId("curves-whole").addEventListener("change", drawAll);
document.querySelectorAll("table.sortable").forEach(sortable);
let wait;
window.addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(drawAll, 120); });
drawAll();
document.documentElement.dataset.ready = "true";
