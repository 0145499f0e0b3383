#!/usr/bin/env python3
"""What libqudag.so exports: the C functions of c_symbols.txt, no more and no less, and of C++ only
what the public headers mark QUDAG_API.

Weak symbols of std:: are not ours to hide (libstdc++ declares them visible) and are passed over.

Usage: symbols_test.py LIBRARY INCLUDE_DIR C_SYMBOLS     exit code 0 right, 1 wrong
"""

import pathlib
import re
import subprocess
import sys


def exported(library):
    """(kind, name as it is linked, name as it is written) of every defined dynamic symbol."""
    mangled = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                             capture_output=True).stdout.splitlines()
    names = [line.split(maxsplit=2)[1:] for line in mangled]
    plain = subprocess.run(["c++filt"], input="\n".join(n for _, n in names), check=True, text=True,
                           capture_output=True).stdout.splitlines()
    return [(kind, name, text) for (kind, name), text in zip(names, plain)]


def marked(include):
    """Names that the headers mark: whole classes, members, and free functions."""
    classes, functions = set(), set()
    for header in sorted(pathlib.Path(include).glob("*.h")):
        scope = None
        for line in header.read_text().splitlines():
            if whole := re.match(r"class QUDAG_API (\w+)", line):
                classes.add(whole[1])
                scope = None
            elif begin := re.match(r"(?:struct|class) (\w+) (?:final )?\{", line):
                scope = begin[1]
            elif line.startswith("}"):
                scope = None
            elif "QUDAG_API" in line and (name := re.search(r"(\w+)\(", line)):
                functions.add(f"{scope}::{name[1]}" if scope else name[1])
    return classes, functions


def check(library, include, list_file):
    wrong = []
    classes, functions = marked(include)
    c_names = set()
    for kind, name, text in exported(library):
        if kind in "Aa":  # section marks, version names
            continue
        if not name.startswith("_Z"):
            if kind not in "Ww":
                c_names.add(name)
            continue
        if not re.search(r"\bqudag::", text) or kind in "WwVvu" and "std::" in text.split("(")[0]:
            if kind not in "WwVvu":
                wrong.append(f"{text}: not ours")
            continue
        if "::Impl" in text and not re.search(r"\b(unique|shared)_ptr", text):
            wrong.append(f"{text}: the inside of a class")
            continue
        member = re.match(r"(?:(?:typeinfo|typeinfo name|vtable|guard variable) for )?"
                          r"qudag::(?:(\w+)::)?(~?\w+)", text)
        if member and (member[1] in classes or member[2] in classes and not member[1]):
            continue
        if member and (f"{member[1]}::{member[2]}" if member[1] else member[2]) in functions:
            continue
        wrong.append(f"{text}: not marked QUDAG_API")
    wanted = set(pathlib.Path(list_file).read_text().split())
    wrong += [f"{name}: exported, but not in {list_file}" for name in sorted(c_names - wanted)]
    wrong += [f"{name}: in {list_file}, but not exported" for name in sorted(wanted - c_names)]
    return wrong


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = check(*arguments)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"symbols: {len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
