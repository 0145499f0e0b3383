#!/usr/bin/env python3
"""The page of results must be what the files make, and say no more than they do."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "results_page.py"
REPORT = {"scenario": "soak", "title": "Soak", "command": "./dev bench soak",
          "results": [{"name": "soak/growth", "unit": "x", "better": "lower", "median": 1.042}],
          "tables": [{"columns": ["what", "how much"], "rows": [["a | b", "3"]]}]}


class ResultsPage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "bench/results").mkdir(parents=True)
        self.write(REPORT)

    def write(self, report, name="soak"):
        (self.root / f"bench/results/{name}.json").write_text(json.dumps(report))

    def run_tool(self, *arguments):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root, *arguments],
                             capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def page(self):
        self.assertEqual(self.run_tool()[0], 0)
        return (self.root / "docs/reference/results.md").read_text()

    def test_what_is_known_is_said_and_nothing_else(self):
        page = self.page()
        self.assertIn("## Soak", page)
        self.assertIn("| `soak/growth` | 1.04 | x |", page)
        self.assertIn("a \\| b", page)
        self.assertNotIn("Commit:", page)
        self.assertNotIn("Machine:", page)

    def test_limit_and_peer(self):
        row = {"name": "direct/rate", "unit": "/s", "better": "higher", "median": 30, "limit": 60, "peer": 20}
        self.write({**REPORT, "results": [row, {**row, "name": "cpu", "better": "lower"}]})
        page = self.page()
        self.assertIn("| `direct/rate` | 30 | /s | 50 % | 1.50 |", page)
        self.assertIn("| `cpu` | 30 | /s | 0.5 x | 1.50 |", page)

    def test_check(self):
        self.assertEqual(self.run_tool("--check")[0], 1)
        self.page()
        self.assertEqual(self.run_tool("--check")[0], 0)
        self.write({**REPORT, "commit": "d777d71"})
        code, out = self.run_tool("--check")
        self.assertEqual(code, 1)
        self.assertIn("docs/reference/results.md is not what bench/results/ makes", out)

    def test_a_file_has_the_name_of_its_scenario(self):
        self.write(REPORT, "other")
        self.assertNotEqual(self.run_tool()[0], 0)


if __name__ == "__main__":
    unittest.main()
