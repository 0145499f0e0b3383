#!/usr/bin/env python3
"""Checks docs/features.md, the table of the 48 features, against the tree that it speaks of.

What the table says must exist; what does not exist yet must be called so. A row is

  | id | feature | where | knob and default | metrics | tests | last figures | state |

and every word in backticks in it is a claim, which is checked by its column:

  where    a path of the tree: `src/link/`, `src/queue/wheel.h`
  knob     `Struct::member` or `Struct::member = default` of a header, `kConstant` or
           `kConstant = value` of the sources; a default that is written must be the one of the code
  metrics  a name of src/node/metrics.cc, labels if wanted: `qudag_links`, `qudag_x_total{reason="y"}`
  tests    a name as ctest prints it: `memory.Suite.Case`, `memory.Suite.*`, `lint.layers`
  figures  "not measured yet", or figures with the machine and the commit in backticks
  state    begins with works, part or not yet; `works` needs a test, and `part` a sentence

Usage: check_features.py [--root DIR]      exit code 0 clean, 1 violations, 2 no table
"""

import argparse
import pathlib
import re
import sys

COLUMNS = ("id", "feature", "where", "knob and default", "metrics", "tests", "last figures", "state")
IDS = [f"{group}{number}" for group in "MPNL" for number in range(1, 13)]
STATES = ("works", "part", "not yet")
NOT_MEASURED = "not measured yet"

TICKED = re.compile(r"`([^`]+)`")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


# --- What the tree has -----------------------------------------------------------------------------

class Tree:
    def __init__(self, root):
        self.root = root
        self.headers = "\n".join(self.code("include", "src", suffixes={".h"}))
        self.sources = "\n".join(self.code("include", "src", suffixes={".h", ".cc"}))
        metrics = root / "src" / "node" / "metrics.cc"
        self.metrics_text = metrics.read_text() if metrics.exists() else ""
        self.metric_names = set(re.findall(r'"(qudag_[a-z0-9_]+)"', self.metrics_text))
        self.tests = set(self.gtest_names()) | set(self.other_tests())

    def code(self, *parts, suffixes):
        """Texts without comments, so that only what is compiled counts."""
        for part in parts:
            for path in sorted((self.root / part).rglob("*")):
                if path.suffix in suffixes:
                    yield COMMENT.sub("", path.read_text(errors="replace"))

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
        return all(label.replace('"', '\\"') in self.metrics_text
                   for label in labels.rstrip("}").split(",") if label)

    def knob_default(self, name):
        """The initializer of a knob, "" for one without, None for one that does not exist."""
        if "::" not in name:
            found = re.search(rf"\bconstexpr\b[^;={{}}()]*\b{re.escape(name)}\b[^;={{}}()]*(?:=\s*([^;]+)|\{{([^}}]*))[;}}]",
                              self.sources)
        else:
            struct, _, member = name.rpartition("::")
            body = self.struct_body(struct)
            if body is None:
                return None
            found = re.search(rf"\b{re.escape(member)}\b(?:\s*=\s*([^;,]+)|\{{([^}}]*)\}})?\s*[;,]", body)
        return (found[1] or found[2] or "").strip() if found else None

    def struct_body(self, name):
        start = re.search(rf"\b(?:struct|class)\s+(?:QUDAG_API\s+)?{re.escape(name)}\b[^;{{]*\{{", self.headers)
        if not start:
            return None
        depth, at = 1, start.end()
        while depth and at < len(self.headers):
            depth += {"{": 1, "}": -1}.get(self.headers[at], 0)
            at += 1
        return self.headers[start.end():at]


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
        _, _, where, knob, metrics, tests, figures, state = cells
        self.check_each(line, row, where, "file", lambda path: (self.tree.root / path).exists())
        self.check_knobs(line, row, knob)
        self.check_each(line, row, metrics, "metric", self.tree.has_metric)
        self.check_each(line, row, tests, "test", self.tree.has_test)
        self.check_figures(line, row, figures)
        self.check_state(line, row, state, where, tests)

    def check_each(self, line, row, cell, what, exists):
        for claim in TICKED.findall(cell):
            if not exists(claim):
                self.error(line, row, f"there is no {what} '{claim}'")

    def check_knobs(self, line, row, cell):
        for claim in TICKED.findall(cell):
            name, _, said = (part.strip() for part in claim.partition("="))
            default = self.tree.knob_default(name)
            if default is None:
                self.error(line, row, f"there is no knob '{name}'")
            elif said and said != default:
                self.error(line, row, f"the default of '{name}' is '{default}', not '{said}'")

    def check_figures(self, line, row, cell):
        if cell != NOT_MEASURED and not any(re.fullmatch(r"[0-9a-f]{7,40}", word) for word in TICKED.findall(cell)):
            self.error(line, row, f"figures name their machine and their commit in backticks, or are '{NOT_MEASURED}'")

    def check_state(self, line, row, cell, where, tests):
        state = next((word for word in STATES if cell == word or cell.startswith((word + ":", word + " ", word + "."))), None)
        if state is None:
            return self.error(line, row, f"the state is one of {', '.join(STATES)}")
        if state == "works" and not TICKED.search(tests):
            self.error(line, row, "works, but names no test")
        if state != "not yet" and not TICKED.search(where):
            self.error(line, row, f"{state}, but names no file")
        if state == "part" and len(cell) < 20:
            self.error(line, row, "says 'part' but not which part exists")


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
