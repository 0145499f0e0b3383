#!/usr/bin/env python3
"""Messages of 256 B from one program through two nodes to another program that acknowledges each:
the rate of what has its outcome, and the processor time of each of the four.

Usage: rate.py QUDAG [messages] [--one]     --one: send() and receive() instead of ..._many()
"""

import asyncio
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
import qudag  # noqa: E402

CHANNEL = 3
UNDER_WAY = 8192


async def receive(path, one):
    node = await qudag.connect(path)
    await node.prepare(CHANNEL)
    print("ready", flush=True)
    if one:
        async for message in node.receive(CHANNEL):
            await message.taken()
    async for messages in node.receive_many(CHANNEL):
        await node.taken_all(messages)


async def send(node, to, count, one):
    payload = bytes(256)
    if not one:
        outcomes = await node.send_many(to, (payload for _ in range(count)), relays=0, channel=CHANNEL)
        return sum(outcome.delivered for outcome in outcomes)
    left, delivered = count, 0

    async def go_on():
        nonlocal left, delivered
        while left > 0:
            left -= 1
            outcome = await node.send(to, payload, relays=0, channel=CHANNEL)
            delivered += outcome.delivered
    await asyncio.gather(*(go_on() for _ in range(UNDER_WAY)))
    return delivered


def used(pid):
    """Seconds of processor time that a process has had."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(program, count, one):
    from nodes import Process, known
    with tempfile.TemporaryDirectory() as folder:
        b = Process(program, folder, "b")
        a = Process(program, folder, "a", "--bootstrap", f"{b.id}@{b.address}")
        node = await qudag.connect(a.path)
        await known(node, b.id)
        receiver = subprocess.Popen([sys.executable, __file__, "--receive", b.path, *(["--one"] if one else [])],
                                    stdout=subprocess.PIPE)
        receiver.stdout.readline()
        await send(node, b.id, count // 10, one)  # warm
        pids = {"sending program": os.getpid(), "its node": a.process.pid, "node of the receiver": b.process.pid,
                "receiving program": receiver.pid}
        before = [used(pid) for pid in pids.values()]
        began = time.monotonic()
        delivered = await send(node, b.id, count, one)
        seconds = time.monotonic() - began
        print(f"{delivered / seconds:.0f} messages/s of 256 B, each acknowledged by its receiver "
              f"({delivered} of {count} delivered, {seconds:.2f} s)")
        for (name, pid), start in zip(pids.items(), before):
            spent = used(pid) - start
            print(f"  {name}: {100 * spent / seconds:.0f} % of a core, {1e6 * spent / count:.1f} us/message")
        receiver.kill()
        receiver.wait()
        await node.close()
        a.end()
        b.end()


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--one"]
    if arguments[0] == "--receive":
        asyncio.run(receive(arguments[1], "--one" in sys.argv))
    else:
        asyncio.run(main(os.path.abspath(arguments[0]), int((arguments[1:] or [500_000])[0]), "--one" in sys.argv))
