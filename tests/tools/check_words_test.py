#!/usr/bin/env python3
"""The words check must fail where it should."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent.parent.parent / "tools" / "check_words.py"
GLOSSARY = """| word | meaning | not used |
|---|---|---|
| relays | on the way | `--hops`, `Hop` |
| cell | a unit | |
"""


class CheckWords(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/glossary.md", GLOSSARY)
        self.write("src/a.cc", "struct Hops {}; // relays, --hops-max\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True,
                             text=True)
        return run.returncode, run.stdout + run.stderr

    def test_clean(self):
        self.write("src/a.cc", "struct Hops {};\n")
        self.assertEqual(self.check()[0], 0)

    def test_a_word_in_code(self):
        self.write("src/a.cc", "struct Hop {};\n")
        code, out = self.check()
        self.assertEqual(code, 1)
        self.assertIn("src/a.cc:1: 'Hop' is not used here: relays", out)

    def test_a_word_in_a_document(self):
        self.write("README.md", "say --hops 3\n")
        self.assertEqual(self.check()[0], 1)

    def test_no_column(self):
        self.write("docs/glossary.md", "| word | meaning |\n|---|---|\n| a | b |\n")
        self.assertEqual(self.check()[0], 2)


if __name__ == "__main__":
    unittest.main()
