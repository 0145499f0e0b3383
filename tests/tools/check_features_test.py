#!/usr/bin/env python3
"""The features check must fail where it should: each case breaks one thing of a small good tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
TOOL = HERE.parent.parent / "tools" / "check_features.py"

GOOD_ROW = ("| {id} | a thing that it does | `src/base/` | `qudag_links`, `limits.size` and `./dev bench` "
            "| `base.Thing.Works` | {state} |")
IDS = [f"{group}{number}" for group in "MPNL" for number in range(1, 13)]


class CheckFeatures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/config.example.toml", "[limits]\n# gone = 1\nsize = 64\n")
        self.write("src/base/turns.h", "inline constexpr int kTurns = 3;\n")
        self.write("src/node/metrics.cc", 'ROW("qudag_links", "kind=\\"open\\"", "links")\n')
        self.write("tests/base/thing_test.cc", "TEST(Thing, Works) {}\n// TEST(Thing, Dreams) {}\n")
        self.write("tests/tools/CMakeLists.txt", "add_test(NAME lint.layers COMMAND x)\n# add_test(NAME lint.gone\n")
        self.write("tests/fuzz/cell_fuzz.cc", "")
        self.rows = {row: GOOD_ROW.format(id=row, state="works") for row in IDS}

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        self.write("docs/features.md", "# Features\n\n| id | feature |\n|---|---|\n" + "\n".join(self.rows.values()) + "\n")
        run = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True, text=True)
        return run.returncode, run.stdout

    def refused(self, old, new, wanted):
        """The good row M3 with one change must be refused, and nothing else with it."""
        self.assertIn(old, self.rows["M3"])
        self.rows["M3"] = self.rows["M3"].replace(old, new)
        code, out = self.check()
        self.assertEqual(code, 1, out)
        self.assertIn(wanted, out)
        self.assertIn("1 violations", out)

    def test_good_table_passes(self):
        self.rows["M1"] = self.rows["M1"].replace("`base.Thing.Works`", "`base.Thing.*`, `lint.layers`, `fuzz.cell`")
        self.rows["M2"] = self.rows["M2"].replace("`qudag_links`", '`qudag_links{kind="open"}`')
        code, out = self.check()
        self.assertEqual(code, 0, out)
        self.assertIn("48 of 48", out)

    def test_missing_row(self):
        del self.rows["L7"]
        code, out = self.check()
        self.assertEqual(code, 1, out)
        self.assertIn("L7: has no row", out)

    def test_row_twice(self):
        self.rows["again"] = self.rows["P4"]
        self.assertIn("P4: stands in line", self.check()[1])

    def test_unknown_id(self):
        self.rows["M13"] = GOOD_ROW.format(id="M13", state="works")
        self.assertIn("M13: is no feature", self.check()[1])

    def test_file(self):
        self.refused("`src/base/`", "`src/dream/`", "no file 'src/dream/'")

    def test_test(self):
        self.refused("base.Thing.Works", "base.Thing.Flies", "no test 'base.Thing.Flies'")

    def test_test_in_a_comment(self):
        self.refused("base.Thing.Works", "base.Thing.Dreams", "no test 'base.Thing.Dreams'")

    def test_test_in_a_cmake_comment(self):
        self.refused("base.Thing.Works", "lint.gone", "no test 'lint.gone'")

    def test_metric(self):
        self.refused("qudag_links", "qudag_dreams", "no metric, setting or command 'qudag_dreams'")

    def test_metric_label(self):
        self.refused("`qudag_links`", '`qudag_links{kind="shut"}`', "no metric, setting or command 'qudag_links{")

    def test_setting(self):
        self.refused("limits.size", "limits.colour", "no metric, setting or command 'limits.colour'")

    def test_setting_in_a_comment(self):
        self.refused("limits.size", "limits.gone", "no metric, setting or command 'limits.gone'")

    def test_capability(self):
        self.refused("a thing that it does", "", "says no capability")

    def test_works_without_test(self):
        self.refused("`base.Thing.Works`", "none", "works, but names no test")

    def test_state(self):
        self.refused("| works |", "| perfect |", "the state is one of works, part, not yet")

    def test_part_says_which(self):
        self.refused("| works |", "| part |", "says 'part' but not what is missing")

    def test_not_yet_says_what(self):
        self.refused("| works |", "| not yet |", "says 'not yet' but not what is missing")

    def test_no_table_is_no_success(self):
        run = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2, run.stdout)


if __name__ == "__main__":
    unittest.main()
