#!/usr/bin/env python3
"""Makes pages of docs/reference/ from the tables that the program uses.

  configuration.md  from the example configuration, which a test compares with the program's keys
  exit-codes.md     the table of errors, from include/qudag/error.h
  metrics.md        from a page of metrics, as a node gives it (--metrics FILE, - for standard input)

Only what stands between the lines `<!-- generated -->` and `<!-- end -->` of a page is made.

Usage: reference_pages.py [--check] [--metrics FILE] [--root DIR]
  --check   write nothing; exit code 1 if a page is not what the tables make
"""

import argparse
import pathlib
import re
import sys

FOLDER = "docs/reference"
EXAMPLE = "docs/config.example.toml"
ERRORS = "include/qudag/error.h"
BEGIN, END = "<!-- generated -->\n", "<!-- end -->\n"


def cell(text):
    return text.replace("|", "\\|")


# --- configuration.md -------------------------------------------------------------------------------

def settings(text):
    """(section, key, default, help) of every key of the example."""
    section, lines = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section, lines = line.strip("[]"), []
        elif line.startswith("# "):
            lines.append(line[2:])
        elif match := re.match(r"(\w+) = (.*)", line):
            yield section, match[1], match[2], " ".join(lines)
            lines = []
        else:
            lines = []


def configuration(root):
    out, last = [], None
    for section, key, default, text in settings((root / EXAMPLE).read_text()):
        if section != last:
            title = f"`[{section}]`" if section else "Top level"
            out += ["", f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
            last = section
        name = f"{section}.{key}" if section else key
        out.append(f"| `{name}` | `{default}` | {cell(text)} |")
    return "\n".join(out[1:]) + "\n"


# --- exit-codes.md ----------------------------------------------------------------------------------

EXITS = {1: "2", 2: "3", 3: "4", 4: "5", 5: "6"}  # hundreds of the error's number -> exit code


def exit_codes(root):
    text = (root / ERRORS).read_text()
    text = text[text.index("enum class Errc"):]
    text = text[:text.index("};")]
    out = ["| error | number | exit code | meaning |", "|---|---:|---:|---|"]
    for name, number, meaning in re.findall(r"(\w+) = (\d+),\s*///< (.*)", text):
        code = "1" if name == "internal" else EXITS[int(number) // 100]
        out.append(f"| `{name}` | {number} | {code} | {cell(meaning)} |")
    return "\n".join(out) + "\n"


# --- metrics.md -------------------------------------------------------------------------------------

QUANTILES = ("_p50", "_p90", "_p99", "_max", "_count")
SERIES = re.compile(r"_(bucket|sum|count)$")  # of a histogram in Prometheus' own form


def families(page):
    """Name -> [kind, help, labels] of every metric; the parts of a histogram are one."""
    out = {}
    for line in page.splitlines():
        if match := re.match(r"# HELP (\w+) (.*)", line):
            out[match[1]] = ["", match[2], set()]
        elif match := re.match(r"# TYPE (\w+) (\w+)", line):
            out[match[1]][0] = match[2]
        elif match := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            name = match[1] if match[1] in out else SERIES.sub("", match[1])
            out[name][2].update(set(re.findall(r'(\w+)="', match[2] or "")) - {"le"})
    for name in sorted(out):
        base = name.removesuffix("_count")
        if base != name and all(base + part in out for part in QUANTILES):
            out[base] = ["histogram", out[base + "_p50"][1], out[base + "_p50"][2]]
            for part in QUANTILES:
                del out[base + part]
    return out


def metrics(page):
    out = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for name, (kind, text, labels) in sorted(families(page).items()):
        out.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in sorted(labels))} | {cell(text)} |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description="makes reference pages")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--metrics", help="a page of metrics; without it metrics.md is left alone")
    args = parser.parse_args()
    made = {"configuration.md": configuration(args.root), "exit-codes.md": exit_codes(args.root)}
    if args.metrics:
        page = sys.stdin.read() if args.metrics == "-" else pathlib.Path(args.metrics).read_text()
        made["metrics.md"] = metrics(page)
    stale = []
    for name, text in made.items():
        path = args.root / FOLDER / name
        old = path.read_text()
        begin, end = old.find(BEGIN), old.find(END)
        if begin < 0 or end < begin:
            sys.exit(f"{FOLDER}/{name} has no part between {BEGIN.strip()} and {END.strip()}")
        new = f"{old[:begin]}{BEGIN}\n{text}\n{old[end:]}"
        if new == old:
            continue
        stale.append(name)
        if args.check:
            print(f"{FOLDER}/{name} is out of date; run tools/reference_pages.py")
            for line in sorted(set(new.splitlines()) ^ set(old.splitlines())):
                print(f"  {'+' if line in new.splitlines() else '-'} {line}")
        else:
            path.write_text(new)
    print(f"reference_pages: {len(made)} pages, {len(stale)} {'out of date' if args.check else 'written'}")
    return 1 if stale and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
