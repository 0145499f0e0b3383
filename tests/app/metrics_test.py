#!/usr/bin/env python3
"""docs/reference/metrics.md has every metric of a running node, and no other; and the board,
docs/reference/dashboard.json, and the alert rules ask for none that a node does not have.

Usage: metrics_test.py QUDAG REFERENCE_PAGES [--write]
"""

import json
import pathlib
import re
import subprocess
import sys

from live_node import live_node

ROOT = pathlib.Path(__file__).parents[2]
BOARD = ROOT / "docs" / "reference" / "dashboard.json"
ALERTS = ROOT / "packaging" / "prometheus" / "alerts.yml"


def unknown_on_board(page):
    """Metrics, and labels of them, that the board asks for and the page does not have."""
    rows = [line for line in page.splitlines() if line and not line.startswith("#")]
    names = {re.match(r"\w+", row)[0] for row in rows}
    labels = set(re.findall(r'(\w+)="', page))
    targets = [target for panel in json.loads(BOARD.read_text())["panels"] for target in panel["targets"]]
    asked = {name for one in targets for name in re.findall(r"\b(?:qudag|process)_\w+", one["expr"])}
    by = {name.strip() for one in targets for part in re.findall(r"\bby \(([^)]*)\)", one["expr"])
          for name in part.split(",")}
    by |= {name for one in targets for name in re.findall(r"{{(\w+)}}", one["legendFormat"])}
    by -= {"instance"}  # Prometheus' own
    return sorted(asked - names) + sorted(by - labels)


def unknown_in_alerts(page):
    """Metrics and values of labels that the rules name and the page does not have."""
    rules = ALERTS.read_text()
    names = set(re.findall(r"^(\w+)", page, re.M))
    asked = set(re.findall(r"\b(?:qudag|process)_\w+", rules))
    values = {f'{label}="{value}"' for label, text in re.findall(r'(\w+)!?=~?"([^"]*)"', rules)
              for value in text.split("|") if label != "job"}
    return sorted(asked - names) + sorted(value for value in values if value not in page)


def main():
    program, tool, *write = sys.argv[1:]
    with live_node(program) as node:
        page = node.ask("GET", "/metrics")[2]
    if unknown := unknown_on_board(page):
        print(f"{BOARD.name} asks for what no node has: {', '.join(unknown)}")
        return 1
    if unknown := unknown_in_alerts(page):
        print(f"{ALERTS.name} asks for what no node has: {', '.join(unknown)}")
        return 1
    check = [] if write else ["--check"]
    return subprocess.run([sys.executable, tool, *check, "--metrics", "-"], input=page, text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
