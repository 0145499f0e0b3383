// The page of metrics, and what happened between two of them. Pure.

// Rows of Prometheus' text format, by name: [{labels: {..}, value}].
export function parsePage(text) {
  const rows = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)) labels[name] = value;
    const value = found[3] === "+Inf" ? Infinity : Number(found[3]);
    if (!rows.has(found[1])) rows.set(found[1], []);
    rows.get(found[1]).push({ labels, value });
  }
  return rows;
}

const fits = (row, labels) => Object.entries(labels).every(([name, value]) => row.labels[name] === value);

export function sum(page, name, labels = {}) {
  let all = 0;
  for (const row of page.get(name) ?? []) if (fits(row, labels)) all += row.value;
  return all;
}

// [{end, count}]: how many were counted in each bucket, since `before` if there is one.
export function buckets(page, name, labels = {}, before = null) {
  const below = new Map();
  const add = (rows, sign) => {
    for (const row of rows ?? []) {
      if (!fits(row, labels)) continue;
      const end = row.labels.le === "+Inf" ? Infinity : Number(row.labels.le);
      below.set(end, (below.get(end) ?? 0) + sign * row.value);
    }
  };
  add(page.get(`${name}_bucket`), 1);
  if (before) add(before.get(`${name}_bucket`), -1);
  let last = 0;
  return [...below].sort(([a], [b]) => a - b).map(([end, upTo]) => {
    const count = Math.max(0, upTo - last);
    last = upTo;
    return { end, count };
  });
}

// Linear within a bucket, as Prometheus has it; null without an observation.
export function quantile(all, share) {
  const total = all.reduce((n, bucket) => n + bucket.count, 0);
  if (!(total > 0)) return null;
  let below = 0, start = 0;
  for (const { end, count } of all) {
    if (count > 0 && below + count >= share * total) {
      return end === Infinity ? start : start + (end - start) * (share * total - below) / count;
    }
    below += count;
    start = end;
  }
  return start;
}

// ---- Text ---------------------------------------------------------------------------------------

export function bytesText(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; ++unit) value /= 1024;
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function timeText(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

export function countText(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} M`;
  if (value >= 1e4) return `${Math.round(value / 1e3)} k`;
  return Number.isInteger(value) ? `${value}` : value.toFixed(value < 10 ? 1 : 0);
}

export function spanText(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  const first = seconds >= 1 ? at : 3;
  let rest = Math.floor(seconds);
  return parts.slice(first, first + 2).map(([size, unit]) => {
    const many = Math.floor(rest / size);
    rest -= many * size;
    return `${many} ${unit}`;
  }).join(" ");
}
