#!/usr/bin/env python3
"""Runs `qudag-bench all --quick` and checks the form of its JSON; never how fast anything was."""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = """limit/onion/bulk limit/udp direct/bulk/1 direct/1024/rate direct/1024/rtt_p50
direct/1024/rtt_p99 direct/1024/cpu_s_per_gb onion/bulk/1 onion/bulk/4 onion/256/rate
onion/cpu_s_per_gb api/256/auto/rate api/256/explicit/rate api/256/explicit_ratio circuit/builds circuit/build_p50 circuit/build_p99 circuit/cpu_per_relay
relay/ns_per_cell relay/aead_ratio idle/rss idle/per_link idle/per_circuit copy/per_byte
pipes/bulk/of_message pipes/echo/p99 pipes/at_once/50 overload/capacity/rate soak/circuits soak/rss_growth soak/circuits_left""".split()
NAMES += [f"overload/{load}/{what}" for load in ("0.5x", "1x", "2x", "4x")
          for what in ("high/delivered_ratio", "high/p99_ratio", "low/share", "goodput_ratio",
                       "rss_ratio", "unaccounted")]
LIMITED = "direct/1024/rate onion/bulk/1 onion/bulk/4 onion/256/rate onion/cpu_s_per_gb".split()
FEATURES = "M2 M4 M5 M6 M7 N5 P4 P5 P6 P11".split()


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def faults(report):
    for field, kind in {"scenario": str, "date": str, "command": str, "commit": str, "machine": dict, "settings": dict,
                        "results": list}.items():
        if not isinstance(report.get(field), kind):
            yield f"{field} is not a {kind.__name__}"
            return
    for field in ("cpu", "cores", "memory_bytes", "kernel"):
        if field not in report["machine"]:
            yield f"machine has no {field}"
    rows = {}
    for row in report["results"]:
        name = row.get("name")
        rows[name] = row
        if not row.get("unit") or row.get("better") not in ("higher", "lower"):
            yield f"{name}: unit and better"
        runs = row.get("runs")
        if not runs or not all(map(number, runs)):
            yield f"{name}: runs {runs}"
            continue
        if not min(runs) - 0.001 <= row["median"] <= max(runs) + 0.001:
            yield f"{name}: median {row['median']} of {runs}"
        if abs(row["min"] - min(runs)) > 0.001 or abs(row["max"] - max(runs)) > 0.001:
            yield f"{name}: min and max of {runs}"
        for field in ("limit", "peer"):
            if field in row and not (number(row[field]) and row[field] > 0):
                yield f"{name}: {field} {row[field]}"
        if "id" in row and not (number(row.get("on")) and number(row.get("off"))):
            yield f"{name}: on and off"
    for name in NAMES:
        if name not in rows:
            yield f"no result {name}"
    for name in LIMITED:
        if "limit" not in rows.get(name, {}):
            yield f"{name} has no limit beside it"
    for name, row in rows.items():  # a count, not a time: it holds for the shortest run
        if name.endswith("/unaccounted") and max(row["runs"]) != 0:
            yield f"{name}: {row['runs']} messages without an outcome and a reason"
    for feature in sorted(set(FEATURES) - {row.get("id") for row in rows.values()}):
        yield f"no row for feature {feature}"


def main():
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "quick.json"
        ran = subprocess.run([sys.argv[1], "all", "--quick", "--json", str(file)],
                             stdout=subprocess.DEVNULL, check=False)
        if ran.returncode != 0:
            sys.exit(f"qudag-bench ended with {ran.returncode}")
        found = list(faults(json.loads(file.read_text())))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
