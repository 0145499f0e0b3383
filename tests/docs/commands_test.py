#!/usr/bin/env python3
"""Runs the command lines and programs of the documents against nodes of the built program.

Every code block of README.md, docs/guide/ and docs/reference/api.md is one of these, or an error:

  commands  each must end with exit code 0 and, where it says an outcome, with `delivered`. What
            goes on (`qudag node`, `testnet run`, `recv`, `expose`, `forward`) must become ready, and
            end in order when it is interrupted;
  output    of the commands before it: they must print something of that shape (shapes.py);
  python    a program, run as it is;
  marked    see documents.py: a block that is not run says why.

A document is walked from its top to its end in a folder of its own. What stands for something else
in it is replaced: ID by the id of a node of a network that is there, 192.0.2.7 and its like by the
addresses of such nodes, ports by ports that the kernel chose, /run and /var by folders. Code spans
that begin with `qudag` are not run, but their command and flags must exist.

Usage: commands_test.py QUDAG [--root DIR]     exit code 0 right, 1 wrong, 2 no documents
"""

import argparse
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from documents import blocks_of
from processes import PATIENCE, Failed, Running
from shapes import compare, json_lines

sys.path.append(str(pathlib.Path(__file__).parent.parent / "app"))
from live_node import Node  # noqa: E402

DOCUMENTS = ("README.md", "docs/guide/*.md", "docs/reference/api.md")
RUN = ("qudag", "curl", "echo", "export")
ASSIGNMENT = re.compile(r"(?:export )?(\w+)=(\S+)$")
RECEIVES = re.compile(r"qudag recv\b|curl (?!.*(?:--data|-X)).*/v1/messages\b")
HEX = re.compile(r"\b[0-9a-f]{32}\b")


def feed(source, socket_path):
    """Sends from `source` to the node at `socket_path` until somebody takes a message there."""
    to = json.loads(Node(socket_path).ask("GET", "/v1/status")[2])["id"]
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        text = Node(source).ask("POST", f"/v1/messages?to={to}&relays=0&ttl=10s", body=b"a question")[2]
        if json.loads(text).get("outcome") == "delivered":
            return
    raise Failed(f"nobody receives: {text}")


