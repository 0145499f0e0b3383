#!/usr/bin/env python3
"""docs/reference/metrics.md has every metric of a running node, and no other.

Usage: metrics_test.py QUDAG REFERENCE_PAGES [--write]
"""

import subprocess
import sys

from live_node import live_node


def main():
    program, tool, *write = sys.argv[1:]
    with live_node(program) as node:
        page = node.ask("GET", "/metrics")[2]
    check = [] if write else ["--check"]
    return subprocess.run([sys.executable, tool, *check, "--metrics", "-"], input=page, text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
