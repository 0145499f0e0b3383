#!/usr/bin/env python3
"""Checks that documents lead somewhere.

  1. Every relative link of a *.md file names a file or folder that exists, and, behind '#', one of
     its headings.
  2. Every path `docs/...` that a document, a source, a script or a build file names exists. (Inside
     docs/ a path may also be relative to docs/.)
  3. Every page below docs/ is linked from another page, so that a reader can find it.

Usage: check_links.py [--root DIR]      exit code 0 clean, 1 violations, 2 no documents
"""

import argparse
import os
import pathlib
import re
import sys

SUFFIXES = (".h", ".cc", ".py", ".sh", ".md", ".txt", ".cmake", ".toml", ".yaml")
SKIPPED = ("build", ".git")
EXEMPT = ("tests/tools/",)  # trees that are broken on purpose

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"(?<![\w./-])docs/[\w/-]+(?:\.(?:example\.)?\w+)?/?")


def anchor_of(heading):
    """The anchor that a forge makes of a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def outside_code(text):
    """The lines of a document with fenced blocks and code spans blanked."""
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            yield ""
        else:
            yield "" if fenced else re.sub(r"`[^`]*`", lambda span: " " * len(span[0]), line)


def files_of(root):
    """Every file of the tree, in order; build directories are not entered."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix in SUFFIXES and not path.relative_to(root).as_posix().startswith(EXEMPT):
                yield path


class Documents:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.links = 0
        self.linked = set()
        self.files = list(files_of(root))
        self.pages = [path for path in self.files if path.suffix == ".md"]

    def error(self, path, number, text):
        self.errors.append(f"{path.relative_to(self.root)}:{number}: {text}")

    def headings(self, page):
        return {anchor_of(line.lstrip("#")) for line in page.read_text().splitlines()
                if re.match(r"#{1,6} ", line)}

    def check_links(self, page):
        for number, line in enumerate(outside_code(page.read_text()), 1):
            for match in LINK.finditer(line):
                target = match[1] or match[2]
                if re.match(r"[a-z]+:", target):
                    continue
                self.links += 1
                name, _, anchor = target.partition("#")
                file = (page.parent / name).resolve() if name else page
                if not file.exists():
                    self.error(page, number, f"the link '{target}' leads nowhere")
                    continue
                if file != page:
                    self.linked.add(file)
                if anchor and file.suffix == ".md" and anchor not in self.headings(file):
                    self.error(page, number, f"'{name or page.name}' has no heading '#{anchor}'")

    def check_mentions(self, path):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for word in MENTION.findall(line):
                if not (self.root / word).exists():
                    self.error(path, number, f"there is no '{word}'")

    def check_reachable(self):
        for page in self.pages:
            if page.is_relative_to(self.root / "docs") and page.resolve() not in self.linked:
                self.error(page, 1, "no other page links to this one")

    def check(self):
        for page in self.pages:
            self.check_links(page)
        for path in self.files:
            self.check_mentions(path)
        self.check_reachable()


def main():
    parser = argparse.ArgumentParser(description="checks links between documents")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    documents = Documents(parser.parse_args().root.resolve())
    if not documents.pages:
        print("check_links: no documents")
        return 2
    documents.check()
    for text in documents.errors:
        print(text)
    print(f"check_links: {len(documents.pages)} documents, {documents.links} links, "
          f"{len(documents.errors)} violations")
    return 1 if documents.errors else 0


if __name__ == "__main__":
    sys.exit(main())
