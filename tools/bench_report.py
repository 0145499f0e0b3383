#!/usr/bin/env python3
"""Renders results of `qudag-bench --json` as one HTML page with SVG bars and no other file.

    tools/bench_report.py <report.html> <results.json>...

A bar per result: our median with the spread of the runs, and beside it the limit of the machine and
the peer, where the result has them. Features show on and off. Bars of one unit and group share a
scale, so lengths compare.
"""
import html
import json
import sys
from itertools import groupby
from pathlib import Path

WIDTH, LABEL, VALUE, ROW = 960, 250, 190, 16
COLOURS = {"qudag": "#2f6f9f", "limit": "#b9c4cc", "ZeroMQ CURVE": "#c77d3a", "on": "#2f6f9f",
           "off": "#c0646b"}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;
color:#222}svg{display:block;margin:.5em 0 1.5em}text{font:12px system-ui,sans-serif;fill:#222}
.quiet{fill:#777}small,.meta{color:#666}h2{margin-top:2em}"""


def short(value):
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if suffix == 'k' else size):.3g} {suffix}"
    return f"{value:.4g}"


def bars(row):
    """(label, value, low, high) in the order they are drawn."""
    if "id" in row:
        return [("on", row["on"], None, None), ("off", row["off"], None, None)]
    out = [("qudag", row["median"], row["min"], row["max"])]
    if "limit" in row:
        out.append(("limit", row["limit"], None, None))
    if "peer" in row:
        out.append(("ZeroMQ CURVE", row["peer"], None, None))
    return out


def chart(unit, rows):
    top = max((value for row in rows for _, value, _, high in bars(row)), default=0) or 1
    top = max([top] + [row["max"] for row in rows if "id" not in row])
    scale = (WIDTH - LABEL - VALUE) / top
    parts, y = [], 4
    for row in rows:
        name = f"{row['id']} {row['name']}" if "id" in row else row["name"]
        parts.append(f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>')
        for label, value, low, high in bars(row):
            end = LABEL + max(1, value * scale)
            parts.append(f'<rect x="{LABEL}" y="{y + 2}" width="{end - LABEL:.1f}" height="{ROW - 4}" '
                         f'fill="{COLOURS[label]}"/>')
            if low is not None and high > low:
                middle = y + ROW / 2
                parts.append(f'<path d="M{LABEL + low * scale:.1f} {middle}H{LABEL + high * scale:.1f}" '
                             'stroke="#111" stroke-width="2"/>')
                end = max(end, LABEL + high * scale)
            parts.append(f'<text class="quiet" x="{end + 6:.1f}" y="{y + 12}">{short(value)} '
                         f'{html.escape(unit)} {label}</text>')
            y += ROW
        y += 8
    return f'<svg width="{WIDTH}" height="{y}" role="img">{"".join(parts)}</svg>'


def section(report):
    machine = report["machine"]
    out = [f"<h2>{html.escape(report['scenario'])}</h2><p class=meta>commit "
           f"{html.escape(report['commit'])}; {html.escape(machine['cpu'])}, {machine['cores']} cores, "
           f"Linux {html.escape(machine['kernel'])}, load {machine.get('load_at_end', '?')}; "
           f"{html.escape(json.dumps(report['settings']))}</p>"]
    key = lambda row: (row["name"].split("/")[0], row["unit"])
    order = {}
    for row in report["results"]:
        order.setdefault(key(row), len(order))
    rows = sorted(report["results"], key=lambda row: order[key(row)])
    for (group, unit), some in groupby(rows, key):
        some = list(some)
        better = some[0]["better"]
        # Features have nothing in common but their unit: a scale each.
        charts = [[row] for row in some] if group == "features" else [some]
        out.append(f"<h3>{html.escape(group)}, {html.escape(unit)} <small>{better} is better</small></h3>")
        out.extend(chart(unit, rows) for rows in charts)
    out.extend(f"<p><small>{html.escape(note)}</small></p>" for note in report.get("notes", []))
    return "".join(out)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    reports = [json.loads(Path(name).read_text()) for name in sys.argv[2:]]
    page = (f"<!doctype html><meta charset=utf-8><title>QuDAG Net benchmarks</title><style>{STYLE}"
            f"</style><h1>QuDAG Net benchmarks</h1>{''.join(map(section, reports))}")
    Path(sys.argv[1]).write_text(page)


if __name__ == "__main__":
    main()
