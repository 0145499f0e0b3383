"""The code blocks of a document, and what an HTML comment in front of a block says of it.

A block is fenced, or indented by four spaces. What stands before it, alone on a line:

    <!-- not run: REASON -->   nobody can run it in a test, because ...
    <!-- run by: TEST -->      another test of the suite does
    <!-- file: NAME -->        it is the content of a file that the commands below it read
    <!-- first: COMMAND -->    a command that the reader is told of in words; several are run in order
"""

import dataclasses
import pathlib
import re

COMMENT = re.compile(r"<!-- (not run|run by|file|first):\s*(.*?)\s*-->$")
FENCE = re.compile(r"(`{3,}|~{3,})(.*)$")
INDENT = "    "


@dataclasses.dataclass
class Block:
    where: str  # "README.md:37"
    language: str  # "" if the document names none
    text: str
    marks: list  # (kind, text) in order

    def mark(self, kind):
        """The text of its mark of that kind, or None."""
        return next((text for known, text in self.marks if known == kind), None)

    def commands(self):
        """Its lines; one that ends with a backslash goes on in the next one."""
        return [line for line in re.sub(r"\\\n\s*", "", self.text).splitlines() if line.strip()]


def blocks_of(path, name):
    lines = pathlib.Path(path).read_text().splitlines()
    marks, at = [], 0
    while at < len(lines):
        begin, line = at, lines[at]
        at += 1
        if comment := COMMENT.match(line):
            marks.append((comment[1], comment[2]))
        elif fence := FENCE.match(line):
            while at < len(lines) and lines[at].strip() != fence[1]:
                at += 1
            yield Block(f"{name}:{begin + 1}", fence[2].strip(), "\n".join(lines[begin + 1:at]) + "\n", marks)
            at, marks = at + 1, []
        elif line.startswith(INDENT) and (begin == 0 or not lines[begin - 1].strip() or marks):
            while at < len(lines) and (lines[at].startswith(INDENT) or not lines[at].strip()):
                at += 1
            text = "\n".join(one[len(INDENT):] for one in lines[begin:at])
            yield Block(f"{name}:{begin + 1}", "", text.rstrip() + "\n", marks)
            marks = []
        elif line.strip():
            if marks:
                yield Block(f"{name}:{begin}", "", "", marks)  # a mark of no block
            marks = []
