#!/usr/bin/env python3
"""A program of the restart test: sends numbered messages, or acknowledges them, whatever becomes of
its node, until its standard input ends. Then it writes what became of each number.

Usage: steady.py send SOCKET CHANNEL FILE TO     FILE: for each number a byte, 1 + its outcome
       steady.py receive SOCKET CHANNEL FILE     FILE: for each number a byte, how often it came
"""

import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import qudag  # noqa: E402
from qudag import records  # noqa: E402

OUTCOMES = (*records.OUTCOMES, "unknown")
UNDER_WAY = 64
TICK = 100  # delivered messages for each line of output


async def end_of_input():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def outcomes_counted():
    """The node's own word: an OUTCOME for a request of a connection that has none under way."""
    read, known = records.read, set()

    def counting(data):
        found = read(data)
        for record in found:
            if isinstance(record, records.Outcome) and record.id:
                if record.id in known:
                    raise SystemExit(f"two outcomes of {record.id}")
                known.add(record.id)
        return found
    records.read = counting


async def send(node, channel, file, to):
    outcomes_counted()
    ended = asyncio.create_task(end_of_input())
    told, delivered = bytearray(), 0

    async def go_on():
        nonlocal delivered
        while not ended.done():
            number = len(told)
            told.append(0)
            try:
                sent = await node.send(to, number.to_bytes(8, "big") + bytes(248), relays=0, channel=channel, ttl=2)
                outcome = sent.outcome
                if not sent.delivered and number % TICK == 0:
                    print("!", number, sent, flush=True)
            except qudag.ConnectionLost as lost:
                outcome = "unknown"
                if number % TICK == 0:
                    print("!", number, lost, flush=True)
            assert told[number] == 0
            told[number] = 1 + OUTCOMES.index(outcome)
            if outcome == "delivered":
                delivered += 1
                if delivered % TICK == 0:
                    print(delivered, flush=True)
            elif outcome == "unknown":
                await asyncio.wait((asyncio.ensure_future(node.prepare()), ended), return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.005)  # the way is not there yet
    await asyncio.gather(*(go_on() for _ in range(UNDER_WAY)))
    pathlib.Path(file).write_bytes(told)


async def receive(node, channel, file):
    ended, came = asyncio.create_task(end_of_input()), bytearray()
    await node.prepare(channel)
    print("ready", flush=True)

    async def take():
        async for messages in node.receive_many(channel):
            for message in messages:
                number = int.from_bytes(message.payload[:8], "big")
                came.extend(bytes(max(0, number + 1 - len(came))))
                came[number] += 1
                await message.taken()
    taking = asyncio.create_task(take())
    await asyncio.wait((taking, ended), return_when=asyncio.FIRST_COMPLETED)
    pathlib.Path(file).write_bytes(came)
    if taking.done():
        taking.result()


async def main(what, path, channel, *more):
    async with qudag.connect(path) as node:
        await (send if what == "send" else receive)(node, int(channel), *more)


asyncio.run(main(*sys.argv[1:]))
