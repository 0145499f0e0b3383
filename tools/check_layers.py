#!/usr/bin/env python3
"""Checks the architecture of the source tree from its #include lines.

The tables below are the order of dependence of DESIGN.md ("The house"). An arrow means "may
include, directly or through". The tool fails on

  layer        an include that no arrow allows,
  cycle        a cycle between files or between modules,
  third-party  a third-party header outside the modules that own it,
  seam         a clock, thread, socket or random source in a module where they are arguments,
  success      a Status or result that is a success before anything was done: give it a beginning
               (none, a failure, or std::in_place where success is what is meant),
  path         an include that is not written from src/ ("module/file.h") or does not exist,
  size         a file over 800 lines, a folder over 30 files (a header over 300 lines: warning).

Usage: check_layers.py [--root DIR] [--graph]      exit code 0 clean, 1 violations, 2 usage
"""

import argparse
import pathlib
import re
import sys

# --- The rules -------------------------------------------------------------------------------------

# module -> modules that it stands on; everything below those is allowed as well.
ARROWS = {
    "base": [],
    "crypto": ["base"],
    "wire": ["crypto"],
    "memory": ["base"],
    "queue": ["memory"],
    "runtime": ["base", "memory", "queue"],
    "link": ["runtime", "crypto", "wire"],  # OpenSSL keys, control-stream frames
    "sim": ["runtime"],  # tests only: nothing below names it
    "onion": ["wire", "crypto", "memory"],
    "circuit": ["onion", "queue"],
    "message": ["circuit", "queue"],
    "netmap": ["wire", "crypto", "memory", "queue"],  # scratch memory, the books of a queue
    "govern": ["base", "queue"],
    "store": ["crypto"],  # state files
    "node": ["link", "message", "netmap", "govern", "runtime", "store"],
    "api": ["node"],
    "apps": ["api"],
}

# Third-party headers (by the beginning of their path) and the modules that own them.
THIRD_PARTY = {
    "ngtcp2/": {"link"},
    "openssl/": {"crypto", "link", "sim"},  # sim: the seeded generator
    "boost/beast": {"api", "apps"},
    "boost/json": {"api", "apps"},
    "boost/asio": {"runtime", "api", "apps"},
    "boost/": {"runtime", "api", "apps"},
    "toml++/": {"api"},
    "CLI/": {"apps"},
    "fmt/": None,  # None: everybody
    "spdlog/": None,
}

# Public headers that are not for every module: the node's own interface is above the rest.
PUBLIC_ABOVE = {"qudag/node.h": {"node", "api", "apps"}}

# Headers of the system that have a directory in their name.
SYSTEM = ("sys/", "netinet/", "arpa/", "net/", "linux/", "asm/", "sanitizer/")

# Modules in which time, chance and sockets are arguments.
PURE_ROOMS = {"wire", "onion", "circuit", "netmap", "message", "queue", "govern"}
IMPURE_HEADERS = {"thread", "random", "fstream", "sys/socket.h", "netinet/in.h", "netinet/udp.h",
                  "sys/epoll.h", "poll.h", "unistd.h", "time.h", "ctime"}
IMPURE_CALL = re.compile(r"\b(?:steady|system|high_resolution)_clock::now\s*\(|\bclock_gettime\s*\(")

# A variable or member without a beginning: what was skipped would look as if it had worked.
SILENT_SUCCESS = re.compile(r"^\s*(?:mutable\s+|static\s+)?(?:qudag::)?(?:Status|wire::AckStatus|AckStatus)"
                            r"\s+\w+\s*(?:\{\s*\})?;")

FILE_LINES_MAX = 800
HEADER_LINES_WARN = 300
FOLDER_FILES_MAX = 30

# --- The tree --------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CODE = {".h", ".cc"}


def closure(module):
    """The module and all that it may include."""
    seen, todo = {module}, list(ARROWS[module])
    while todo:
        below = todo.pop()
        if below not in seen:
            seen.add(below)
            todo += ARROWS[below]
    return seen


