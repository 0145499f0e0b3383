#!/usr/bin/env python3
"""Checks that every test which docs/threat-model.md and docs/attacks.md name exists.

A claim of protection is worth the program that fails to break it. So:

  1. every word in backticks that looks like a test (`module.Suite.Case`, `module.Suite.*`, `lint.x`,
     `fuzz.x`) is one, as ctest prints it;
  2. every word in backticks that looks like a path of the tree exists;
  3. every row of a table that has a column `program` or `test` names a test in it;
  4. a word in backticks that begins with a folder of tests and has a star (`store.*`) names a suite,
     and each document has a table with such a column: else nothing would be checked.

Usage: check_claims.py [--root DIR]      exit code 0 clean, 1 violations, 2 a document is missing
"""

import argparse
import pathlib
import re
import sys

from check_features import Tree

DOCUMENTS = ("docs/threat-model.md", "docs/attacks.md")
COLUMNS = ("program", "test")

TICKED = re.compile(r"`([^`]+)`")
TEST = re.compile(r"[a-z_]+\.[A-Z]\w*(?:/\w+)?\.(?:\w+|\*)|(?:lint|fuzz|app|net|emulator)\.\w+")
PATH = re.compile(r"(?:src|tests|docs|tools|include|apps|bench)/[\w./-]*")


def cells_of(line):
    """A row's cells; a bar in backticks belongs to its cell."""
    parts = re.split(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line.strip().strip("|"))
    return [part.strip() for part in parts]


class Document:
    def __init__(self, root, name, tree):
        self.name, self.root, self.tree = name, root, tree
        self.lines = (root / name).read_text().splitlines()
        self.errors, self.tests, self.rows = [], set(), 0

    def error(self, number, text):
        self.errors.append(f"{self.name}:{number}: {text}")

    def check(self):
        header = None
        for number, line in enumerate(self.lines, 1):
            self.check_words(number, line)
            if not line.startswith("|"):
                header = None
            elif header is None:
                header = [cell.lower() for cell in cells_of(line)]
            elif not set(line) <= set("|-: "):
                self.check_row(number, header, cells_of(line))
        if self.rows == 0:
            self.error(1, "no table has a column 'program' or 'test'")

    def check_words(self, number, line):
        for word in TICKED.findall(line):
            if TEST.fullmatch(word):
                self.tests.add(word)
                if not self.tree.has_test(word):
                    self.error(number, f"there is no test '{word}'")
            elif "*" in word and (self.root / "tests" / word.split(".")[0]).is_dir():
                self.error(number, f"'{word}' names no suite")
            elif PATH.fullmatch(word) and not (self.root / word).exists():
                self.error(number, f"there is no file '{word}'")

    def check_row(self, number, header, cells):
        for column in COLUMNS:
            if column not in header:
                continue
            self.rows += 1
            at = header.index(column)
            cell = cells[at] if at < len(cells) else ""
            if not any(TEST.fullmatch(word) for word in TICKED.findall(cell)):
                self.error(number, f"the row '{cells[0][:50]}' names no test in its column '{column}'")


def main():
    parser = argparse.ArgumentParser(description="checks that tests named in claims exist")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    root = parser.parse_args().root.resolve()
    tree = Tree(root)
    errors, tests, rows = [], set(), 0
    for name in DOCUMENTS:
        if not (root / name).exists():
            print(f"check_claims: there is no {name}")
            return 2
        document = Document(root, name, tree)
        document.check()
        errors += document.errors
        tests |= document.tests
        rows += document.rows
    for text in errors:
        print(text)
    print(f"check_claims: {len(tests)} tests named, {rows} rows with a program, {len(errors)} violations")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
