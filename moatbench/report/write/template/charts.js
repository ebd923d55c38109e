"use strict";
// The report's charts: plain SVG, drawn from the JSON in the page; no library, no network.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const hidden = new Set();
const DASH = { solid: "", dashed: "7 4", dashdot: "8 3 2 3", dotted: "2 3" };
const byId = (id) => document.getElementById(id);
const shown = (name) => data.names[name] || name;
// Each colour once in a picture; what does not stand out is grey
const strong = (name) => data.looks[name].ink || data.looks[name].colour >= 0;
const colour = (name) => (data.looks[name].ink ? "var(--ink)" : strong(name) ? `var(--c${data.looks[name].colour})` : "var(--faint)");
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

// A drawing area of the container's own width, so that text keeps its size; `room` is for labels.
function area(box, height, room) {
  box.replaceChildren();
  const width = Math.max(box.clientWidth, 280);
  const frame = { left: 46, right: width - room(width), top: 30, bottom: height - 46 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" }, box);
  return { root, width, height, ...frame };
}

const pen = document.createElement("canvas").getContext("2d");

// Pixels of a label
function pixels(text, bold) {
  pen.font = `${bold ? 600 : 400} 12px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

// Several names as one, as many as fit into so many letters
function folded(names, letters) {
  const said = names.map(shown).map((n) => (n.length > letters ? n.replace(/([ (])[\w.]+=/g, "$1") : n));
  for (let k = said.length; k; k--) {
    const text = said.slice(0, k).join(", ") + (k < said.length ? `, +${said.length - k}` : "");
    if (text.length <= letters) return text;
  }
  const more = said.length > 1 ? `, +${said.length - 1}` : "";
  return `${said[0].slice(0, letters - more.length - 2).trimEnd()}..${more}`;
}

function linear(from, to, start, end) {
  const scale = (v) => start + ((v - from) / (to - from || 1)) * (end - start);
  const rough = (to - from || 1) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), ticks = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9 * step; k++) ticks.push(k * step);
  return { scale, ticks, text: (v) => v.toFixed(digits), note: "" };
}

// Shares in %, spaced by the log of what is missing to 100 %: 95, 99 and 99.9 are as far apart.
const NINES = [0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 99.995, 99.999];

function nines(values, start, end) {
  const gaps = values.map((v) => 100 - v), known = gaps.filter((g) => g > 1e-9);
  const least = Math.min(...known, 10), most = Math.max(...known, 10);
  const none = gaps.some((g) => g <= 1e-9);
  const floor = least / (none ? 3 : 1.15), span = Math.log(Math.min(most * 1.1, 100) / floor) || 1;
  const scale = (v) => start + (Math.log(Math.min(most * 1.1, 100) / Math.max(100 - v, floor)) / span) * (end - start);
  const ticks = none ? [100] : [];
  for (const v of [...NINES].reverse()) {
    const inside = 100 - v >= least / 1.15 && 100 - v <= Math.min(most * 1.1, 100);
    if (inside && ticks.every((t) => Math.abs(scale(t) - scale(v)) >= 20)) ticks.push(v);
  }
  return { scale, ticks, text: String, note: ", log of the disagreement", whole: none };
}

// The axis that is chosen; by itself it tells 99 from 99.9 % where half the lines end above 90.
// `ends` in %; none where the log of what is missing to 100 % means nothing.
function wanted(id, ends) {
  const choice = byId(id).value, middle = [...ends].sort((m, n) => m - n)[ends.length >> 1];
  if (!ends.length) return choice === "whole" ? "whole" : "linear";
  return choice === "auto" ? (middle >= 90 ? "log" : "linear") : choice;
}

function percents(kind, values, a) {
  if (kind === "log") return nines(values, a.bottom, a.top);
  const low = kind === "whole" ? 0 : Math.min(...values), high = kind === "whole" ? 100 : Math.max(...values);
  const pad = Math.max(0.04 * (high - low), 0.05);
  const y = linear(low - pad, high + pad, a.bottom, a.top);
  y.ticks = y.ticks.filter((t) => t >= 0 && t <= 100);
  return y;
}

// The title stands above the axis, where no label can be
function yAxis(a, y, label) {
  for (const t of y.ticks) {
    svg("line", { class: "grid", x1: a.left, x2: a.right, y1: y.scale(t), y2: y.scale(t) }, a.root);
    svg("text", { class: "axis", x: a.left - 8, y: y.scale(t) + 4, "text-anchor": "end" }, a.root, y.text(t));
  }
  const title = svg("text", { x: 0, y: 12 }, a.root, label + y.note);
  if (title.getComputedTextLength && title.getComputedTextLength() > a.width) title.textContent = label;
  // Between the last value and 100 % the log scale has no end: the axis is broken
  const cut = y.whole && y.ticks.length > 1 ? (y.scale(100) * 2 + y.scale(y.ticks[1])) / 3 : 0;
  const spine = cut ? `M${a.left},${a.top - 4}V${cut - 3}m-4,3l8,-5m-8,9l8,-5M${a.left},${cut + 3}` : `M${a.left},${a.top - 4}`;
  svg("path", { class: "frame", d: `${spine}V${a.bottom}H${a.right}` }, a.root);
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
const GAP = 15; // pixels between two labels
const WIDEST = 34; // letters of a label

// Lines whose points are equal are one, of several names
function grouped(curves, metric) {
  const groups = new Map();
  for (const c of curves) {
    const key = JSON.stringify(c.metrics[metric].map((p) => p.slice(0, 4)));
    if (groups.has(key)) groups.get(key).names.push(c.defense);
    else groups.set(key, { names: [c.defense], points: c.metrics[metric] });
  }
  return [...groups.values()].map((g) => ({ ...g, lead: g.names.find(strong) || g.names[0] }))
    .map((g) => ({ ...g, names: [g.lead, ...g.names.filter((n) => n !== g.lead)] }));
}

function drawCurves() {
  const setting = data.settings[+byId("curves-setting").value];
  const metric = data.metrics.find((m) => m.key === byId("curves-metric").value);
  const attack = byId("curves-attack").value, x0 = setting.checkpoints;
  const order = (c) => setting.defenses.indexOf(c.defense);
  const chosen = setting.curves.filter((c) => c.attack === attack && c.metrics[metric.key] && !hidden.has(c.defense));
  const lines = grouped(chosen.sort((c, d) => order(c) - order(d)), metric.key).sort((c, d) => strong(c.lead) - strong(d.lead));
  const narrow = byId("curves-chart").clientWidth < 560, letters = narrow ? 17 : WIDEST;
  const longest = Math.max(0, ...lines.map((c) => pixels(folded(c.names, letters), strong(c.lead)) + (strong(c.lead) ? 27 : 16)));
  const height = Math.max(420, 80 + GAP * lines.length);
  const a = area(byId("curves-chart"), height, () => longest + 4);
  const last = (c) => c.points.map((p) => p[0]).filter((v) => v !== null).at(-1);
  const values = lines.flatMap((c) => c.points.flatMap((p) => p.slice(0, strong(c.lead) ? 3 : 1))).filter((v) => v !== null).map((v) => 100 * v);
  const ends = lines.map(last).filter((v) => v !== undefined).map((v) => 100 * v);
  const y = percents(values.length ? wanted("curves-scale", metric.log ? ends : []) : "whole", values, a);
  const log = linear(Math.log(x0[0]), Math.log(x0[x0.length - 1]), a.left + 12, a.right - 6);
  const x = (q) => log.scale(Math.log(q));
  yAxis(a, y, `${metric.label} (%)`);
  xLabel(a, "queries (log scale)");
  let before = Infinity;
  for (const q of [...x0].reverse()) {
    const need = 4 * (count(q).length + 2) + 12;
    if (before - x(q) >= need) { xTick(a, x(q), count(q)); before = x(q); }
  }
  const clip = (v) => Math.min(a.bottom, Math.max(a.top - 4, y.scale(100 * v)));
  for (const c of lines) drawLine(a, c, x0, x, clip);
  nameLines(a, lines.filter((c) => last(c) !== undefined).map((c) => ({ ...c, at: clip(last(c)) })), letters);
  follow(a, lines, x0, x, clip);
}

function drawLine(a, curve, x0, x, y) {
  const group = svg("g", { "data-defense": curve.names.join("|"), class: strong(curve.lead) ? "strong" : "faint" }, a.root);
  const known = curve.points.map((p, i) => [x(x0[i]), p]).filter(([, p]) => p[0] !== null);
  if (known.length > 1 && known.every(([, p]) => p[1] !== null)) {
    const up = known.map(([at, p]) => `${at},${y(p[2])}`), down = known.map(([at, p]) => `${at},${y(p[1])}`).reverse();
    svg("polygon", { class: "band", points: [...up, ...down].join(" "), fill: colour(curve.lead) }, group);
  }
  const path = known.map(([at, p], i) => `${i ? "L" : "M"}${at},${y(p[0])}`).join("");
  svg("path", { class: "line", d: path, fill: "none", stroke: colour(curve.lead), "stroke-dasharray": strong(curve.lead) ? DASH[data.looks[curve.lead].dash] : "" }, group);
  for (const [at, p] of known) mark(group, curve.lead, at, y(p[0]), p[3], strong(curve.lead) ? 1 : 0.5);
}

// A name at the end of each line; they move apart where they would meet, and a thin line leads there.
function nameLines(a, lines, letters) {
  const ranked = [...lines].sort((c, d) => c.at - d.at || strong(d.lead) - strong(c.lead));
  let floor = a.top - 8;
  const places = ranked.map((c) => { floor = Math.max(c.at, floor + GAP); return floor; });
  let ceiling = a.bottom + 6;
  for (let i = places.length - 1; i >= 0; i--) { places[i] = Math.min(places[i], ceiling); ceiling = places[i] - GAP; }
  ranked.forEach((c, i) => {
    const group = svg("g", { "data-defense": c.names.join("|"), class: `name ${strong(c.lead) ? "strong" : "faint"}` }, a.root);
    svg("path", { class: "lead", d: `M${a.right - 2},${c.at}L${a.right + 8},${places[i]}H${a.right + 12}`, stroke: colour(c.lead) }, group);
    if (strong(c.lead)) mark(group, c.lead, a.right + 19, places[i], false, 0.9);
    const text = svg("text", { x: a.right + (strong(c.lead) ? 27 : 16), y: places[i] + 4 }, group, folded(c.names, letters));
    svg("title", {}, text, c.names.map(shown).join(", "));
    group.addEventListener("mouseenter", () => dim(c.names[0]));
    group.addEventListener("mouseleave", () => dim());
  });
}

// Let one line stand out; none: all as they were
function dim(name) {
  document.querySelectorAll("[data-defense]").forEach((g) => {
    const its = g.dataset.defense.split("|").includes(name);
    g.classList.toggle("dim", name !== undefined && !its);
    g.classList.toggle("hot", name !== undefined && its);
  });
}

const LISTED = 12; // lines that the tip names: the nearest to the pointer

function follow(a, lines, x0, x, y) {
  const rule = svg("line", { class: "frame", y1: a.top, y2: a.bottom, "stroke-dasharray": "3 3", visibility: "hidden" }, a.root);
  const glass = svg("rect", { x: a.left, y: a.top - 4, width: a.right - a.left, height: a.bottom - a.top + 4, fill: "transparent" }, a.root);
  glass.addEventListener("mousemove", (event) => {
    const at = (event.offsetX / a.root.clientWidth) * a.width;
    const i = x0.reduce((best, q, k) => (Math.abs(x(q) - at) < Math.abs(x(x0[best]) - at) ? k : best), 0);
    for (const end of ["x1", "x2"]) rule.setAttribute(end, x(x0[i]));
    rule.setAttribute("visibility", "visible");
    const away = ([, p]) => Math.abs(y(p[0]) - event.offsetY);
    const there = lines.map((c) => [c, c.points[i]]).filter(([, p]) => p[0] !== null).sort((m, n) => away(m) - away(n));
    const near = there.slice(0, LISTED).sort((m, n) => n[1][0] - m[1][0]);
    if (there.length) dim(there[0][0].lead);
    showTip(event, (box) => {
      html("b", box, `${count(x0[i])} queries`);
      const table = html("table", box);
      for (const [c, p] of near) {
        const row = html("tr", table, undefined, c === there[0][0] ? "near" : "");
        html("td", row).appendChild(swatch(c.lead));
        html("td", row, folded(c.names, WIDEST));
        html("td", row, interval(p) + SIGNS[p[3]]);
        html("td", row, p[4] ? shown(p[4]) : "");
      }
      if (there.length > near.length) html("div", box, `and ${there.length - near.length} more lines`);
    });
  });
  glass.addEventListener("mouseleave", () => { tip.hidden = true; dim(); rule.setAttribute("visibility", "hidden"); });
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
    button.append(swatch(name), shown(name));
    button.setAttribute("aria-pressed", String(!hidden.has(name)));
    button.title = `${name}; click: hide or show; shift and click: this one alone`;
    button.addEventListener("click", (event) => {
      const alone = names.every((n) => n === name || hidden.has(n));
      if (event.shiftKey) names.forEach((n) => (alone || n === name ? hidden.delete(n) : hidden.add(n)));
      else if (!hidden.delete(name)) hidden.add(name);
      redraw();
    });
    button.addEventListener("mouseenter", () => dim(name));
    button.addEventListener("mouseleave", () => dim());
  }
}

// ---- worst case against honest cost ------------------------------------------------------
const NEAR = 9; // pixels: points that are nearer are named together
const COSTS = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2];

// Costs are spaced by their square root: most defenses are cheap, and 0 has its place
function costs(most, start, end) {
  const top = Math.sqrt(1.12 * most || 1), scale = (v) => start + (Math.sqrt(Math.max(v, 0)) / top) * (end - start);
  const step = most > 2 || most < 0.05 ? linear(0, most, 0, 1).ticks : COSTS, ticks = [];
  for (const v of step) {
    const need = 12 + 7 * String(+v.toPrecision(3)).length;
    if (v <= most * 1.1 && (!ticks.length || scale(v) - scale(ticks.at(-1)) >= need)) ticks.push(v);
  }
  return { scale, ticks };
}

function drawTradeoff() {
  const setting = data.settings[+byId("tradeoff-setting").value];
  const points = setting.standings.filter((p) => p.cost[0] !== null && !hidden.has(p.defense));
  const a = area(byId("tradeoff-chart"), 420, () => 12);
  if (!points.length) return;
  const xs = points.flatMap((p) => p.cost.slice(0, 3)).filter((v) => v !== null);
  const ys = points.flatMap((p) => p.test.slice(0, 3)).filter((v) => v !== null).map((v) => 100 * v);
  const x = costs(Math.max(...xs), a.left + 14, a.right);
  const y = percents(wanted("tradeoff-scale", points.map((p) => 100 * p.test[0])), ys, a);
  yAxis(a, y, "worst-case fidelity (%)");
  xLabel(a, a.width < 560 ? "honest cost (mean L1, square-root scale)" : "honest cost: mean L1 of the answers, a refused query counts 2 (square-root scale)");
  x.ticks.forEach((t) => xTick(a, x.scale(t), String(+t.toPrecision(3))));
  const at = (p) => [x.scale(p.cost[0]), y.scale(100 * p.test[0])];
  const front = points.filter((p) => p.front).sort((p, q) => p.cost[0] - q.cost[0] || p.test[0] - q.test[0]);
  const steps = front.map((p, i) => (i ? `H${at(p)[0]}V${at(p)[1]}` : `M${at(p)}`)).join("");
  svg("path", { class: "frame front", d: steps, "stroke-dasharray": "2 4" }, a.root);
  const order = [...points].sort((p, q) => strong(p.defense) - strong(q.defense));
  const taken = order.flatMap((p) => obstacles(p, at(p), x, y));
  for (const p of order) drawPoint(a, p, at(p), x, y);
  // Names: the strong ones first, those at one place together
  const heaps = [];
  for (const p of order.reverse()) {
    const [cx, cy] = at(p), near = heaps.find((h) => Math.hypot(h.cx - cx, h.cy - cy) < NEAR);
    if (near) near.names.push(p.defense); else heaps.push({ cx, cy, names: [p.defense] });
  }
  for (const h of heaps) place(a, h.names, [h.cx, h.cy], taken);
}

function drawPoint(a, p, [cx, cy], x, y) {
  const group = svg("g", { "data-defense": p.defense, class: strong(p.defense) ? "strong" : "faint" }, a.root);
  const arm = { stroke: colour(p.defense), "stroke-width": 1.2, opacity: 0.55 };
  if (p.cost[1] !== null) svg("line", { ...arm, x1: x.scale(p.cost[1]), x2: x.scale(p.cost[2]), y1: cy, y2: cy }, group);
  if (p.test[1] !== null) svg("line", { ...arm, y1: y.scale(100 * p.test[1]), y2: y.scale(100 * p.test[2]), x1: cx, x2: cx }, group);
  const node = mark(group, p.defense, cx, cy, !p.front, 1.25);
  node.addEventListener("mousemove", (event) => showTip(event, (box) => {
    html("b", box, shown(p.defense));
    html("div", box, `worst case ${interval(p.test)} % by ${shown(p.attack)}`);
    html("div", box, `honest cost ${p.cost[0].toPrecision(3)}`);
    html("div", box, [p.front ? "on the front" : "", ...p.marks].filter(Boolean).join("; "));
  }));
  node.addEventListener("mouseleave", () => { tip.hidden = true; });
}

// A point's mark and its two bars, as boxes
function obstacles(p, [cx, cy], x, y) {
  const boxes = [[cx - 7, cy - 7, cx + 7, cy + 7]];
  if (!strong(p.defense)) return boxes;
  if (p.cost[1] !== null) boxes.push([x.scale(p.cost[1]), cy - 1, x.scale(p.cost[2]), cy + 1]);
  if (p.test[1] !== null) boxes.push([cx - 1, y.scale(100 * p.test[2]), cx + 1, y.scale(100 * p.test[1])]);
  return boxes;
}

// Put a label where it meets no other; where there is no room, the tip tells.
function place(a, names, [cx, cy], taken) {
  const group = svg("g", { "data-defense": names.join("|"), class: `name ${names.some(strong) ? "strong" : "faint"}` }, a.root);
  const node = svg("text", { class: "label" }, group), h = 13;
  for (const letters of a.width < 560 ? [22, 12] : [40, 22, 12]) {
    node.textContent = folded(names, letters);
    const w = node.getComputedTextLength ? node.getComputedTextLength() : 7 * node.textContent.length;
    const spots = [];
    for (const d of [11, 20, 30, 42, 56]) {
      const right = cx + 0.8 * d, left = cx - 0.8 * d - w, up = cy - 0.6 * d - h, down = cy + 0.6 * d;
      spots.push([right, cy - h / 2], [right, up], [right, down], [left, cy - h / 2], [left, up], [left, down], [cx - w / 2, cy - d - h], [cx - w / 2, cy + d]);
    }
    const free = spots.find(([l, t]) => l > a.left + 2 && l + w < a.width - 2 && t > a.top - 16 && t + h < a.bottom - 2
      && !taken.some((b) => l < b[2] && l + w > b[0] && t < b[3] && t + h > b[1]));
    if (!free) continue;
    taken.push([free[0] - 2, free[1] - 1, free[0] + w + 2, free[1] + h + 1]);
    node.setAttribute("x", free[0]);
    node.setAttribute("y", free[1] + h - 3);
    svg("title", {}, node, names.map(shown).join(", "));
    const from = Math.min(Math.max(cx, free[0]), free[0] + w), under = free[1] + (free[1] > cy ? 1 : h - 1);
    if (Math.hypot(from - cx, under - cy) > 20) svg("line", { class: "lead", x1: cx, y1: cy, x2: from, y2: under, stroke: "var(--faint)" }, group);
    return;
  }
  group.remove();
}

// ---- attack by defense -------------------------------------------------------------------
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function shade(v) {
  const at = Math.min(Math.max(v, 0), 1) * (CIVIDIS.length - 1), i = Math.min(Math.floor(at), CIVIDIS.length - 2);
  const rgb = CIVIDIS[i].map((c, k) => Math.round(c + (at - i) * (CIVIDIS[i + 1][k] - c)));
  const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 128;
  return [`rgb(${rgb})`, light ? "#111" : "#fff"];
}

const NARROW = 35; // pixels: a narrower cell shows its colour alone

function drawHeat() {
  const setting = data.settings[+byId("heat-setting").value], metric = byId("heat-metric").value;
  const box = byId("heat-chart"), least = metric.startsWith("tv_");
  box.replaceChildren();
  const value = (defense, attack) => {
    const curve = setting.curves.find((c) => c.defense === defense && c.attack === attack);
    const points = curve && curve.metrics[metric];
    return points ? points.at(-1) : null;
  };
  const all = setting.attacks.map((attack) => ({ attack, points: setting.defenses.map((d) => value(d, attack)) }));
  const known = all.filter((c) => c.points.some((p) => p && p[0] !== null));
  const wins = (c) => c.points.filter((p, i) => p && p[0] === extreme(all.map((o) => o.points[i]), least)).length;
  const columns = known.map((c) => [c, wins(c)]).sort((c, d) => d[1] - c[1]).map(([c]) => c);
  const table = html("table", box, undefined, "heat");
  const floor = Math.floor(10 * Math.min(...columns.flatMap((c) => c.points.filter((p) => p && p[0] !== null).map((p) => p[0])), 0.9)) / 10;
  const narrow = box.clientWidth < 560, names = narrow ? 92 : 168, most = narrow ? 38 : 52;
  const cell = (box.clientWidth - names - most) / Math.max(columns.length, 1);
  table.classList.toggle("tiny", cell < NARROW);
  const head = html("tr", html("thead", table));
  html("th", head).style.width = `${names}px`;
  html("th", head, least ? "min" : "max", "most").style.width = `${most}px`;
  columns.forEach((c) => { html("span", Object.assign(html("th", head), { scope: "col", title: c.attack }), shown(c.attack)); });
  const body = html("tbody", table);
  setting.defenses.forEach((defense, i) => {
    const cells = columns.map((c) => c.points[i]), worst = extreme(cells, least);
    if (worst === undefined) return;
    const row = html("tr", body);
    Object.assign(html("th", row, shown(defense)), { scope: "row", title: defense });
    html("td", row, percent(worst), "most");
    cells.forEach((p, k) => heatCell(row, p, setting.skips[`${defense}|${columns[k].attack}`], worst, floor, `${shown(defense)}, ${shown(columns[k].attack)}`));
  });
  const scale = html("p", box, `${percent(floor)} `, "caption");
  const bar = html("span", scale, undefined, "scale");
  bar.style.background = `linear-gradient(90deg, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => shade(v)[0])})`;
  scale.append(` 100.0 %${cell < NARROW ? "; the numbers are in the tables below, and under the pointer" : ""}`);
}

function extreme(points, least) {
  const known = points.filter((p) => p && p[0] !== null).map((p) => p[0]);
  return known.length ? (least ? Math.min(...known) : Math.max(...known)) : undefined;
}

function heatCell(row, p, reason, worst, floor, where) {
  if (!p || p[0] === null) {
    html("td", row, reason ? "n/a" : "\u2013", "none").title = `${where}: ${reason || "not run"}`;
    return;
  }
  const cell = html("td", row, percent(p[0]).replace("100.0", "100") + SIGNS[p[3]], p[0] === worst ? "worst" : "");
  [cell.style.background, cell.style.color] = shade((p[0] - floor) / (1 - floor));
  cell.title = `${where}: ${interval(p)}${STATES[p[3]]}`;
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
  names.forEach((name) => { html("option", select, name === data.worst ? "worst case" : shown(name)).value = name; });
  if (names.includes(before)) select.value = before;
}

// Of a table whose columns are folded on a narrow page: a click shows the others below the row
function unfold(row) {
  if (row.nextElementSibling && row.nextElementSibling.className === "more") return row.nextElementSibling.remove();
  const away = [...row.cells].filter((c) => c.classList.contains("x") && c.textContent && !c.offsetParent);
  if (!away.length) return undefined;
  const more = html("tr", undefined, undefined, "more"), cell = html("td", more);
  cell.colSpan = row.cells.length - away.length;
  for (const c of away) {
    const pair = html("span", cell);
    html("i", pair, c.dataset.h);
    pair.append(c.textContent);
  }
  row.after(more);
  return more;
}

function sortable(table) {
  table.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && row.className !== "more") unfold(row);
  });
  const value = (row, i) => {
    const found = row.cells[i].textContent.replace(/,(?=\d{3})/g, "").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/);
    return found ? +found[0] : -Infinity;
  };
  table.querySelectorAll("th").forEach((th, i) => th.addEventListener("click", () => {
    const down = th.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("tr.more").forEach((row) => row.remove());
    const rows = [...table.tBodies[0].rows], numeric = th.classList.contains("n");
    rows.sort((p, q) => (numeric ? value(p, i) - value(q, i) : p.cells[i].textContent.localeCompare(q.cells[i].textContent)));
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...(down ? rows.reverse() : rows));
  }));
}

function drawAll() {
  offerAttacks();
  legend(byId("curves-legend"), data.settings[+byId("curves-setting").value].defenses, drawAll);
  legend(byId("tradeoff-legend"), data.settings[+byId("tradeoff-setting").value].defenses, drawAll);
  drawCurves();
  drawTradeoff();
  drawHeat();
}

const settings = data.settings.map((s, i) => [String(i), s.name]);
const metrics = data.metrics.map((m) => [m.key, m.label]);
["curves-setting", "tradeoff-setting", "heat-setting"].forEach((id) => choices(id, settings, drawAll));
["curves-metric", "heat-metric"].forEach((id) => choices(id, metrics, drawAll));
byId("curves-attack").addEventListener("change", drawAll);
const SCALES = [["auto", "by itself"], ["log", "log of the disagreement"], ["linear", "linear"], ["whole", "linear, 0 to 100"]];
for (const id of ["curves-scale", "tradeoff-scale"]) {
  choices(id, SCALES, drawAll);
  byId(id).value = data.scale;
}
document.querySelectorAll("table.sortable").forEach(sortable);
let wait;
window.addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(drawAll, 120); });
drawAll();
document.documentElement.dataset.ready = "true";
