#!/usr/bin/env python3
"""Nodes change their address in the middle of a transfer and of numbered messages: nothing is lost, nothing comes
twice; a source that moves, and whose NAT forgets, keeps its links and circuits. Gaps are printed, not judged.

Usage: migration_test.py EMULATOR TRAFFIC CASE     exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.*
"""

import json
import subprocess
import sys

import testbed

SKIPPED = 77
RELAYS = 3
WORDS = {"migration": ["bytes=8000000", "per_second=200", "pause=0.4"],
         "accepting": ["bytes=8000000", "per_second=200", "pause=2"]}


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def main():
    emulator, traffic, case = sys.argv[1:4]
    lines = [*testbed.node_lines(RELAYS), "time 100s", "link * * delay=10ms rate=100mbit queue=300kB"]
    ended = subprocess.run([emulator, *[flag for line in lines for flag in ("-e", line)], "--", "host", traffic, case,
                            *WORDS[case]], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode == SKIPPED:
        return SKIPPED
    check(ended.returncode == 0, f"exit code {ended.returncode}")
    out = json.loads(ended.stdout)
    print(json.dumps(out, indent=1))
    check(out["sent"] > 0 and out["delivered"] == out["sent"], "each message was acknowledged")
    check(out["lost"] == 0, "nothing is lost")
    check(out["doubled"] == 0, "nothing comes twice")
    check(out["transfer"]["outcome"] == "delivered", "the transfer is whole")
    if case == "migration":
        check(out["source"]["links_moved"] >= 3, "links took new paths")
        check(out["source"]["circuits_ended_with_link"] == 0, "and are the same links")
        check(out["source"]["messages_resent"] == 0, "so that nothing was sent again")
    else:
        # Which of the two dialed the link is a matter of chance: relays dial each other to see that they are there.
        # `link.Migration.*` tests each way by itself.
        moved = out["destination"]["links_moved"] + out["destination"]["links_redialed"]
        check(moved >= 1, "who moved took its links along, or dialed who had dialed it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
