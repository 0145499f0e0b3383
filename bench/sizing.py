#!/usr/bin/env python3
"""What a relay costs, for who has to choose a machine and a line: bytes on the wire for each message
that passes, processor time for 100 Mbit/s, and memory for each inbox of a keeper.

Three relays, a source and a destination, `qudag node` processes of one shard on this machine; the
figures are differences of what the relays count themselves (GET /metrics). Every message goes
through all three relays.

Usage: sizing.py PROGRAM [--json FILE] [--quick]     results as bench/results/sizing.json has them
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "clients/python"), str(ROOT / "tests/app")]

import qudag  # noqa: E402
from live_node import Node  # noqa: E402

RELAYS, RECEIVERS = 3, 16
SETTLE_S = 10  # what the beginnings of links and circuits needed is given back
SIZES = (("256 B", 256, "normal"), ("1 KiB", 1024, "normal"), ("16 KiB", 16 * 1024, "low"),
         ("1 MiB", 1 << 20, "low"))


class Process:
    def __init__(self, program, folder, name, *flags):
        self.path = str(pathlib.Path(folder, name))
        self.process = subprocess.Popen(
            [program, "node", "--api.socket", self.path, "--shards", "1", "--gossip_interval", "1s",
             "--log.level", "off", "--state.dir", "none", *flags], stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.id, self.entry = ready["id"], f"{ready['id']}@{ready['address']}"
        self.node = Node(self.path)

    def get(self, target):
        status, _, text = self.node.ask("GET", target)
        if status != 200:
            raise RuntimeError(f"{target}: {status}")
        return text

    def metric(self, name, label=""):
        rows = re.findall(rf"^{name}(?:\{{([^}}]*)\}})? (\S+)$", self.get("/metrics"), re.M)
        return sum(float(value) for labels, value in rows if label in labels)

    def status(self):
        return json.loads(self.get("/v1/status"))

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Place:
    """Three relays and two clients, all known to each other."""

    def __init__(self, program, folder):
        self.all = [Process(program, folder, "relay0")]
        entry = ("--bootstrap", self.all[0].entry)
        self.all += [Process(program, folder, f"relay{i}", *entry) for i in range(1, RELAYS)]
        self.relays = self.all[:]
        self.source, self.home = (Process(program, folder, name, *entry, "--relay", "false")
                                  for name in ("source", "home"))
        self.all += [self.source, self.home]

    async def joined(self):
        while any(one.status()["nodes_known"] < len(self.all) for one in self.all) or \
                not self.source.status()["joined"]:
            await asyncio.sleep(0.2)

    def sums(self):
        names = (("in", "qudag_bytes_total", 'direction="in"'), ("out", "qudag_bytes_total", 'direction="out"'),
                 ("relayed", "qudag_bytes_relayed_total", ""), ("cpu", "process_cpu_seconds_total", ""))
        return {key: sum(relay.metric(name, label) for relay in self.relays) for key, name, label in names}


def difference(after, before):
    return {key: after[key] - before[key] for key in after}


async def taking(node):
    async for messages in node.receive_many(20):
        await node.taken_all(messages)


async def messages(place, source, size, priority, count, under_way):
    """What the relays counted for so many messages, of one relay and one message."""
    payload = os.urandom(size)
    options = {"priority": priority, "relays": RELAYS, "channel": 20, "ttl": 300.0}
    await source.send(place.home.id, payload, **options)  # the circuit is there
    before = place.sums()
    if under_way == 1:
        outcomes = [await source.send(place.home.id, payload, **options) for _ in range(count)]
    else:
        outcomes = await source.send_many(place.home.id, [payload] * count, under_way=under_way, **options)
    if any(not one.delivered for one in outcomes):
        raise RuntimeError("not all were delivered")
    return {key: value / RELAYS / count for key, value in difference(place.sums(), before).items()}


def at_keepers(place):
    """(bytes under the bound, inboxes) of each relay."""
    for relay in place.relays:
        queues = json.loads(relay.get("/v1/queues"))["queues"]
        yield (relay.metric("qudag_memory_reserved_bytes"),
               sum(row["items"] for row in queues if row["name"] == "inboxes at this keeper"))


async def inboxes(place, program, folder, nodes, stack):
    """Bytes of a keeper's bound for each inbox, with the circuits on which its receiver waits."""
    await asyncio.sleep(SETTLE_S)
    before = list(at_keepers(place))
    wanted = nodes * RECEIVERS * 2
    for i in range(nodes):
        flags = [flag for r in range(RECEIVERS) for flag in ("--receiver", f"r{i}-{r},hidden=false,keepers=2")]
        homes = Process(program, folder, f"receivers{i}", "--relay", "false", "--bootstrap",
                        place.relays[0].entry, *flags)
        stack.callback(homes.end)
    until = asyncio.get_running_loop().time() + 120
    while sum(count for _, count in at_keepers(place)) < wanted:
        if asyncio.get_running_loop().time() > until:
            raise RuntimeError("not all inboxes are registered")
        await asyncio.sleep(0.5)
    await asyncio.sleep(2 * SETTLE_S)
    return [(held - held_before) / (count - count_before)
            for (held, count), (held_before, count_before) in zip(at_keepers(place), before) if count > count_before]


