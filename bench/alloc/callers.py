#!/usr/bin/env python3
"""Who allocated: the traces of count_alloc.cc, added up by caller.

usage: QUDAG_TRACE_ALLOC=8 qudag-bench alloc ...; callers.py FILE.trace [frames]
"""
import collections
import re
import subprocess
import sys


def read(path):
    maps, calls = [], collections.Counter()
    for line in open(path, encoding="utf-8", errors="replace"):
        place = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+\s*(.*)", line)
        if place:
            start, end, offset = (int(place[i], 16) for i in (1, 2, 3))
            maps.append((start, end, offset, place[4]))
        else:
            calls[line.rstrip()] += 1
    return maps, calls


def names(maps, addresses):
    """Address to function, one run of addr2line for each file."""
    by_file = collections.defaultdict(list)
    for address in addresses:
        for start, end, offset, path in maps:
            if start <= address < end and path.startswith("/"):
                base = min(s - o for s, _, o, p in maps if p == path)
                by_file[path].append((address, address - base - 1))
    out = {}
    for path, places in by_file.items():
        run = subprocess.run(
            ["addr2line", "-C", "-f", "-s", "-e", path, *(hex(at) for _, at in places)],
            capture_output=True, text=True, check=False)
        lines = run.stdout.splitlines()
        for i, (address, _) in enumerate(places):
            function = re.sub(r"\(.*", "", lines[2 * i]) if 2 * i + 1 < len(lines) else "?"
            where = lines[2 * i + 1] if 2 * i + 1 < len(lines) else ""
            out[address] = f"{function} {where}"
    return out


def main():
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    maps, calls = read(sys.argv[1])
    stacks = collections.Counter()
    addresses = set()
    for line, count in calls.items():
        stack = tuple(int(a, 16) for a in re.findall(r" 0x([0-9a-f]+)", line))
        head = line.split(" 0x")[0]
        stacks[head, stack] += count
        addresses.update(stack)
    known = names(maps, addresses)
    for (head, stack), count in stacks.most_common(40):
        print(f"{count} x {head}")
        for address in stack[:frames]:
            print(f"      {known.get(address, hex(address))}")


if __name__ == "__main__":
    main()
