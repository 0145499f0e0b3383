#!/usr/bin/env python3
"""Compiles the C++ fragments of documents: each is a function with fragments.h around it.

Usage: fragments_test.py DOCUMENT COMPILER [FLAG...]     exit code 0 right, 1 wrong, 2 no fragments
"""

import pathlib
import subprocess
import sys
import tempfile

from documents import blocks_of


def function_of(block, number):
    """The fragment as a function, with its includes before it, and the document's lines in errors."""
    path, line = block.where.rsplit(":", 1)
    lines = block.text.splitlines()
    includes = "\n".join(one for one in lines if one.startswith("#include"))
    body = "\n".join("" if one.startswith("#include") else one for one in lines)
    return (f'{includes}\nint fragment_{number}() {{\n#line {int(line) + 1} "{path}"\n{body}\n'
            f'#line 1 "after the fragment of {block.where}"\nreturn 0;\n}}\n')


def main(document, compiler, *flags):
    here = pathlib.Path(__file__).resolve().parent
    fragments = [block for block in blocks_of(document, document) if block.language == "cpp"]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "fragments.cc")
        source.write_text('#include "fragments.h"\n'
                          + "".join(function_of(block, i) for i, block in enumerate(fragments)))
        run = subprocess.run([compiler, *flags, "-std=c++23", "-fsyntax-only", "-Werror=unused-result",
                              f"-I{here}", source], text=True, capture_output=True)
    print(run.stderr, end="")
    print(f"fragments: {len(fragments)}, exit code of the compiler {run.returncode}")
    return 2 if not fragments else 1 if run.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
