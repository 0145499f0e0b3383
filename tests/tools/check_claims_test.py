#!/usr/bin/env python3
"""The claims check must fail where it should: each case breaks one thing of a small good tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
TOOL = HERE.parent.parent / "tools" / "check_claims.py"

GOOD = """# Claims
| what | program |
|---|---|
| a secret | `attack.Thing.Fails` and `lint.layers`, in `tests/attack/` |

Words like `Options::size` and `limits.memory` are no tests; `base.Thing.*` is.
"""


class CheckClaims(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("include/qudag/options.h", "")
        self.write("tests/attack/thing_test.cc", "TEST(Thing, Fails) {}\n// TEST(Thing, Dreams) {}\n")
        self.write("tests/base/thing_test.cc", "TEST(Thing, Works) {}\n")
        self.write("tests/tools/CMakeLists.txt", "add_test(NAME lint.layers COMMAND x)\n")
        self.write("docs/threat-model.md", GOOD)
        self.write("docs/attacks.md", GOOD)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True, text=True)
        return run.returncode, run.stdout

    def refused(self, document, old, new, wanted):
        self.assertIn(old, GOOD)
        self.write(document, GOOD.replace(old, new))
        code, out = self.check()
        self.assertEqual(code, 1, out)
        self.assertIn(wanted, out)
        self.assertIn("1 violations", out)

    def test_good_documents_pass(self):
        code, out = self.check()
        self.assertEqual(code, 0, out)
        self.assertIn("3 tests named, 2 rows", out)

    def test_test(self):
        for document in ("docs/threat-model.md", "docs/attacks.md"):
            with self.subTest(document):
                self.refused(document, "`lint.layers`", "`lint.dreams`", "no test 'lint.dreams'")
                self.write(document, GOOD)

    def test_suite(self):
        self.refused("docs/threat-model.md", "`base.Thing.*`", "`base.Dream.*`", "no test 'base.Dream.*'")

    def test_test_in_a_comment(self):
        self.refused("docs/attacks.md", "attack.Thing.Fails", "attack.Thing.Dreams", "no test 'attack.Thing.Dreams'")

    def test_file(self):
        self.refused("docs/attacks.md", "`tests/attack/`", "`tests/dream/`", "no file 'tests/dream/'")

    def test_row_without_a_test(self):
        self.refused("docs/threat-model.md", "`attack.Thing.Fails` and `lint.layers`", "a program",
                     "'a secret' names no test")

    def test_star_without_a_suite(self):
        self.refused("docs/attacks.md", "`base.Thing.*`", "`base.*`", "'base.*' names no suite")
        self.refused("docs/attacks.md", "`base.Thing.*`", "`base.*Works*`", "'base.*Works*' names no suite")

    def test_document_without_programs(self):
        self.refused("docs/threat-model.md", "| what | program |", "| what | by |", "no table has a column")

    def test_missing_document_is_no_success(self):
        (self.root / "docs/attacks.md").unlink()
        self.assertEqual(self.check()[0], 2)


if __name__ == "__main__":
    unittest.main()