@contextlib.asynccontextmanager
async def joined_place(program):
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = Place(program, folder)
        for one in place.all:
            stack.callback(one.end)
        await asyncio.wait_for(place.joined(), 120)
        yield place, folder, stack


@contextlib.asynccontextmanager
async def ends(place):
    """The source's connection; a program takes what comes to the destination."""
    async with qudag.connect(place.source.path) as source, qudag.connect(place.home.path) as home:
        task = asyncio.create_task(taking(home))
        await home.prepare(20)
        yield source
        task.cancel()


async def measure(program, quick):
    rows = []

    def row(name, unit, values):
        print(f"{name:<50} {sorted(values)[len(values) // 2]:>14,.1f} {unit}", flush=True)
        values = sorted(values)
        rows.append({"name": name, "unit": unit, "better": "lower", "runs": values,
                     "median": values[len(values) // 2], "min": values[0], "max": values[-1]})

    runs = 1 if quick else 3
    async with joined_place(program) as (place, folder, stack):  # nothing has passed there yet
        row("sizing/memory/per_inbox", "B", await inboxes(place, program, folder, 1 if quick else 8, stack))
    async with joined_place(program) as (place, _, _), ends(place) as source:
        for name, size, priority in SIZES:
            many = max(8, min(20_000, (16 << 20) // size)) // (100 if quick else 1)
            alone = [await messages(place, source, size, priority, 10 if quick else 50, 1)
                     for _ in range(runs)]
            together = [await messages(place, source, size, priority, many, 512) for _ in range(runs)]
            for how, got in (("alone", alone), ("together", together)):
                for key in ("in", "out", "relayed"):
                    row(f"sizing/{name}/{how}/{key}", "B", [one[key] for one in got])
            row(f"sizing/{name}/together/cpu_per_100_mbit_s", "% of a core",
                [100 * one["cpu"] / one["relayed"] * 12.5e6 for one in together])
    return rows


def cpu_name():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--json")
    parser.add_argument("--quick", action="store_true", help="whether it works, not what it costs")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    rows = asyncio.run(measure(args.program, args.quick))
    if not args.json:
        return
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    report = {
        "scenario": "sizing", "title": "What a relay costs",
        "date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(),
        "command": "python3 bench/sizing.py build/release/apps/qudag/qudag --json bench/results/sizing.json",
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "kernel": platform.release(), "load_before": round(load, 2)},
        "notes": ["of one relay of three, for each message: bytes on the wire with UDP payloads whole, acknowledgements "
                  "of the message and of packets included; `relayed` is what limits.bandwidth counts",
                  "alone: one message at a time; together: 512 without an outcome, so that small ones share cells"],
        "results": rows}
    pathlib.Path(args.json).write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
