#!/usr/bin/env python3
"""Checks the form of documents.

  width    no line of a *.md file has more than 100 columns, except in tables and code blocks, and
           except a line whose only word at the margin is a link, a URL or a code span;
  figures  no document names a commit or the load of a machine: figures live in bench/results/ and
           on the page that tools/results_page.py makes of them.

Usage: check_prose.py [--root DIR]      exit code 0 clean, 1 violations, 2 no documents
"""

import argparse
import pathlib
import re
import sys

from check_links import files_of

COLUMNS = 100
GENERATED = ("docs/reference/results.md",)

COMMIT = re.compile(r"`(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,12}`")
LOAD = re.compile(r"\bload (?:of )?\d+|under other load|beside other work", re.I)
UNBREAKABLE = re.compile(r"\s*(?:[*-] |\d+\. )?(?:`[^`]*`|\S+)\S*$")


class Page:
    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.lines = path.read_text().splitlines()
        self.errors = []

    def error(self, number, text):
        self.errors.append(f"{self.name}:{number}: {text}")

    def check(self):
        fenced = False
        for number, line in enumerate(self.lines, 1):
            if line.startswith("```"):
                fenced = not fenced
            code = fenced or line.startswith("    ")
            if len(line) > COLUMNS and not code and not line.startswith("|") and not UNBREAKABLE.match(line):
                self.error(number, f"width: {len(line)} columns; wrap at {COLUMNS}")
            if self.name in GENERATED or code:
                continue
            for word in COMMIT.findall(line):
                self.error(number, f"figures: names the commit {word}; figures belong in bench/results/")
            for word in LOAD.findall(line):
                self.error(number, f"figures: '{word}' is about one machine; it belongs in bench/results/")


def main():
    parser = argparse.ArgumentParser(description="checks the form of documents")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()
    count, errors = 0, []
    for path in files_of(root):
        if path.suffix != ".md":
            continue
        page = Page(root, path)
        page.check()
        count += 1
        errors += page.errors
    for text in errors:
        print(text)
    print(f"check_prose: {count} documents, {len(errors)} violations")
    if count == 0:
        return 2
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
