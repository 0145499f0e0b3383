#!/usr/bin/env python3
"""The prose check must fail where it should, and leave tables, code and links alone."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "check_prose.py"
LONG = "word " * 30


class CheckProse(unittest.TestCase):
    def check(self, text, name="README.md"):
        with tempfile.TemporaryDirectory() as root:
            page = pathlib.Path(root, name)
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
            run = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True)
            return run.returncode, run.stdout

    def test_what_may_be_long(self):
        code, out = self.check(f"# Good\n\n| {LONG} |\n\n```\n{LONG}\n```\n\n    {LONG}\n\n"
                               f"[x](https://{'x' * 120})\n")
        self.assertEqual(code, 0, out)

    def test_width(self):
        code, out = self.check(f"# Bad\n\n{LONG}\n")
        self.assertEqual(code, 1)
        self.assertIn("README.md:3: width: 150 columns", out)

    def test_commit(self):
        code, out = self.check("At `d777d71` it was fast.\n")
        self.assertEqual(code, 1)
        self.assertIn("README.md:1: figures: names the commit `d777d71`", out)

    def test_words_that_are_no_commits(self):
        self.assertEqual(self.check("`feedbed` and `1234567` are none.\n")[0], 0)

    def test_load(self):
        self.assertEqual(self.check("Measured at load 13.\n")[0], 1)

    def test_the_page_of_results_may(self):
        self.assertEqual(self.check("At `d777d71`, load 13.\n", "docs/reference/results.md")[0], 0)

    def test_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            run = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True)
            self.assertEqual(run.returncode, 2, run.stdout)


if __name__ == "__main__":
    unittest.main()
