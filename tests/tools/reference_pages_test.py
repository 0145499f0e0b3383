#!/usr/bin/env python3
"""Reference pages must follow the tables that they are made from."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "reference_pages.py"
PAGE = "# Page\n\nWritten by hand.\n\n<!-- generated -->\n<!-- end -->\n\nMore by hand.\n"
EXAMPLE = '# Where.\n# And how.\nlisten = "a"\n\n[limits]\n\n# How many.\nlinks = 3\n'
ERRORS = ("enum class Errc {\n  malformed = 101,  ///< wrong\n  full = 201,  ///< no room | none\n"
          "  internal = 599,  ///< a defect\n};\n")
METRICS = ("# HELP qudag_links links\n# TYPE qudag_links gauge\nqudag_links{kind=\"a\",of=\"b\"} 1\n" +
           "".join(f"# HELP qudag_lag_{q} late\n# TYPE qudag_lag_{q} gauge\nqudag_lag_{q} 0\n"
                   for q in ("p50", "p90", "p99", "max", "count")) +
           "# HELP qudag_wait waiting\n# TYPE qudag_wait histogram\n"
           "qudag_wait_bucket{class=\"low\",le=\"1\"} 0\nqudag_wait_sum{class=\"low\"} 0\n"
           "qudag_wait_count{class=\"low\"} 0\n")


class ReferencePages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/config.example.toml", EXAMPLE)
        self.write("include/qudag/error.h", ERRORS)
        for name in ("configuration", "exit-codes", "metrics"):
            self.write(f"docs/reference/{name}.md", PAGE)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name):
        return (self.root / "docs/reference" / name).read_text()

    def run_tool(self, *arguments):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root, "--metrics", "-", *arguments],
                             input=METRICS, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def test_pages(self):
        self.assertEqual(self.run_tool()[0], 0)
        self.assertIn("| `listen` | `\"a\"` | Where. And how. |", self.read("configuration.md"))
        self.assertIn("## `[limits]`", self.read("configuration.md"))
        self.assertIn("| `limits.links` | `3` | How many. |", self.read("configuration.md"))
        self.assertIn("| `full` | 201 | 3 | no room \\| none |", self.read("exit-codes.md"))
        self.assertIn("| `internal` | 599 | 1 | a defect |", self.read("exit-codes.md"))
        self.assertIn("| `qudag_links` | gauge | `kind`, `of` | links |", self.read("metrics.md"))
        self.assertIn("| `qudag_lag` | histogram |  | late |", self.read("metrics.md"))
        self.assertIn("| `qudag_wait` | histogram | `class` | waiting |", self.read("metrics.md"))
        self.assertTrue(self.read("metrics.md").endswith("More by hand.\n"))

    def test_check(self):
        self.assertEqual(self.run_tool("--check")[0], 1)
        self.run_tool()
        self.assertEqual(self.run_tool("--check")[0], 0)
        self.write("include/qudag/error.h", ERRORS.replace("wrong", "broken"))
        code, out = self.run_tool("--check")
        self.assertEqual(code, 1)
        self.assertIn("docs/reference/exit-codes.md is out of date", out)
        self.assertIn("+ | `malformed` | 101 | 2 | broken |", out)

    def test_a_page_without_its_part(self):
        self.write("docs/reference/metrics.md", "# Metrics\n")
        self.assertNotIn(self.run_tool()[0], (0,))


if __name__ == "__main__":
    unittest.main()
