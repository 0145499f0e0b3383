#!/usr/bin/env python3
"""Nodes are killed and started again under the load of both clients (clients/python, clients/node):
each send has exactly one outcome, what was delivered came, and nothing came twice.

A program of each client sends through node a to a program of the same client at node b, which
acknowledges. One of the nodes is killed (SIGKILL) and started again, and once messages flow again,
the next one is: in the middle of sends, of acknowledgements, of the start of a connection.

Usage: restarts_test.py QUDAG [--restarts N | --seconds S] [--seed N]
"""

import argparse
import collections
import contextlib
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients"
sys.path.insert(0, str(CLIENTS / "python" / "tests"))
from nodes import Process  # noqa: E402

PATIENCE = 60
OUTCOMES = ("delivered", "expired", "refused", "failed", "unknown")
NODEJS = shutil.which("nodejs") or shutil.which("node")


class Program:
    def __init__(self, client, what, path, channel, file, *more):
        self.file, self.name, self.complaint = file, f"{client} {what}", None
        command = ([sys.executable, CLIENTS / "python/tests/steady.py"] if client == "python" else
                   [NODEJS, CLIENTS / "node/tests/steady.js"])
        self.process = subprocess.Popen([*map(str, command), what, path, str(channel), str(file), *more],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self):
        """The next one that is no complaint."""
        try:
            while (line := self.lines.get(timeout=PATIENCE)) and line.startswith("!"):
                self.complaint = line.strip()
        except queue.Empty:
            raise AssertionError(f"{self.name}: nothing came in {PATIENCE} s; the last complaint: "
                                 f"{self.complaint}") from None
        if line is None:
            raise AssertionError(f"{self.name} ended")

    def later(self):
        """A line that it writes from now on."""
        self.complaint = None
        while not self.lines.empty():
            self.lines.get()
        self.line()

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        if code != 0:
            raise AssertionError(f"a program ended with {code}")
        return self.file.read_bytes()


def check(client, told, came):
    """A line about it; AssertionError if a promise was broken."""
    counts = collections.Counter(told)
    outcomes = {name: counts[1 + i] for i, name in enumerate(OUTCOMES) if counts[1 + i]}
    came = came.ljust(len(told), b"\0")
    doubled = [number for number, count in enumerate(came) if count > 1]
    missing = [number for number, outcome in enumerate(told) if outcome == 1 and came[number] == 0]
    silent = counts[0]
    line = f"{client}: {len(told)} sent, {outcomes}; {sum(1 for count in came if count)} came, {len(doubled)} twice"
    if doubled or missing or silent or len(came) > len(told) or not outcomes.get("delivered"):
        raise AssertionError(f"{line}; twice: {doubled[:5]}; delivered and not there: {missing[:5]}; "
                             f"without an outcome: {silent}; never sent: {len(came) - len(told)}")
    return line


def kill_and_start(nodes, senders, chance, seconds, restarts):
    began, pauses = time.monotonic(), []
    while len(pauses) < restarts and time.monotonic() - began < seconds:
        time.sleep(chance.random() * 0.02)
        node = chance.choice(nodes)
        node.end(signal.SIGKILL)
        killed = time.monotonic()
        node.start(node.address)
        try:
            for sender in senders:
                sender.later()
        except AssertionError as error:
            which = "ab"[nodes.index(node)]
            silent = [sender.name for sender in senders if sender.lines.empty()]
            raise AssertionError(f"restart {len(pauses) + 1}, of node {which}: {error}; others that say "
                                 f"nothing: {silent}") from error
        pauses.append(time.monotonic() - killed)
    return sorted(pauses)


def main(arguments, ends):
    clients = ["python"] + (["node"] if NODEJS else [])
    folder = pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory()))

    def begun(thing):
        ends.callback(thing.process.kill)
        return thing
    b = Process(arguments.program, folder, "b")
    a = Process(arguments.program, folder, "a", "--bootstrap", f"{b.id}@{b.address}")
    for node in (a, b):
        ends.callback(lambda node=node: node.process.kill())
    receivers = [begun(Program(client, "receive", b.path, 21 + i, folder / f"came-{client}"))
                 for i, client in enumerate(clients)]
    for receiver in receivers:
        receiver.line()
    senders = [begun(Program(client, "send", a.path, 21 + i, folder / f"told-{client}", b.id))
               for i, client in enumerate(clients)]
    for sender in senders:
        sender.line()
    pauses = kill_and_start((a, b), senders, random.Random(arguments.seed), arguments.seconds, arguments.restarts)
    told = [sender.end() for sender in senders]
    came = [receiver.end() for receiver in receivers]
    print(f"{len(pauses)} restarts, seed {arguments.seed}; messages flow again after "
          f"{1000 * pauses[len(pauses) // 2]:.0f} ms (median), {1000 * pauses[-1]:.0f} ms (longest)")
    for client, *files in zip(clients, told, came):
        print(check(client, *files))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--restarts", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=1)
    with contextlib.ExitStack() as everything:
        main(parser.parse_args(), everything)