class Tree:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.warnings = []
        self.edges = {}  # file -> files, for cycles
        self.room_edges = {}  # (module, module) -> the first file that needs it

    def error(self, kind, where, text):
        self.errors.append(f"{where}: {kind}: {text}")

    def files(self, *parts):
        for part in parts:
            yield from sorted(p for p in (self.root / part).rglob("*") if p.suffix in CODE)

    def room_of(self, path):
        parts = path.relative_to(self.root).parts
        if parts[0] == "src":
            return parts[1] if len(parts) > 2 else None
        return {"include": "public", "apps": "apps"}[parts[0]]

    def check_file(self, path):
        module = self.room_of(path)
        name = str(path.relative_to(self.root))
        self.edges[name] = []
        if module != "public" and module not in ARROWS:
            self.error("layer", name, f"'{module}' is no module of the house (tools/check_layers.py)")
            return
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            where = f"{name}:{number}"
            if module in PURE_ROOMS and IMPURE_CALL.search(line.split("//")[0]):
                self.error("seam", where, f"'{module}' takes the time as an argument, it reads no clock")
            if SILENT_SUCCESS.match(line):
                self.error("success", where, "a result that begins as a success; say what it is until it is known")
            match = INCLUDE.match(line)
            if match:
                self.check_include(module, path, where, match[1] == '"', match[2])

    def check_include(self, module, path, where, quoted, target):
        if target.startswith("qudag/"):
            return self.check_public(module, path, where, target)
        if quoted:
            return self.check_room_include(module, path, where, target)
        if module in PURE_ROOMS and target in IMPURE_HEADERS:
            self.error("seam", where, f"<{target}> in '{module}', where time, chance and I/O are arguments")
        owner = next((p for p in sorted(THIRD_PARTY, key=len, reverse=True) if target.startswith(p)), None)
        if owner:
            modules = THIRD_PARTY[owner]
            if module == "public":
                self.error("third-party", where, f"<{target}> in a public header")
            elif modules is not None and module not in modules:
                self.error("third-party", where, f"<{target}> in '{module}'; it belongs to {sorted(modules)}")
        elif "/" in target and not target.startswith(SYSTEM):
            self.error("third-party", where, f"<{target}>: unknown third-party header")
        elif module == "public" and target.endswith(".h"):
            self.error("third-party", where, f"<{target}>: public headers include std and qudag only")

    def check_public(self, module, path, where, target):
        file = self.root / "include" / target
        if not file.exists():
            return self.error("path", where, f"<{target}> does not exist under include/")
        modules = PUBLIC_ABOVE.get(target)
        if modules is not None and module != "public" and module not in modules:
            self.error("layer", where, f"<{target}> in '{module}'; it is for {sorted(modules)}")
        self.link(path, file)

    def check_room_include(self, module, path, where, target):
        if module == "public":
            return self.error("layer", where, f'"{target}": public headers include std and qudag only')
        if module == "apps":  # a program's own headers are relative to the program
            own = [path.parent / target, self.root / "apps" / path.relative_to(self.root / "apps").parts[0] / target]
            for file in own:
                if file.exists():
                    return self.link(path, file.resolve())
        file = self.root / "src" / target
        if "/" not in target or not file.exists():
            return self.error("path", where, f'"{target}": write it from src/, as "module/file.h"')
        below = target.split("/")[0]
        if below not in ARROWS:
            return self.error("layer", where, f"'{below}' is no module of the house")
        if below not in closure(module):
            self.error("layer", where, f"'{module}' may not include '{below}' (\"{target}\")")
        if below != module:
            self.room_edges.setdefault((module, below), where)
        self.link(path, file)

    def link(self, path, file):
        self.edges[str(path.relative_to(self.root))].append(str(file.relative_to(self.root)))

    def check_cycles(self):
        for cycle in cycles(self.edges):
            self.error("cycle", cycle[0], " -> ".join(cycle))
        modules = {}
        for above, below in self.room_edges:
            modules.setdefault(above, []).append(below)
        for cycle in cycles(modules):
            self.error("cycle", self.room_edges[cycle[0], cycle[1]], "modules " + " -> ".join(cycle))

    def check_sizes(self):
        folders = {}
        for path in self.files("src", "include", "apps", "tests", "bench", "examples"):
            name = path.relative_to(self.root)
            if "bad_tree" in name.parts:
                continue
            folders.setdefault(name.parent, []).append(name)
            with path.open("rb") as file:
                lines = sum(1 for _ in file)
            if lines > FILE_LINES_MAX:
                self.error("size", name, f"{lines} lines; split it by role before {FILE_LINES_MAX}")
            elif path.suffix == ".h" and lines > HEADER_LINES_WARN:
                self.warnings.append(f"{name}: size: a header of {lines} lines (wanted: under {HEADER_LINES_WARN})")
        for folder, names in folders.items():
            if len(names) > FOLDER_FILES_MAX:
                self.error("size", folder, f"{len(names)} files; no folder over {FOLDER_FILES_MAX}")


def cycles(graph):
    """One cycle for each back edge of a depth-first walk: enough to name what is wrong."""
    state, found = {}, []

    def walk(node, path):
        state[node] = "open"
        for below in graph.get(node, []):
            if state.get(below) == "open":
                found.append(path[path.index(below):] + [below])
            elif below not in state:
                walk(below, path + [below])
        state[node] = "done"

    for node in sorted(graph):
        if node not in state:
            walk(node, [node])
    return found


def main():
    parser = argparse.ArgumentParser(description="architecture check")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--graph", action="store_true", help="print which module includes which")
    args = parser.parse_args()

    tree = Tree(args.root.resolve())
    count = 0
    for path in tree.files("include", "src", "apps"):
        tree.check_file(path)
        count += 1
    tree.check_cycles()
    tree.check_sizes()

    if args.graph:
        for above in ARROWS:
            below = [b for (a, b) in tree.room_edges if a == above]
            print(f"{above:8} -> {' '.join(sorted(below, key=list(ARROWS).index)) or '-'}")
    for text in tree.warnings:
        print("warning:", text)
    for text in tree.errors:
        print(text)
    print(f"check_layers: {count} files, {len(tree.errors)} violations, {len(tree.warnings)} warnings")
    if count == 0:
        print(f"check_layers: no sources under {args.root}")
        return 2
    return 1 if tree.errors else 0


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    sys.exit(main())
