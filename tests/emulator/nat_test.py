#!/usr/bin/env python3
"""A caller and a hidden receiver, each behind a symmetric NAT of its own (every relay sees another port of it, and
nobody else is let in), with a keeper between them. While numbered messages go, the receiver moves three times: its NAT
forgets what was open, the NAT gets another address, and the node itself goes to another network. Nothing is lost,
nothing comes twice. Gaps are printed, not judged.

Usage: nat_test.py EMULATOR QUDAG [KEY=VALUE...]   exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.nats

Keys: messages=1000 per_second=500 delay=5ms hidden=true
"""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import probe

sys.path.append(str(pathlib.Path(__file__).parents[2] / "clients" / "python"))
import qudag  # noqa: E402

SKIPPED = 77
RELAYS = 6
MOVES = ("rebind home", "rebind home 198.51.100.2", "move home 172.16.0.2\nnat home 198.51.100.3")
PATIENCE = 60


def keys_of(arguments):
    keys = {"messages": "1000", "per_second": "500", "delay": "5ms", "hidden": "true"}
    keys.update(argument.split("=", 1) for argument in arguments)
    return keys


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")


class Network:
    """Relays in networks of their own, and two nodes that nobody can reach."""

    def __init__(self, program):
        self.program = program

    def __enter__(self):
        self.owner = tempfile.TemporaryDirectory(prefix="qudag-nats-")
        self.folder = pathlib.Path(self.owner.name)
        self.processes, self.entries = [], []
        for i in range(RELAYS):
            started = self.begin(f"r{i}", "net", "--listen", f"10.{i + 1}.0.1:0")
            if i < 3:
                self.entries += ["--bootstrap", self.ready(started)]
            else:
                self.ready(started)
        ends = [self.begin(name, name, "--relay", "false", "--known", "false", "--wait-joined", "30s")
                for name in ("home", "away")]
        for end in ends:
            self.ready(end)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(PATIENCE)
        self.owner.cleanup()

    def begin(self, name, space, *flags):
        with probe.Enter(space):
            process = subprocess.Popen(
                [self.program, "node", "--api.socket", self.socket(name), "--shards", "1", "--gossip_interval", "1s",
                 "--log.level", "error", "--grace", "0", *self.entries, *flags], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def ready(self, process):
        line = process.stdout.readline()
        check(line, "a node did not start")
        node = json.loads(line)
        return f"{node['id']}@{node['address']}"

    def socket(self, name):
        return str(self.folder / f"{name}.sock")

    def run(self, *args):
        done = subprocess.run([self.program, *args], capture_output=True, text=True, timeout=PATIENCE, check=False)
        check(done.returncode == 0, f"{args}: {done.stderr}")
        return done.stdout

    def metric(self, name, metric):
        page = self.run("status", "--metrics", "--socket", self.socket(name))
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(metric))

    def introduce(self, hidden):
        more = [] if hidden else ["--behind-router"]
        invited = json.loads(self.run("invite", "--socket", self.socket("home"), "--name", "me", "--json", *more))
        self.run("contact", "add", "--socket", self.socket("away"), "home", invited["invitation"])
        self.receiver = invited["id"]


async def keep(node, came):
    async for messages in node.receive_many():
        for message in messages:
            came.append((int(message.payload), time.monotonic()))
        await node.taken_all(messages)


async def offer(node, to, keys, moved):
    """Each message at its time, whatever became of those before."""
    count, rate = int(keys["messages"]), float(keys["per_second"])
    at = {(n + 1) * count // 4: move for n, move in enumerate(MOVES)}
    begin, sends = time.monotonic(), []
    for number in range(count):
        if number in at:
            moved.append(time.monotonic())
            probe.command(at[number])
        await asyncio.sleep(max(0, begin + number / rate - time.monotonic()))
        sends.append(asyncio.ensure_future(node.send(to, b"%d" % number)))
    return await asyncio.gather(*sends)


async def exchange(network, keys):
    came, moved = [], []
    async with qudag.connect(network.socket("home")) as home, qudag.connect(network.socket("away")) as away:
        await home.prepare(0)
        keeps = asyncio.ensure_future(keep(home, came))
        first = await away.send(network.receiver, b"-1")  # over a circuit that is there, as the others go
        check(first.delivered, f"the first message: {first}")
        outcomes = await offer(away, network.receiver, keys, moved)
        keeps.cancel()
    return [(number, at) for number, at in came if number >= 0], moved, outcomes


def inside(program, arguments):
    keys = keys_of(arguments)
    with Network(program) as network:
        network.introduce(keys["hidden"] == "true")
        came, moved, outcomes = asyncio.run(exchange(network, keys))
        links = {"moved": network.metric("home", "qudag_links_moved_total"),
                 "again": network.metric("away", "qudag_messages_resent_total")}
    count = int(keys["messages"])
    times = [0] * count
    for number, _ in came:
        times[number] += 1
    at = sorted(when for _, when in came)
    ends = [*moved[1:], float("inf")]
    # The last before a move and the first after it are a pair, too.
    gaps = [max(b - a for a, b in zip(at, at[1:]) if begin <= b < end) for begin, end in zip(moved, ends)]
    print(json.dumps({"messages": count, "lost": times.count(0), "doubled": sum(n > 1 for n in times),
                      "not_delivered": sum(not one.delivered for one in outcomes),
                      "longest_gap_s": [round(gap, 2) for gap in gaps], **links}), flush=True)
    check(all(one.delivered for one in outcomes), next((one for one in outcomes if not one.delivered), None))
    check(times == [1] * count, "each message comes once")


def main():
    if sys.argv[2:3] == ["inside"]:
        return inside(sys.argv[1], sys.argv[3:])
    emulator, program = sys.argv[1:3]
    networks = " ".join(f"10.{i + 1}.0.1" for i in range(RELAYS))
    lines = [f"node net {networks}", "node home 192.168.1.2", "nat home 198.51.100.1", "node away 192.168.2.2",
             "nat away 203.0.113.1", "time 90s", f"link * * delay={keys_of(sys.argv[3:])['delay']}"]
    flags = [flag for line in lines for flag in ("-e", line)]
    ended = subprocess.run([emulator, *flags, "--", "net", sys.executable, __file__, os.path.abspath(program), "inside",
                            *sys.argv[3:]], check=False)
    return SKIPPED if ended.returncode == SKIPPED else int(ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
