#!/usr/bin/env python3
"""The product over emulated links: messages of every class through three relays, 25 ms apart; then the
source's address changes, which it notices and tells, and a NAT forgets, which it cannot notice.

Usage: product_test.py EMULATOR QUDAG    exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.product
"""

import os
import subprocess
import sys

import probe
import testbed
from testbed import Testbed, check

SKIPPED = 77
RELAYS = 3
SIZES = {"high": 256, "normal": 100_000, "low": 2_000_000}


def inside(program):
    with Testbed(program, RELAYS, patience=90) as net:
        net.start_all()
        arrived = net.folder / "arrived"
        receiver = net.receive(arrived, len(SIZES) + 2)
        sent = []
        for cls, size in SIZES.items():
            file = net.folder / cls
            file.write_bytes(os.urandom(size))
            sent.append(file.read_bytes())
            print(cls, size, net.send(file, cls))
        check(shown(net) == 0, "nothing has moved yet")
        for command in ("move a 10.21.0.1", "rebind a 10.22.0.1"):
            probe.command(command)
            net.wait_until("the links are shown", lambda: shown(net) > 0)
            file.write_bytes(os.urandom(100_000))
            sent.append(file.read_bytes())
            print(command, net.send(file))
        check(receiver.wait(60) == 0, "receiving failed")
        check(sorted(file.read_bytes() for file in arrived.iterdir()) == sorted(sent), "what arrived is not what was sent")


def shown(net):
    page = net.run("status", "--metrics", "--socket", net.socket("a")).stdout
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("qudag_links_shown_total"))


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
