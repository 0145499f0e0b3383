#!/usr/bin/env python3
"""Checks that the words which docs/glossary.md says are not used are used nowhere.

The last column of the glossary's table, `not used`, holds words in backticks. Each is looked for as
a whole word, with its case, in code, build files and documents.

Usage: check_words.py [--root DIR]      exit code 0 clean, 1 violations, 2 no such column
"""

import argparse
import pathlib
import re
import sys

FOLDERS = ("src", "include", "apps", "bench", "testing", "tests", "cmake", "tools", "docs", "examples")
SUFFIXES = (".h", ".cc", ".cpp", ".py", ".sh", ".md", ".txt", ".cmake", ".toml")
GLOSSARY = "docs/glossary.md"
EXEMPT = (GLOSSARY, "tests/tools/check_words_test.py")

TICKED = re.compile(r"`([^`]+)`")


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def unused_words(glossary):
    """Word not used -> the word to use."""
    words, column = {}, None
    for line in glossary.read_text().splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = cells_of(line)
        if column is None:
            column = cells.index("not used") if "not used" in cells else -1
        elif column >= 0 and len(cells) > column:
            for word in TICKED.findall(cells[column]):
                words[word] = cells[0]
    return words


def files_of(root):
    yield from (path for path in root.glob("*") if path.suffix in SUFFIXES and path.is_file())
    for folder in FOLDERS:
        yield from (path for path in sorted((root / folder).rglob("*"))
                    if path.suffix in SUFFIXES and path.is_file())


def main():
    parser = argparse.ArgumentParser(description="looks for the words that the glossary rules out")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    words = unused_words(root / GLOSSARY) if (root / GLOSSARY).is_file() else {}
    if not words:
        print(f"{GLOSSARY}: no table with a column 'not used'", file=sys.stderr)
        return 2
    # "-" belongs to a word: an option is none of the words in it.
    pattern = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, words)) + r")(?!\w)")
    violations = files = 0
    for path in files_of(root):
        name = path.relative_to(root).as_posix()
        if name in EXEMPT:
            continue
        files += 1
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for word in pattern.findall(line):
                violations += 1
                print(f"{name}:{number}: '{word}' is not used here: {words[word]}")
    print(f"check_words: {len(words)} words, {files} files, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
