#!/usr/bin/env python3
"""Checks the architecture of the source tree from its #include lines.

The tables below are the order of dependence that docs/internals/architecture.md draws. An arrow
means "may include, directly or through". The tool fails on

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
    "telemetry": ["base"],
    "crypto": ["base"],
    "wire": ["crypto"],
    "memory": ["telemetry"],
    "sync": ["memory"],
    "runtime": ["base", "memory", "sync"],
    "link": ["runtime", "crypto", "wire"],  # OpenSSL keys, control-stream frames
    "onion": ["wire", "crypto", "memory"],
    "circuit": ["onion", "sync"],
    "message": ["circuit", "overload", "sync"],
    "keeper": ["message"],
    "netmap": ["wire", "crypto", "memory", "sync"],  # scratch memory, the books of a queue
    "overload": ["base", "sync"],
    "settings": ["base"],
    "store": ["crypto", "sync"],  # state files, records and the queue to them
    "shard": ["keeper", "link", "message", "netmap", "overload", "runtime"],
    "node": ["shard", "store", "settings"],
    "config": ["settings"],
    "gateway": ["node", "config"],  # programs that speak TCP, and pipes
    "api": ["gateway", "node", "config"],
    "testing": ["runtime"],  # tests only: nothing else names it
    "apps": ["api"],
    "bench": ["apps"],
}

# Inside a module: folder -> folders of the same module that it may include. "" is the module's own
# folder. Every folder may include itself; a module that is not listed has no inner order.
INNER = {
    "link": {
        "path": [],
        "tls": [],
        "dialing": [],
        "stream": ["path"],  # a long path has larger windows
        "admission": ["path"],
        "": ["admission", "dialing", "stream"],  # endpoint.h: what the module offers; stats.h
        "connection": ["", "admission", "path", "stream", "tls"],
        "endpoint": ["", "admission", "connection", "path", "stream", "tls"],
    },
    "netmap": {
        "map": [],
        "routes": ["map"],
        "reached": ["map"],
        "": ["map", "routes"],  # netmap.h: what the module offers
        "gossip": ["", "map", "reached", "routes"],
    },
    "shard": {
        "seam": [],
        "gossip": ["seam"],
        "protection": ["seam"],
        "pipe": ["", "seam"],
        "": ["gossip", "pipe", "protection", "seam"],
    },
    "keeper": {"card": [], "letters": ["", "card"], "": ["card", "letters"]},
    "message": {
        "known": [],
        "queue": [],
        "pipe": ["", "known"],
        "": ["known", "pipe", "queue"],
    },
    "node": {
        "process": [],
        "inbox": [],
        "letters": [],
        "": ["inbox", "letters", "process"],
        "open": ["", "inbox", "letters"],
    },
    "api": {
        "records": [],
        "socket": [],
        "client": ["records", "socket"],
        "server": ["records", "socket"],
    },
}

# Third-party headers (by the beginning of their path) and the modules that own them.
THIRD_PARTY = {
    "ngtcp2/": {"link"},
    "openssl/": {"crypto", "link", "testing"},  # testing: the seeded generator
    "boost/beast": {"api"},
    "boost/json": {"api", "apps", "bench"},
    "boost/asio": {"runtime", "gateway", "api"},
    "boost/": {"runtime", "gateway", "api", "apps", "bench"},
    "toml++/": {"config"},
    "CLI/": {"apps", "bench"},
    "sqlite3.h": {"store"},
    "qrencode.h": {"apps"},
    "curses.h": {"apps"},
    "fmt/": None,  # None: everybody
}

# Public headers that are not for every module: the node's own interface is above the rest.
# testing/network.*: over the library.
PUBLIC_ABOVE = {"qudag/node.h": {"node", "gateway", "api", "apps", "bench", "testing"}}

# What the header for C may include: headers of C itself.
C_HEADERS = {"stddef.h", "stdint.h"}

# Headers of the system that have a directory in their name.
SYSTEM = ("sys/", "netinet/", "arpa/", "net/", "linux/", "asm/", "sanitizer/")

# Modules in which time, chance and sockets are arguments.
PURE_MODULES = {"wire", "onion", "circuit", "netmap", "message", "sync", "overload"}
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
        self.module_edges = {}  # (module, module) -> the first file that needs it

    def error(self, kind, where, text):
        self.errors.append(f"{where}: {kind}: {text}")

    def files(self, *parts):
        for part in parts:
            yield from sorted(p for p in (self.root / part).rglob("*") if p.suffix in CODE)

    def module_of(self, path):
        parts = path.relative_to(self.root).parts
        if parts[0] == "src":
            return parts[1] if len(parts) > 2 else None
        return {"include": "public"}.get(parts[0], parts[0])

    def folder_of(self, path):
        """Inside its module; "" is the module's own folder."""
        parts = path.relative_to(self.root).parts
        inner = parts[2:-1] if parts[0] == "src" else parts[1:-1]
        return inner[0] if inner else ""

    def check_file(self, path):
        module = self.module_of(path)
        name = str(path.relative_to(self.root))
        self.edges[name] = []
        if module != "public" and module not in ARROWS:
            self.error("layer", name, f"'{module}' is no module (tools/check_layers.py)")
            return
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            where = f"{name}:{number}"
            if module in PURE_MODULES and IMPURE_CALL.search(line.split("//")[0]):
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
            return self.check_module_include(module, path, where, target)
        if module in PURE_MODULES and target in IMPURE_HEADERS:
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
        elif module == "public" and target.endswith(".h") and target not in C_HEADERS:
            self.error("third-party", where, f"<{target}>: public headers include std and qudag only")

    def check_public(self, module, path, where, target):
        file = self.root / "include" / target
        if target.startswith("qudag/testing/"):  # installed from testing/
            file = self.root / target.removeprefix("qudag/")
        if not file.exists():
            return self.error("path", where, f"<{target}> does not exist under include/")
        modules = PUBLIC_ABOVE.get(target)
        if modules is not None and module != "public" and module not in modules:
            self.error("layer", where, f"<{target}> in '{module}'; it is for {sorted(modules)}")
        self.link(path, file)

    def check_module_include(self, module, path, where, target):
        if module == "public":
            return self.error("layer", where, f'"{target}": public headers include std and qudag only')
        if module in ("apps", "bench"):  # a program's own headers are relative to the program
            for folder in (path.parent, path.parent.parent, self.root / "apps", self.root / "bench" / "macro"):
                if (folder / target).exists():
                    return self.link(path, (folder / target).resolve())
        file = self.root / target if target.startswith("testing/") else self.root / "src" / target
        if "/" not in target or not file.exists():
            return self.error("path", where, f'"{target}": write it from src/, as "module/file.h"')
        below = target.split("/")[0]
        if below not in ARROWS:
            return self.error("layer", where, f"'{below}' is no module")
        if below not in closure(module):
            self.error("layer", where, f"'{module}' may not include '{below}' (\"{target}\")")
        if below == module:
            self.check_inner(module, path, where, target, file)
        if below != module:
            self.module_edges.setdefault((module, below), where)
        self.link(path, file)

    def check_inner(self, module, path, where, target, file):
        order = INNER.get(module)
        above, below = self.folder_of(path), self.folder_of(file)
        if order is None or above == below:
            return
        for folder in (above, below):
            if folder not in order:
                return self.error("layer", where, f"'{module}/{folder}' has no place in the inner order of '{module}'")
        if below not in order[above]:
            names = [f"{module}/{folder}".rstrip("/") for folder in (above, below)]
            self.error("layer", where, f"'{names[0]}' may not include '{names[1]}' (\"{target}\")")

    def link(self, path, file):
        self.edges[str(path.relative_to(self.root))].append(str(file.relative_to(self.root)))

    def check_cycles(self):
        for cycle in cycles(self.edges):
            self.error("cycle", cycle[0], " -> ".join(cycle))
        modules = {}
        for above, below in self.module_edges:
            modules.setdefault(above, []).append(below)
        for cycle in cycles(modules):
            self.error("cycle", self.module_edges[cycle[0], cycle[1]], "modules " + " -> ".join(cycle))

    def check_sizes(self):
        folders = {}
        for path in self.files("src", "include", "testing", "apps", "tests", "bench", "examples"):
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
    for path in tree.files("include", "src", "testing", "apps", "bench/macro"):
        tree.check_file(path)
        count += 1
    tree.check_cycles()
    tree.check_sizes()

    if args.graph:
        for above in ARROWS:
            below = [b for (a, b) in tree.module_edges if a == above]
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
