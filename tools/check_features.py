#!/usr/bin/env python3
"""Checks docs/features.md, the table of the 48 features, against the tree that it speaks of.

What the table says must exist; what does not exist yet must be called so. A row is

  | id | capability | where | how to see it | test | state |

and every word in backticks in it is a claim, which is checked by its column:

  where          a path of the tree: `src/link/`, `src/sync/wheel.h`
  how to see it  a metric of the node (`qudag_links`, labels if wanted), a key of the configuration
                 (`limits.memory`), or a command (`./dev ...`, `qudag ...`, `GET ...`)
  test           a name as ctest prints it: `memory.Suite.Case`, `memory.Suite.*`, `lint.layers`
  state          works, part or not yet; part and not yet say what is missing; works names a test

Usage: check_features.py [--root DIR]      exit code 0 clean, 1 violations, 2 no table
"""

import argparse
import pathlib
import re
import sys

COLUMNS = ("id", "capability", "where", "how to see it", "test", "state")
IDS = [f"{group}{number}" for group in "MPNL" for number in range(1, 13)]
STATES = ("works", "part", "not yet")
COMMANDS = ("./dev ", "qudag ", "GET ")
EXAMPLE = "docs/config.example.toml"

TICKED = re.compile(r"`([^`]+)`")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


# --- What the tree has -----------------------------------------------------------------------------

class Tree:
    def __init__(self, root):
        self.root = root
        self.sources = "\n".join(self.code("include", "src"))
        self.metric_names = set(re.findall(r'"(qudag_[a-z0-9_]+)"', self.sources))
        self.settings = set(self.keys())
        self.tests = set(self.gtest_names()) | set(self.other_tests())

    def code(self, *parts):
        """Texts without comments, so that only what is compiled counts."""
        for part in parts:
            for path in sorted((self.root / part).rglob("*")):
                if path.suffix in (".h", ".cc"):
                    yield COMMENT.sub("", path.read_text(errors="replace"))

    def keys(self):
        """Keys of the example configuration, which a test compares with the program's."""
        path, section = self.root / EXAMPLE, ""
        for line in path.read_text().splitlines() if path.exists() else ():
            if found := re.fullmatch(r"\[([\w.]+)\]", line):
                section = found[1] + "."
            elif found := re.match(r"(\w+) =", line):
                yield section + found[1]

    def gtest_names(self):
        for path in sorted((self.root / "tests").rglob("*_test.cc")):
            module = path.relative_to(self.root / "tests").parts[0]
            text = COMMENT.sub("", path.read_text(errors="replace"))
            for suite, case in re.findall(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", text):
                yield f"{module}.{suite}.{case}"

    def other_tests(self):
        for path in sorted((self.root / "tests").rglob("CMakeLists.txt")):
            text = re.sub(r"#[^\n]*", "", path.read_text(errors="replace"))
            yield from re.findall(r"add_test\(\s*NAME\s+([\w.]+)", text)
        for path in sorted((self.root / "tests" / "fuzz").glob("*_fuzz.cc")):
            yield f"fuzz.{path.name.removesuffix('_fuzz.cc')}"

    def has_test(self, name):
        if name.endswith(".*"):
            return any(test.startswith(name[:-1]) for test in self.tests)
        return name in self.tests

    def has_metric(self, claim):
        name, _, labels = claim.partition("{")
        if name not in self.metric_names:
            return False
        # The table of the code writes labels as C++ text, with escaped quotes.
        return all(label.replace('"', '\\"') in self.sources
                   for label in labels.rstrip("}").split(",") if label)

    def can_be_seen(self, claim):
        if claim.startswith(COMMANDS):
            return True
        return self.has_metric(claim) if claim.startswith("qudag_") else claim in self.settings


# --- What the table says ---------------------------------------------------------------------------

class Table:
    def __init__(self, path, name, tree):
        self.path, self.name, self.tree = path, name, tree
        self.errors = []
        self.seen = {}

    def error(self, line, row, text):
        self.errors.append(f"{self.name}:{line}: {row}: {text}")

    def check(self):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|") or cells[0] == "id" or set(cells[0]) <= set("-: "):
                continue
            if re.fullmatch(r"[A-Z]\d+", cells[0]):
                self.check_row(number, cells)
        for row in IDS:
            if row not in self.seen:
                self.errors.append(f"{self.name}: {row}: has no row")

    def check_row(self, line, cells):
        row = cells[0]
        if row not in IDS:
            return self.error(line, row, "is no feature")
        if row in self.seen:
            return self.error(line, row, f"stands in line {self.seen[row]} already")
        self.seen[row] = line
        if len(cells) != len(COLUMNS):
            return self.error(line, row, f"{len(cells)} columns; there are {len(COLUMNS)}: {', '.join(COLUMNS)}")
        _, capability, where, seen, tests, state = cells
        if len(capability) < 10:
            self.error(line, row, "says no capability")
        self.check_each(line, row, where, "file", lambda path: (self.tree.root / path).exists())
        self.check_each(line, row, seen, "metric, setting or command", self.tree.can_be_seen)
        self.check_each(line, row, tests, "test", self.tree.has_test)
        self.check_state(line, row, state, where, tests)

    def check_each(self, line, row, cell, what, exists):
        for claim in TICKED.findall(cell):
            if not exists(claim):
                self.error(line, row, f"there is no {what} '{claim}'")

    def check_state(self, line, row, cell, where, tests):
        state = next((word for word in STATES if cell == word or cell.startswith((word + ":", word + " ", word + "."))), None)
        if state is None:
            return self.error(line, row, f"the state is one of {', '.join(STATES)}")
        if state == "works" and not TICKED.search(tests):
            self.error(line, row, "works, but names no test")
        if state != "not yet" and not TICKED.search(where):
            self.error(line, row, f"{state}, but names no file")
        if state != "works" and len(cell) < 20:
            self.error(line, row, f"says '{state}' but not what is missing")


def main():
    parser = argparse.ArgumentParser(description="checks docs/features.md against the tree")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    args = parser.parse_args()

    root = args.root.resolve()
    path = root / "docs" / "features.md"
    if not path.exists():
        print(f"check_features: there is no {path}")
        return 2
    table = Table(path, "docs/features.md", Tree(root))
    table.check()
    for text in table.errors:
        print(text)
    print(f"check_features: {len(table.seen)} of {len(IDS)} features, {len(table.errors)} violations")
    return 1 if table.errors else 0


if __name__ == "__main__":
    sys.exit(main())
