#!/usr/bin/env python3
"""Every line that a node logs (src/base/lines/log_lines.h) has a row with cause and remedy in the guide,
and no line is logged that does not stand there.

A row begins with the line, or with its beginning, `...` for what varies.

Usage: log_lines_test.py [--root DIR]     exit code 0 right, 1 wrong
"""

import argparse
import pathlib
import re
import sys

TABLE = "src/base/lines/log_lines.h"
PAGE = "docs/guide/troubleshooting.md"
TITLE = "## Lines of the log"
BEGINNING_LEAST = 8
REMEDY_LEAST = 20
LINE = re.compile(r'inline constexpr char (k\w+)\[\] =\s*((?:"(?:[^"\\]|\\.)*"\s*)+);')
CALL = re.compile(r"\blog_?(?:\.|->)(?:info|warn|error)\(\s*([^\s,)]+)")


def lines(root):
    """Name -> text, with `...` for each argument."""
    out = {}
    for name, pieces in LINE.findall((root / TABLE).read_text()):
        text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', pieces)).replace('\\"', '"')
        out[name] = re.sub(r"{[^}]*}", "...", text)
    return out


def rows(root):
    """(beginning, remedy) of every row of the page's table."""
    section = (root / PAGE).read_text().split(TITLE + "\n", 1)[1].split("\n## ", 1)[0]
    for row in re.findall(r"^\| `+ ?(.*?) ?`+ \| (.*) \|$", section, re.MULTILINE):
        yield row


def faults(root):
    known, told = lines(root), list(rows(root))
    if len(known) < 20:
        yield f"{TABLE}: only {len(known)} lines are understood"
    for name, text in known.items():
        fitting = [remedy for beginning, remedy in told
                   if text.startswith(beginning) and len(beginning) >= BEGINNING_LEAST]
        if len(fitting) != 1:
            yield f"{PAGE}: {len(fitting)} rows for {name}: {text}"
        elif len(fitting[0]) < REMEDY_LEAST:
            yield f"{PAGE}: no remedy for {name}"
    for beginning, _ in told:
        if not any(text.startswith(beginning) for text in known.values()):
            yield f"{PAGE}: no line begins so: {beginning}"
    for path in [*root.glob("src/**/*.cc"), *root.glob("apps/qudag/*.cc")]:
        used = CALL.findall(path.read_text())
        for what in used:
            if not what.startswith("lines::") or what.removeprefix("lines::") not in known:
                yield f"{path.relative_to(root)}: logs {what}, which is not in {TABLE}"


def main():
    parser = argparse.ArgumentParser(description="lines of the log and their remedies")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    found = list(faults(parser.parse_args().root))
    print("\n".join(found) or "every line of the log has its row")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
