#!/usr/bin/env python3
"""The layer check must fail where it should: bad_tree/ breaks every kind of rule once."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
TOOL = HERE.parent.parent / "tools" / "check_layers.py"


def check(root):
    run = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True)
    return run.returncode, run.stdout


class CheckLayers(unittest.TestCase):
    def test_bad_tree_is_refused(self):
        code, out = check(HERE / "bad_tree")
        self.assertEqual(code, 1, out)
        for wanted in (
            "src/base/low.h:3: layer: 'base' may not include 'crypto'",
            "cycle: src/base/low.h -> src/crypto/high.h -> src/base/low.h",
            "cycle: modules base -> crypto -> base",
            "src/sync/clock.h:3: third-party: <openssl/evp.h> in 'sync'",
            "src/sync/clock.h:6: seam:",
            'src/wire/lost.h:3: path: "lost_too.h"',
            "src/sync/clock.h:7: success:",
            "src/sync/clock.h:8: success:",
            "src/link/path/up.h:3: layer: 'link/path' may not include 'link'",
            "include/qudag/node.h:3: third-party: <fmt/format.h> in a public header",
        ):
            self.assertIn(wanted, out)
        self.assertNotIn("src/crypto/high.h:3: layer", out)

    def test_size_limit(self):
        with tempfile.TemporaryDirectory() as root:
            room = pathlib.Path(root, "src", "base")
            room.mkdir(parents=True)
            (room / "long.cc").write_text("\n" * 801)
            code, out = check(root)
            self.assertEqual(code, 1, out)
            self.assertIn("src/base/long.cc: size: 801 lines", out)

    def test_good_tree_passes(self):
        with tempfile.TemporaryDirectory() as root:
            for room, text in (("base", "#include <cstdint>\n"), ("crypto", '#include "base/a.h"\n')):
                folder = pathlib.Path(root, "src", room)
                folder.mkdir(parents=True)
                (folder / "a.h").write_text(text)
            self.assertEqual(check(root)[0], 0)

    def test_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(check(root)[0], 2)


if __name__ == "__main__":
    unittest.main()
