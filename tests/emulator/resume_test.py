#!/usr/bin/env python3
"""A large message over three of six relays on narrow links, while a relay is killed and started again every few
seconds: it goes on with each circuit from what the destination has, so that it arrives, and hardly more than its own
bytes are sent.

Usage: resume_test.py EMULATOR QUDAG [KEY=VALUE...]    exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.resume

Keys: runs=1 megabytes=12 rate=24mbit every=2 (seconds) seed=1 priority=low delay=10ms guards=2
In full: runs=20 megabytes=60 every=3. The lines that it prints have the figures.
"""

import os
import random
import subprocess
import sys
import time

import testbed
from testbed import Testbed, check, keys_of

RELAYS, HOPS = 6, 3
SENT_AT_MOST = 1.5  # times the message, in bytes of packets
TTL_S = 600

DEFAULTS = {"runs": "1", "megabytes": "12", "rate": "24mbit", "every": "2", "seed": "1", "priority": "low",
            "delay": "10ms", "guards": "2"}


class Network(Testbed):
    """Whose relays can be killed: each has an identity that stays."""

    def begin(self):
        for name in [*self.names[1:-1], "b", "a"]:
            check(self.run("keygen", self.folder / f"{name}.key").returncode == 0, "keygen")
            self.start_again(name)
        for name in self.names:
            self.wait_until(f"{name} knows all", lambda name=name: self.knows_all(name))

    def start_again(self, name):
        """As it was: others know it by its identity and its address."""
        bootstrap = "r2" if name == "r1" else "r1"
        return self.start(name, bootstrap=bootstrap, flags=["--identity", self.folder / f"{name}.key"])

    def kill(self, name):
        process = next(one for one in self.processes if one.pid == self.nodes[name]["pid"])
        process.kill()
        process.wait()

    def metric(self, node, name):
        page = self.run("status", "--metrics", "--socket", self.socket(node)).stdout
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))

    def sent(self):
        first = self.metric("a", 'qudag_message_bytes_total{direction="out"')
        again = self.metric("a", "qudag_message_bytes_again_total")
        return first + again, self.metric("a", 'qudag_bytes_total{direction="out"}')


def one(net, number, keys, chance, size):
    file = net.folder / "large"
    file.write_bytes(os.urandom(size))
    arrived = net.folder / f"arrived{number}"
    receiver = net.receive(arrived, 1)
    before, before_packets = net.sent()
    resumed_before = net.metric("a", "qudag_messages_resumed_total")
    began = time.monotonic()
    sender = net.spawn("send", net.nodes["b"]["id"], file, "--priority", keys["priority"], "--relays", HOPS, "--ttl",
                       f"{TTL_S}s", "--quiet", "--json", "--socket", net.socket("a"), stdout=subprocess.PIPE)
    kills, due = 0, began + float(keys["every"])
    while True:
        try:
            sender.wait(max(0.01, due - time.monotonic()))
            break
        except subprocess.TimeoutExpired:
            victim = chance.choice(net.names[1:-1])
            net.kill(victim)
            net.start_again(victim)
            kills += 1
            due += float(keys["every"])
    took = time.monotonic() - began
    delivered = sender.returncode == 0 and receiver.wait(10) == 0
    right = delivered and [path.read_bytes() for path in arrived.iterdir()] == [file.read_bytes()]
    sent, packets = net.sent()
    times, times_packets = (sent - before) / size, (packets - before_packets) / size
    print(f"run {number}: {'delivered' if right else sender.stdout.read()} after {took:.1f} s and {kills} kills; "
          f"{net.metric('a', 'qudag_messages_resumed_total') - resumed_before:.0f} times it went on; sent {times:.3f} x its "
          f"bytes, in packets {times_packets:.3f} x", flush=True)
    return right, times_packets


def inside(program, arguments):
    keys = keys_of(arguments, DEFAULTS)
    runs, size = int(keys["runs"]), int(keys["megabytes"]) * 1_000_000
    chance = random.Random(int(keys["seed"]))
    with Network(program, RELAYS, patience=120 + runs * TTL_S, guards=int(keys["guards"])) as net:
        net.begin()
        ends = [one(net, number, keys, chance, size) for number in range(1, runs + 1)]
    worst = max(times for _, times in ends)
    print(f"{sum(right for right, _ in ends)} of {runs} delivered, packets at most {worst:.3f} x")
    check(all(right for right, _ in ends), "not delivered")
    check(worst <= SENT_AT_MOST, "more was sent than may be")


def main():
    return testbed.run(__file__, inside, DEFAULTS, RELAYS, lambda keys: 200 + int(keys["runs"]) * TTL_S,
                       lambda keys: f"delay={keys['delay']} rate={keys['rate']} queue=300kB")


if __name__ == "__main__":
    sys.exit(main())
