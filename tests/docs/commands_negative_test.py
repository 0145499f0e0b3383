#!/usr/bin/env python3
"""The tests of documents must fail where they should: each case is a small document.

Usage: commands_negative_test.py QUDAG
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).parent / "commands_test.py"
GOOD = """# Good

    qudag keygen n.key
    qudag id n.key

It prints the id:

    hk33sdydyfjk5bxxxou22yegk5l5gusi64o4xjgwzabwrztqwp3q

"""


class Commands(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as root:
            pathlib.Path(root, "README.md").write_text(text)
            pathlib.Path(root, "tests").mkdir()
            run = subprocess.run([sys.executable, TOOL, QUDAG, "--root", root], capture_output=True, text=True)
            return run.returncode, run.stdout + run.stderr

    def wrong(self, text, why):
        code, out = self.check(text)
        self.assertEqual(code, 1, out)
        self.assertIn(why, out)

    def test_good(self):
        code, out = self.check(GOOD)
        self.assertEqual(code, 0, out)
        self.assertIn("1 run, 1 output", out)

    def test_a_flag_that_there_is_not(self):
        self.wrong("    qudag send --to ID file.bin\n", "README.md:1: `qudag send --to")

    def test_a_request_that_the_node_refuses(self):
        self.wrong("    qudag node --api.socket ./1.sock\n"
                   "    curl --unix-socket ./1.sock http://q/v1/statuses\n", "no such route")

    def test_a_service_that_does_not_start(self):
        self.wrong("    qudag node --shards many\n", "the ready line did not come")

    def test_another_output(self):
        self.wrong(GOOD.replace("hk33", "HK33"), "README.md:8: nothing in the output looks like: HK33")

    def test_a_block_of_no_kind(self):
        self.wrong("    frobnicate --all\n", "README.md:1: neither run nor marked with a reason")
        self.wrong("```sh\nfrobnicate --all\n```\n", "README.md:1: neither run nor marked with a reason")

    def test_a_reason_is_more_than_a_word(self):
        self.wrong("<!-- not run: no -->\n\n    frobnicate --all\n", "'not run' without a reason")
        self.assertEqual(self.check("<!-- not run: frobnicate needs a second machine -->\n\n    frobnicate\n")[0], 0)

    def test_a_mark_of_no_block(self):
        self.wrong("<!-- not run: it needs a second machine -->\nText.\n", "a mark without a block")

    def test_a_test_that_there_is_not(self):
        self.wrong("<!-- run by: no.such -->\n\n    frobnicate\n", "there is no test no.such")

    def test_a_program_that_fails(self):
        self.wrong("```python\nraise SystemExit(3)\n```\n", "exit code 3")

    def test_a_span_with_a_flag_that_there_is_not(self):
        self.wrong("Use `qudag status --sockets` or `qudag statuses`.\n", "no flag --sockets")

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            run = subprocess.run([sys.executable, TOOL, QUDAG, "--root", root], capture_output=True)
            self.assertEqual(run.returncode, 2)

    def test_a_fragment_that_does_not_compile(self):
        tool = TOOL.parent / "fragments_test.py"
        with tempfile.TemporaryDirectory() as root:
            page = pathlib.Path(root, "page.md")
            page.write_text("```cpp\nint x = ;\n```\n")
            # A compiler that is none: it hears of the source, and says no.
            run = subprocess.run([sys.executable, tool, page, "false"], capture_output=True)
            self.assertEqual(run.returncode, 1)
            page.write_text("Text.\n")
            run = subprocess.run([sys.executable, tool, page, "true"], capture_output=True)
            self.assertEqual(run.returncode, 2)


if __name__ == "__main__":
    QUDAG = sys.argv.pop(1)
    unittest.main()
