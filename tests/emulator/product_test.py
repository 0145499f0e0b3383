#!/usr/bin/env python3
"""The product over emulated links: messages of every class through three relays, 25 ms apart.

Usage: product_test.py EMULATOR QUDAG    exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.product
"""

import os
import subprocess
import sys

import testbed
from testbed import Testbed, check

SKIPPED = 77
RELAYS = 3
SIZES = {"high": 256, "normal": 100_000, "low": 2_000_000}


def inside(program):
    with Testbed(program, RELAYS, patience=90) as net:
        net.start_all()
        arrived = net.folder / "arrived"
        receiver = net.receive(arrived, len(SIZES))
        sent = []
        for cls, size in SIZES.items():
            file = net.folder / cls
            file.write_bytes(os.urandom(size))
            sent.append(file.read_bytes())
            print(cls, size, net.send(file, cls))
        check(receiver.wait(60) == 0, "receiving failed")
        check(sorted(file.read_bytes() for file in arrived.iterdir()) == sorted(sent), "what arrived is not what was sent")


def main():
    if sys.argv[2:3] == ["inside"]:
        return inside(sys.argv[1])
    emulator, program = sys.argv[1:3]
    lines = [*testbed.node_lines(RELAYS), "time 100s", "link * * delay=12500us rate=100mbit queue=300kB loss=0.5%"]
    flags = [flag for line in lines for flag in ("-e", line)]
    ended = subprocess.run([emulator, *flags, "--", "host", sys.executable, __file__, os.path.abspath(program), "inside"],
                           check=False)
    return SKIPPED if ended.returncode == SKIPPED else int(ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
