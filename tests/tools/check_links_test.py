#!/usr/bin/env python3
"""The links check must fail where it should: each case breaks one thing of a small good tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "check_links.py"
README = "# Start\n\nSee [the guide](docs/guide/first.md#two-nodes) and `[no link](nowhere)`.\n"


class CheckLinks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("README.md", README)
        self.write("docs/guide/first.md", "# First\n\n## Two nodes\n\nBack to [start](../../README.md).\n")
        self.write("src/a.h", "// See docs/guide/first.md.\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True, text=True)
        return run.returncode, run.stdout

    def refused(self, wanted):
        code, out = self.check()
        self.assertEqual(code, 1, out)
        self.assertIn(wanted, out)
        self.assertIn("1 violations", out)

    def test_good_tree_passes(self):
        self.assertEqual(self.check()[0], 0, self.check()[1])

    def test_link(self):
        self.write("docs/guide/first.md", "# First\n\n## Two nodes\n\nBack to [start](../README.md).\n")
        self.refused("docs/guide/first.md:5: the link '../README.md' leads nowhere")

    def test_anchor(self):
        self.write("README.md", README.replace("#two-nodes", "#three-nodes"))
        self.refused("'docs/guide/first.md' has no heading '#three-nodes'")

    def test_path_in_a_source(self):
        self.write("src/a.h", "// See docs/guide/gone.md.\n")
        self.refused("src/a.h:1: there is no 'docs/guide/gone.md'")

    def test_page_that_nobody_links(self):
        self.write("docs/lonely.md", "# Lonely\n")
        self.refused("docs/lonely.md:1: no other page links to this one")

    def test_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            run = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True)
            self.assertEqual(run.returncode, 2, run.stdout)


if __name__ == "__main__":
    unittest.main()
