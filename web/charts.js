// Charts as SVG. No inline styles: the policy of the page allows none. Colours are classes.

const kSvg = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...inner) {
  const out = document.createElementNS(kSvg, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  out.append(...inner);
  return out;
}

// 1, 2 or 5 times a power of the base, so that grid lines have names that a person can read.
function step(most, base) {
  if (!(most > 0)) return 1;
  const power = base ** Math.floor(Math.log(most / 3) / Math.log(base));
  for (const times of base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] : [1, 2, 5, 10]) {
    if (power * times * 4 >= most) return power * times;
  }
  return power * base;
}

const kLeft = 64, kBottom = 22, kTop = 8, kRight = 8;

function frame(host, label) {
  const width = Math.max(240, host.clientWidth || 600), height = innerWidth >= 1792 ? 300 : 220;
  const out = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  host.replaceChildren(out);
  return { out, height, right: width - kRight, bottom: height - kBottom };
}

function text(x, y, content, anchor) {
  const out = svg("text", { x, y, "text-anchor": anchor });
  out.textContent = content;
  return out;
}

function legend(host, series, format) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const { name, kind, points } of series) {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = `${name} ${points.length ? format(points.at(-1)[1]) : ""}`;
    list.append(item);
  }
  host.append(list);
}

// series: [{name, kind, points: [[seconds, value]]}]; kind is a class. bound: a line to stay below.
export function lineChart(host, { series, span, format, base = 1000, bound = null, label }) {
  const now = Math.max(...series.flatMap(({ points }) => points.slice(-1).map(([at]) => at)), 0);
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const asked = Math.max(bound ?? 0, ...values, 1), by = step(asked, base);
  const most = Math.ceil(asked / by) * by;
  const last = series.map(({ name, points }) => `${name} ${points.length ? format(points.at(-1)[1]) : "unknown"}`);
  const { out, height, right, bottom } = frame(host, `${label}: ${last.join(", ")}`);
  const top = kTop, x = (at) => right - (now - at) / span * (right - kLeft);
  const y = (value) => bottom - value / most * (bottom - top);
  for (let value = 0; value <= most; value += by) {
    out.append(svg("line", { class: "grid-line", x1: kLeft, x2: right, y1: y(value), y2: y(value) }),
      text(kLeft - 6, y(value) + 4, format(value), "end"));
  }
  for (const share of [0, 0.5, 1]) {
    const ago = Math.round(span * (1 - share));
    const name = ago === 0 ? "now" : ago < 120 ? `${ago} s ago` : `${(ago / 60).toFixed(ago % 60 ? 1 : 0)} min ago`;
    out.append(text(kLeft + share * (right - kLeft), height - 6, name,
      share === 0 ? "start" : share === 1 ? "end" : "middle"));
  }
  if (bound !== null) out.append(svg("line", { class: "bound", x1: kLeft, x2: right, y1: y(bound), y2: y(bound) }));
  for (const { kind, points } of series) {
    const shown = points.filter(([at]) => at >= now - span);
    if (shown.length < 2) continue;
    const line = shown.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    if (kind.includes("area")) {
      out.append(svg("polygon", { class: `fill ${kind}`, points: `${x(shown[0][0]).toFixed(1)},${bottom} ${line.join(" ")} ${x(shown.at(-1)[0]).toFixed(1)},${bottom}` }));
    }
    out.append(svg("polyline", { class: `line ${kind}`, points: line.join(" ") }));
  }
  legend(host, series, format);
}

// all: [{end, count}] of metrics.js; marks: [[name, seconds]].
export function histogram(host, { all, marks, format, label }) {
  const used = all.findIndex(({ count }) => count > 0);
  const last = all.findLastIndex(({ count }) => count > 0);
  if (used < 0) {
    const none = document.createElement("p");
    none.className = "note";
    none.textContent = "Nothing yet.";
    host.replaceChildren(none);
    return;
  }
  const shown = all.slice(Math.max(0, used - 1), last + 1);
  const most = Math.max(...shown.map(({ count }) => count));
  const { out, height, right, bottom } = frame(host, `${label}: ${marks.map(([name, at]) => `${name} ${format(at)}`).join(", ")}`);
  const left = 8, wide = (right - left) / shown.length;
  shown.forEach(({ end, count }, i) => {
    const high = count / most * (bottom - kTop - 16);
    const bar = svg("rect", { class: "bar", x: left + i * wide + 1, y: bottom - high, width: Math.max(1, wide - 2), height: high });
    const title = svg("title");
    title.textContent = `up to ${format(end)}: ${count}`;
    bar.append(title);
    out.append(bar);
    const every = Math.ceil(70 / wide);
    if (end !== Infinity && (shown.length - 1 - i) % every === 0) out.append(text(left + (i + 1) * wide, height - 6, format(end), "end"));
  });
  out.append(svg("line", { class: "grid-line", x1: left, x2: right, y1: bottom, y2: bottom }));
  const list = document.createElement("ul");
  list.className = "legend plain";
  for (const [name, at] of marks) {
    const item = document.createElement("li");
    item.textContent = `${name} ${format(at)}`;
    list.append(item);
  }
  host.append(list);
}

// A bar of 0 to 1 with a mark; level is a class.
export function bar(share, mark, level, label) {
  const out = svg("svg", { class: `meter ${level}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": label });
  out.append(svg("rect", { class: "track", x: 0, y: 0, width: 100, height: 8 }),
    svg("rect", { class: "part", x: 0, y: 0, width: 100 * Math.min(1, Math.max(0, share)), height: 8 }));
  if (mark !== null) out.append(svg("rect", { class: "mark", x: 100 * mark - 0.4, y: 0, width: 0.8, height: 8 }));
  return out;
}

// The node in the middle, its links around it; thicker: more traffic. links: [{name, weight, circuits}].
export function star(host, links, label) {
  const width = Math.max(240, host.clientWidth || 600), height = Math.min(360, Math.max(200, width * 0.6));
  const out = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  const cx = width / 2, cy = height / 2;
  const most = Math.max(1, ...links.map(({ weight }) => weight));
  links.forEach(({ name, weight, circuits }, i) => {
    const angle = 2 * Math.PI * i / links.length - Math.PI / 2;
    const x = cx + Math.cos(angle) * (width / 2 - 90), y = cy + Math.sin(angle) * (height / 2 - 42);
    const title = svg("title");
    title.textContent = name;
    out.append(svg("line", { class: "edge", x1: cx, y1: cy, x2: x, y2: y, "stroke-width": 1 + 5 * Math.sqrt(weight / most) }),
      svg("circle", { class: "peer", cx: x, cy: y, r: 5 + Math.min(6, circuits / 4) }, title));
    if (links.length <= 16) out.append(text(x, y + (y < cy ? -12 : 20 + 13 * (i % 2)), name, "middle"));
  });
  out.append(svg("circle", { class: "self", cx, cy, r: 9 }));
  host.replaceChildren(out);
}
