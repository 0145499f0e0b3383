"""A network of `qudag node` processes on emulated links: a source, relays, a destination.

Runs as the program `host` of qudag_emulator: each node's process is started inside its namespace, its
local API is a socket in a directory that all share, so commands run from here.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import probe

SKIPPED = 77


class Failed(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failed(what)


def keys_of(arguments, defaults):
    """KEY=VALUE each, over the defaults."""
    keys = dict(defaults)
    for argument in arguments:
        key, value = argument.split("=", 1)
        check(key in keys, f"no such key: {key}")
        keys[key] = value
    return keys


def run_inside(test, emulator, program, lines, arguments):
    """Starts that test again, with `inside`, as the program of an emulator with those lines; its exit code."""
    flags = [flag for line in lines for flag in ("-e", line)]
    ended = subprocess.run([emulator, *flags, "--", "host", sys.executable, test, os.path.abspath(program), "inside",
                            *arguments], check=False)
    return SKIPPED if ended.returncode == SKIPPED else int(ended.returncode != 0)


def run(test, inside, defaults, relays, seconds, link):
    """The main of such a test, whose command line is EMULATOR QUDAG [KEY=VALUE...]: outside it starts itself in an emulator
    for so long, with links of that kind; inside it calls inside(program, arguments). Of the keys, both are functions."""
    if sys.argv[2:3] == ["inside"]:
        return inside(sys.argv[1], sys.argv[3:])
    emulator, program = sys.argv[1:3]
    keys = keys_of(sys.argv[3:], defaults)
    lines = [*node_lines(relays), f"time {seconds(keys)}s", f"link * * {link(keys)}"]
    return run_inside(test, emulator, program, lines, sys.argv[3:])


def names_for(relays):
    return ["a", *(f"r{i}" for i in range(1, relays + 1)), "b"]


def address_of(name, names):
    # A network of its own for each, so that routes need no exemption.
    return f"10.{names.index(name) + 1}.0.1"


def node_lines(relays):
    names = names_for(relays)
    return [f"node {name} {address_of(name, names)}" for name in names]


class Testbed:
    """Nodes and clients as processes; leaving the context ends all of them."""

    def __init__(self, program, relays=3, patience=60, flags=(), guards=0):
        self.program, self.names, self.flags = program, names_for(relays), ["--guards", guards, *flags]
        self.until = time.monotonic() + patience
        self.nodes, self.processes = {}, []

    def __enter__(self):
        self.folder_owner = tempfile.TemporaryDirectory(prefix="qudag-emulated-")
        self.folder = pathlib.Path(self.folder_owner.name)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder_owner.cleanup()

    def spawn(self, *args, node=None, **kwargs):
        command = [self.program, *map(str, args)]
        if node is None:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **kwargs)
        else:
            with probe.Enter(node):
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **kwargs)
        self.processes.append(process)
        return process

    def run(self, *args):
        left = max(1, self.until - time.monotonic())
        return subprocess.run([self.program, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=left, check=False)

    def start(self, name, listen="0.0.0.0:4433", bootstrap="r1", flags=()):
        address = address_of(name, self.names)
        args = ["node", "--api.socket", self.folder / f"{name}.sock", "--listen", listen, "--publish",
                f"{address}:4433", "--shards", "1", "--log.level", "warn", "--grace", "0",
                "--gossip_interval", "1s", *self.flags, *flags]
        if name in "ab":
            args += ["--relay", "false"]
        if bootstrap in self.nodes:
            args += ["--bootstrap", f"{self.nodes[bootstrap]['id']}@{address_of(bootstrap, self.names)}:4433"]
        process = self.spawn(*args, node=name, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        check(line, f"node {name} ended before it was ready")
        self.nodes[name] = json.loads(line)
        self.nodes[name]["pid"] = process.pid
        return self.nodes[name]

    def start_all(self, flags=()):
        for name in [*self.names[1:-1], "b", "a"]:
            self.start(name, bootstrap=self.names[1], flags=flags)
        for name in self.names:
            self.wait_until(f"{name} knows all", lambda name=name: self.knows_all(name))

    def socket(self, name):
        return self.folder / f"{name}.sock"

    def status(self, name, *what):
        answer = self.run("status", "--json", *what, "--socket", self.socket(name))
        check(answer.returncode == 0, f"status: {answer.stdout} {answer.stderr}")
        return json.loads(answer.stdout)

    def knows_all(self, name):
        status = self.status(name)
        return status["nodes_known"] >= len(self.names) and status["relays_known"] >= len(self.names) - 2

    def wait_until(self, what, condition):
        while not condition():
            check(time.monotonic() < self.until, f"not so in time: {what}")
            time.sleep(0.05)  # between two questions, each of which is a process

    def receive(self, folder, count):
        folder.mkdir(exist_ok=True)
        return self.spawn("recv", "--dir", folder, "--count", count, "--socket", self.socket("b"),
                          stdout=subprocess.DEVNULL)

    def send(self, file, priority="normal", hops=None, ttl="60s"):
        """The answer of `qudag send`; sent again while the receiver has not subscribed yet."""
        hops = len(self.names) - 2 if hops is None else hops
        while True:
            answer = self.run("send", self.nodes["b"]["id"], file, "--priority", priority, "--relays", hops, "--ttl", ttl,
                              "--quiet", "--json", "--socket", self.socket("a"))
            if answer.returncode != 3:
                break
            check(time.monotonic() < self.until, "never taken")
        check(answer.returncode == 0, f"send: {answer.stdout} {answer.stderr}")
        return json.loads(answer.stdout)