def hold(socket_path):
    """A subscriber that acknowledges nothing."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(socket_path)
    client.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    subscribe = struct.pack(">IBQHB", 12, 3, 0, 0, 1)
    client.sendall(bytes([0x82, 0x80 | len(subscribe)]) + bytes(4) + subscribe)
    if not client.recv(4096):
        raise Failed("the WebSocket closed")
    return client


class Network:
    """Six nodes that documents speak of as if they were there. Programs receive at the second one,
    and one that never acknowledges at the third one."""

    def __init__(self, qudag, folder, environment):
        self.running = Running(f"exec {qudag} testnet run -n 6 --json", folder, environment)
        self.running.wait_for(lambda: self.running.out.endswith("\n"), "its nodes")
        nodes = json.loads(self.running.out)["nodes"]
        self.ids = [node["id"] for node in nodes]
        self.sockets = [node["socket"] for node in nodes]
        self.entries = [f"{node['id']}@{node['address']}" for node in nodes]
        self.receiver = Running(f"exec {qudag} recv --socket {self.sockets[1]}", folder, environment)
        feed(self.sockets[0], self.sockets[1])
        self.holder = hold(self.sockets[2])

    def end(self):
        self.holder.close()
        for running in (self.receiver, self.running):
            running.interrupt()
            if running.end() != 0:
                raise Failed(f"`{running.command}`: {running.err}")


class Suite:
    """What the walks through the documents have in common."""

    def __init__(self, qudag, root):
        self.qudag, self.root = qudag, root
        self.folder = tempfile.TemporaryDirectory(prefix="docs-")
        self.count = {"run": 0, "output": 0, "run by": 0, "not run": 0}
        self._network = None
        self._helps = {}

    def environment(self, folder):
        for name in ("run", "var"):
            (folder / name).mkdir(mode=0o700)
        path = f"{self.qudag.parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"),
                "TMPDIR": str(folder)}

    def network(self):
        if self._network is None:
            folder = pathlib.Path(self.folder.name, "network")
            folder.mkdir()
            self._network = Network(self.qudag, folder, self.environment(folder))
        return self._network

    def has_test(self, name):
        return any(re.search(rf"add_test\(NAME {re.escape(name)}\s", path.read_text())
                   for path in (self.root / "tests").rglob("CMakeLists.txt"))

    def help_of(self, words):
        if words not in self._helps:
            self._helps[words] = subprocess.run([self.qudag, *words, "--help"], text=True,
                                                capture_output=True).stdout
        return self._helps[words]

    def end(self):
        if self._network is not None:
            self._network.end()
        self.folder.cleanup()


class Walk:
    """Through one document."""

    def __init__(self, suite, path):
        self.suite, self.path = suite, path
        self.name = path.relative_to(suite.root).as_posix()
        self.folder = pathlib.Path(suite.folder.name, self.name.replace("/", "-"))
        self.folder.mkdir()
        (self.folder / "file.bin").write_bytes(bytes(range(256)) * 400)
        self.environment = suite.environment(self.folder)
        self.words = {}  # of the document, and what they stand for
        self.nodes = {}  # running ones: (identity, socket) to Running, with id and address
        self.services = []
        self.sockets = []  # of a network that the document started
        self.output = None  # of the commands of the block before
        self.handle = self.token = ""
        self.in_hand = None  # what receives and acknowledges, and who waits for that
        self.errors = []

    def walk(self):
        for block in blocks_of(self.path, self.name):
            try:
                self.block(block)
            except (Failed, OSError, ValueError) as failed:
                self.errors.append(f"{block.where}: {failed}")
        try:
            self.end()
        except Failed as failed:
            self.errors.append(f"{self.name}: {failed}")
        self.spans()
        return self.errors

    # ---- blocks -----------------------------------------------------------------------------------

    def block(self, block):
        if not block.text:
            raise Failed("a mark without a block")
        if block.mark("first"):
            self.output = ""
        for kind, text in block.marks:
            if kind == "first":
                self.command(text, judged=False)
            elif len(text.split()) < (1 if kind == "run by" or kind == "file" else 3):
                raise Failed(f"'{kind}' without a reason")
        if block.mark("not run"):
            return self.counted("not run")
        if test := block.mark("run by"):
            if not self.suite.has_test(test):
                raise Failed(f"there is no test {test}")
            return self.counted("run by")
        if name := block.mark("file"):
            (self.folder / name).write_text(self.replaced(block.text))
            return self.counted("run")
        if block.language == "python":
            self.program(block.text)
            return self.counted("run")
        commands = block.commands()
        if all(self.is_command(line) for line in commands):
            self.commands(commands)
            return self.counted("run")
        if self.output is None or block.language not in ("", "json", "text"):
            raise Failed(f"neither run nor marked with a reason: {commands[0]}")
        wrong, words = compare(block.text, self.output)
        if wrong:
            raise Failed(f"{wrong}; it is\n{self.output}")
        self.words.update(words)
        self.counted("output")

    def counted(self, kind):
        self.suite.count[kind] += 1
        if kind == "not run" or kind == "run by":
            self.output = None

    @staticmethod
    def is_command(line):
        return ASSIGNMENT.match(line) is not None or line.split()[0] in RUN

    def commands(self, lines):
        self.output = ""
        under_way = None
        cancels = any("-X DELETE" in line for line in lines)
        for line in lines:
            if cancels and under_way is None:  # a message that nobody acknowledges
                held = re.sub(r"\bID\b", self.suite.network().ids[2], line)
                under_way = Running(self.replaced(held), self.folder, self.environment)
                under_way.wait_for(lambda: '"id"' in under_way.out, "the id")
            elif cancels:
                message = HEX.search(under_way.out)[0]
                self.command(HEX.sub(message, line))
                under_way.end()
                if '"outcome":"failed"' not in under_way.out or '"cancelled"' not in under_way.out:
                    raise Failed(f"`{lines[0]}`: not cancelled, but {under_way.out}")
            else:
                self.command(line)

    # ---- commands ---------------------------------------------------------------------------------

    def command(self, line, judged=True):
        if assignment := ASSIGNMENT.match(line):
            value = self.replaced(assignment[2])
            self.environment[assignment[1]] = subprocess.run(
                ["bash", "-c", f"printf %s {value}"], cwd=self.folder, env=self.environment,
                capture_output=True, text=True, check=True).stdout
            if value.endswith(".sock") and not (self.folder / value).exists():  # a node that is there
                (self.folder / value).symlink_to(self.suite.network().sockets[0])
            return
        if line.startswith("qudag node") and "--print-config" not in line:
            return self.node(line)
        line = self.replaced(line)
        if line.startswith("qudag testnet run"):
            running = self.service(line)
            running.wait_for(lambda: "every node knows" in running.err and running.out, "its nodes")
            self.sockets = re.findall(r"/\S+\.sock", running.out)
            self.output += running.out + running.err
        elif re.match(r"qudag (expose|forward)\b", line):  # they last
            running = self.service(re.sub(r"\b2222\b", "0", line))
            running.wait_for(lambda: running.out.endswith("\n"), "what it made")
            self.output += running.out
        elif RECEIVES.match(line):
            self.receive(line)
        else:
            running = Running(line, self.folder, self.environment)
            self.judge(running, judged)
            if self.in_hand and "/v1/acknowledgements" in line:
                received, sender = self.in_hand
                self.in_hand = None
                if received.end() != 0:
                    raise Failed(f"`{received.command}`: {received.out}{received.err}")
                sender.join()

    def judge(self, running, judged=True):
        """It must end well, and what it says, too."""
        code = running.end()
        self.output += running.out + running.err
        if code != 0:
            raise Failed(f"`{running.command}`: exit code {code}: {running.err or running.out}")
        for value in json_lines(running.out) if judged else ():
            if "error" in value or value.get("outcome", "delivered") != "delivered":
                raise Failed(f"`{running.command}`: {running.out}")

    def service(self, line):
        running = Running("exec " + line, self.folder, self.environment)
        self.services.append(running)
        return running

    def node(self, line):
        """It is joined if the network of the document or the one that is there tells it how."""
        bootstrap = re.search(r"\bID@", line) or ".toml" in line
        line = re.sub(r"--listen \S+", "--listen 127.0.0.1:0", self.replaced(line))
        if bootstrap:
            line += " --wait-joined 30s"
        flags = dict(re.findall(r"--(identity|api\.socket|config) (\S+)", line))
        name = flags.get("identity") or flags.get("config") or ""
        path = self.folder / flags.get("api.socket", self.folder / "run" / "qudag.sock")
        # One process has an identity and a socket: the reader ends the one before.
        for key in [key for key in self.nodes if (key[0] == name and name) or key[1] == path]:
            self.stop(self.nodes.pop(key))
        running = self.service(line)
        running.wait_for(lambda: running.out.endswith("\n"), "the ready line")
        ready = json.loads(running.out)
        running.id, running.address = ready["id"], ready["address"]
        self.nodes[name, path] = running
        if bootstrap:
            self.knows(str(path), self.suite.network().ids[1])

    @staticmethod
    def knows(path, whom):
        """A message without a time to spare is refused only if nobody is known by that id."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            text = Node(path).ask("POST", f"/v1/messages?to={whom}&relays=0", body=b"known")[2]
            if json.loads(text)["outcome"] == "delivered":
                return
        raise Failed(f"does not know the network: {text}")

    def receive(self, line):
        """What receives gets something, from a node beside."""
        at = re.search(r"--(?:unix-)?socket (\S+)", line)[1].replace("$S", self.environment.get("S", ""))
        at = os.path.realpath(self.folder / at)
        sockets = self.sockets or self.suite.network().sockets
        running = self.service(line)
        source = next(path for path in sockets if path != at)
        if "acknowledge=true" in line:  # the sender waits for the next command
            sender = threading.Thread(target=feed, args=(source, at), daemon=True)
            sender.start()
            running.wait_for(lambda: "\n" in running.out, "a message")
            self.token = json_lines(running.out)[0]["token"]
            self.services.remove(running)
            self.in_hand = (running, sender)
            self.output += running.out
            return
        feed(source, at)
        running.wait_for(lambda: running.out, "a message")
        if "count" in line:
            self.services.remove(running)
            self.judge(running)
            self.handle = next((value["reply_to"] for value in json_lines(running.out)), "")

    def program(self, text):
        (self.folder / "program.py").write_text(self.replaced(text))
        self.output = ""
        running = Running(f"{sys.executable} program.py", self.folder, self.environment)
        self.judge(running)
        if "'outcome'" in running.out and "'delivered'" not in running.out:
            raise Failed(f"the program: {running.out}")

    def replaced(self, text):
        for word, other in self.words.items():
            text = text.replace(word, other)

        def own(match):
            key = next((key for key in self.nodes if key[0] == f"n{match[1]}.key"), None)
            if key is None:
                raise Failed(f"{match[0]}: n{match[1]} does not run")
            return f"{self.nodes[key].id}@{self.nodes[key].address}"

        text = re.sub(r"\bID_OF_N(\d)@[\w.]+:\d+", own, text)
        if re.search(r"\bID\b", text):
            entries = iter(self.suite.network().entries)
            text = re.sub(r"\bID@[\w.]+:\d+", lambda _: next(entries), text)
            text = re.sub(r"\bID\b", self.suite.network().ids[1], text)
        text = re.sub(r"(\blisten = )\"[^\"]*\"", r'\1"127.0.0.1:0"', text)
        text = text.replace("HANDLE", self.handle).replace("TOKEN", self.token)
        text = text.replace("/run/qudag/", f"{self.folder}/run/")
        return text.replace("/var/lib/qudag", f"{self.folder}/var")

    # ---- the end ----------------------------------------------------------------------------------

    def stop(self, running):
        self.services.remove(running)
        running.interrupt()
        if (code := running.end()) != 0:
            raise Failed(f"`{running.command}`: exit code {code} after Ctrl-C\n{running.err}")

    def end(self):
        for running in self.services:
            running.interrupt()
        for running in list(self.services):
            self.stop(running)

    def spans(self):
        """The commands and flags of code spans."""
        fenced = False
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            fenced ^= line.startswith("```")
            if fenced or line.startswith("    "):
                continue
            for span in re.findall(r"`(qudag [a-z][^`]*)`", line):
                words = span.split()[1:]
                command = tuple(words[:2] if words[0] == "testnet" else words[:1])
                text = self.suite.help_of(command)
                if f"Usage: qudag {' '.join(command)}" not in text:
                    self.errors.append(f"{self.name}:{number}: `{span}`: no such command")
                for flag in re.findall(r"\s(--[\w.-]+|-\w)\b", span):
                    if not re.search(rf"(?<![\w.-]){re.escape(flag)}(?![\w.-])", text):
                        self.errors.append(f"{self.name}:{number}: `{span}`: no flag {flag}")


def main():
    parser = argparse.ArgumentParser(description="runs the commands of the documents")
    parser.add_argument("qudag", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent.parent)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    paths = [path for pattern in DOCUMENTS for path in sorted(root.glob(pattern))]
    suite = Suite(arguments.qudag.resolve(), root)
    errors = []
    try:
        for path in paths:
            began = time.monotonic()
            errors += Walk(suite, path).walk()
            print(f"{path.relative_to(root)}: {time.monotonic() - began:.1f} s")
    finally:
        suite.end()
    for error in errors:
        print(error)
    print("commands: " + ", ".join(f"{count} {kind}" for kind, count in suite.count.items())
          + f"; {len(errors)} violations")
    return 2 if not paths else 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
