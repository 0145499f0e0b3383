#!/usr/bin/env python3
"""Numbered messages and files over three of six relays while one of them is killed and started again every few seconds:
each message has one outcome, `delivered` means that the other program had it, and had it once, and every file is right.

Usage: deaths_test.py EMULATOR QUDAG [KEY=VALUE...]    exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.deaths

Keys: messages=1500 rate=500 (messages a second) files=2 megabytes=1 every=1 (seconds) delay=10ms loss=0% seed=1
In full: messages=50000 files=50 megabytes=2 every=3 delay=25ms loss=1% seed=1, 2, 3. The line that it prints has the
figures.
"""

import asyncio
import collections
import hashlib
import pathlib
import random
import sys
import threading
import time

import testbed
from resume_test import Network
from testbed import check, keys_of

sys.path.append(str(pathlib.Path(__file__).parents[2] / "clients" / "python"))
import qudag  # noqa: E402

RELAYS, HOPS = 6, 3
CHANNEL, TTL_S = 7, 120
ROOM = 600  # seconds, for what is slow
BATCH = 25

DEFAULTS = {"messages": "1500", "rate": "500", "files": "2", "megabytes": "1", "every": "1", "delay": "10ms", "loss": "0%",
            "seed": "1"}


def payload_of(number):
    """64 to 1,500 bytes that its number says."""
    head = number.to_bytes(8, "big")
    return head + (hashlib.sha256(head).digest() * 47)[:56 + number * 7919 % 1437]


class Receiver:
    """Takes each message that is as it should be, and counts its number."""

    def __init__(self, socket):
        self.came, self.wrong = collections.Counter(), 0
        self.socket, self.ready = socket, asyncio.Event()

    async def run(self):
        async with qudag.connect(self.socket) as node:
            await node.prepare(CHANNEL)
            self.ready.set()
            async for messages in node.receive_many(CHANNEL):
                for message in messages:
                    number = int.from_bytes(message.payload[:8], "big")
                    self.came[number] += 1
                    self.wrong += message.payload != payload_of(number)
                await node.taken_all(messages)


async def send_all(net, keys):
    """What became of each number, and the receiver."""
    receiver = Receiver(str(net.socket("b")))
    receiving = asyncio.create_task(receiver.run())
    await receiver.ready.wait()
    count, rate = int(keys["messages"]), int(keys["rate"])
    outcomes = [[] for _ in range(count)]
    async with qudag.connect(str(net.socket("a"))) as node:
        async def batch(numbers):
            ended = await node.send_many(net.nodes["b"]["id"], [payload_of(n) for n in numbers], ttl=TTL_S, relays=HOPS,
                                         channel=CHANNEL)
            for number, end in zip(numbers, ended, strict=True):
                outcomes[number].append(end.outcome)

        began, tasks = time.monotonic(), []
        for first in range(0, count, BATCH):
            await asyncio.sleep(max(0, began + first / rate - time.monotonic()))
            tasks.append(asyncio.create_task(batch(range(first, min(count, first + BATCH)))))
        await asyncio.gather(*tasks)
    receiving.cancel()
    return outcomes, receiver


def send_files(net, keys, wrong):
    """One after the other."""
    chance, arrived = random.Random(int(keys["seed"])), net.folder / "arrived"
    receiving = net.receive(arrived, int(keys["files"]))
    sums = collections.Counter()
    for _ in range(int(keys["files"])):
        file = net.folder / "file"
        file.write_bytes(chance.randbytes(int(float(keys["megabytes"]) * 1_000_000)))
        sums[hashlib.sha256(file.read_bytes()).digest()] += 1
        answer = net.send(file, priority="low", hops=HOPS, ttl=f"{ROOM}s")
        if answer["outcome"] != "delivered":
            wrong.append(answer)
    if receiving.wait(60) != 0:
        wrong.append("the receiver of files does not end")
    if sums != collections.Counter(hashlib.sha256(one.read_bytes()).digest() for one in arrived.iterdir()):
        wrong.append("files differ")


def kill_relays(net, keys, over):
    chance, kills = random.Random(int(keys["seed"])), 0
    while not over.wait(float(keys["every"])):
        victim = chance.choice(net.names[1:-1])
        net.kill(victim)
        net.start_again(victim)
        kills += 1
    over.kills = kills


def inside(program, arguments):
    keys = keys_of(arguments, DEFAULTS)
    with Network(program, RELAYS, patience=2 * ROOM, guards=2) as net:
        net.begin()
        over, wrong = threading.Event(), []
        killer = threading.Thread(target=kill_relays, args=(net, keys, over), daemon=True)
        files = threading.Thread(target=send_files, args=(net, keys, wrong), daemon=True)
        began = time.monotonic()
        killer.start()
        files.start()
        outcomes, receiver = asyncio.run(send_all(net, keys))
        files.join(ROOM)
        took = time.monotonic() - began
        over.set()
        killer.join()
    counts = collections.Counter(end for ends in outcomes for end in ends)
    without = sum(len(ends) != 1 for ends in outcomes)
    lost = sum(ends == ["delivered"] and receiver.came[number] == 0 for number, ends in enumerate(outcomes))
    doubled = sum(times > 1 for times in receiver.came.values())
    print(f"{len(outcomes)} messages and {keys['files']} files of {keys['megabytes']} MB in {took:.0f} s, {over.kills} relays "
          f"killed: {dict(counts)}; without one outcome {without}, delivered and not there {lost}, twice {doubled}, changed "
          f"{receiver.wrong}; files: {wrong or 'right'}", flush=True)
    check(over.kills > 0, "nobody was killed")
    check(counts == {"delivered": len(outcomes)}, "not all were delivered")
    check(without + lost + doubled + receiver.wrong == 0 and not wrong, "lost, doubled or changed")


def main():
    return testbed.run(__file__, inside, DEFAULTS, RELAYS, lambda _: 2 * ROOM,
                       lambda keys: f"delay={keys['delay']} rate=50mbit loss={keys['loss']} queue=300kB")


if __name__ == "__main__":
    sys.exit(main())
