#!/usr/bin/env python3
"""ssh and rsync, as they are, over three of six relays on narrow links with delay and loss, while a relay is killed and
started again every few seconds: the session stays, the copy is right to the byte.

The session echoes a line each 50 ms; the longest time without one that was due is how long a person would have waited.

Usage: programs_test.py EMULATOR QUDAG [KEY=VALUE...]    exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.programs

Keys: megabytes=3 seconds=4 (so long relays are killed) every=2 (seconds; 0: no kills) delay=10ms loss=0% rate=50mbit seed=1
In full: megabytes=150 seconds=60 every=3 delay=25ms loss=1%. The line that it prints has the figures.
"""

import hashlib
import os
import pathlib
import random
import selectors
import shlex
import shutil
import statistics
import subprocess
import sys
import threading
import time

import probe
import testbed
from resume_test import Network
from testbed import SKIPPED, check, keys_of

sys.path.append(str(pathlib.Path(__file__).parents[1] / "app"))
from sshd import Sshd, ssh_flags  # noqa: E402

RELAYS, HOPS = 6, 3
LINE_EVERY = 0.05
ROOM = 600  # seconds, for what is slow

DEFAULTS = {"megabytes": "3", "seconds": "4", "every": "2", "delay": "10ms", "loss": "0%", "rate": "50mbit", "seed": "1"}


class Session:
    """`cat` at the other end of an ssh session, fed with numbered lines once the login is over."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.sent, self.echoed, self.waiting = 0, 0, []
        self.login, self.times, self.behind = None, [], b""
        self.ears = selectors.DefaultSelector()
        self.ears.register(self.process.stdout, selectors.EVENT_READ)
        self.next = time.monotonic()

    def turn(self, until):
        """Until then: lines out when they are due, echoes in."""
        while (now := time.monotonic()) < until and self.process.poll() is None:
            if now >= self.next and (self.echoed > 0 or self.sent == 0):
                self.process.stdin.write(b"%d\n" % self.sent)
                self.process.stdin.flush()
                self.waiting.append(now)
                self.sent += 1
                self.next = now + LINE_EVERY
            due = until if self.echoed == 0 else min(until, self.next)
            if self.ears.select(max(0, due - time.monotonic())):
                self.hear()

    def hear(self):
        *lines, self.behind = (self.behind + os.read(self.process.stdout.fileno(), 1 << 16)).split(b"\n")
        now = time.monotonic()
        for line in lines:
            check(line == b"%d" % self.echoed, f"line {self.echoed} came as {line!r}")
            since = self.waiting.pop(0)
            if self.echoed == 0:
                self.login, self.next = now - since, now
            else:
                self.times.append(now - since)
            self.echoed += 1

    def end(self):
        """The rest comes, and both ends close in good order."""
        self.turn(self.next)
        self.process.stdin.close()
        rest = self.behind + self.process.stdout.read()
        self.behind = b""
        check(rest == b"".join(b"%d\n" % i for i in range(self.echoed, self.sent)), "lines were lost at the end")
        check(self.process.wait(ROOM) == 0, "ssh did not end in good order")


def inside(program, arguments):
    keys = keys_of(arguments, DEFAULTS)
    every, chance = float(keys["every"]), random.Random(int(keys["seed"]))
    with Network(program, RELAYS, patience=ROOM, guards=2) as net:
        with probe.Enter("b"):
            server = Sshd(net.folder)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        net.flags += [f"--services=ssh=127.0.0.1:{server.server_address[1]}"]  # of b; the others have no such port
        net.begin()
        pipe = shlex.join([program, "pipe", "--socket", str(net.socket("a")), "--relays", str(HOPS), net.nodes["b"]["id"],
                           "ssh"])
        ssh = ["ssh", *ssh_flags(net.folder), "-o", f"ProxyCommand={pipe}"]
        session = Session([*ssh, "b", "cat"])
        while session.login is None:
            session.turn(time.monotonic() + LINE_EVERY)
            check(time.monotonic() < net.until, "no login")
        file, copy = net.folder / "file", net.folder / "copy"
        file.write_bytes(os.urandom(int(keys["megabytes"]) * 1_000_000))
        rsync = subprocess.Popen(["rsync", "-e", shlex.join(ssh), file, f"b:{copy}"], stderr=subprocess.PIPE)
        began, took, kills = time.monotonic(), None, 0
        until = began + float(keys["seconds"])
        due = began + every if every > 0 else until
        while took is None or time.monotonic() < until:
            session.turn(time.monotonic() + LINE_EVERY)
            now = time.monotonic()
            check(session.process.poll() is None, "the session ended")
            check(now - began < ROOM, "the copy does not end")
            if took is None and rsync.poll() is not None:
                took = now - began
            if due <= now < until:
                victim = chance.choice(net.names[1:-1])
                net.kill(victim)
                net.start_again(victim)
                kills += 1
                due += every
        check(rsync.returncode == 0, f"rsync: {rsync.stderr.read().decode()}")
        session.end()
        wrong = hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(copy.read_bytes()).digest()
        print(f"{keys['megabytes']} MB by rsync in {took:.1f} s; {kills} relays killed; the session echoed {session.sent} "
              f"lines, half of them within {statistics.median(session.times):.2f} s, the slowest after {max(session.times):.2f} s, "
              f"login {session.login:.2f} s; {'the copy is wrong' if wrong else 'the copy is right'}",
              flush=True)
        check(not wrong, "the copy is wrong")
        server.shutdown()


def main():
    if not all(shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("ssh", "sshd", "rsync")):
        print("no ssh, sshd or rsync")
        return SKIPPED
    os.makedirs("/run/sshd", exist_ok=True)
    return testbed.run(__file__, inside, DEFAULTS, RELAYS, lambda _: ROOM + 60,
                       lambda keys: f"delay={keys['delay']} rate={keys['rate']} loss={keys['loss']} queue=300kB")


if __name__ == "__main__":
    sys.exit(main())
