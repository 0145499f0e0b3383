#!/usr/bin/env python3
"""Receivers without an address, as docs/guide/receive-behind-a-router.md and
receive-without-being-found.md tell people to use them: six relays, a node that is called and one
that calls, neither of them a relay nor known to anybody.

The receiver's node and the caller's end and begin again; the caller has nothing but an invitation
then. Ports are the kernel's choice.

Usage: receivers_test.py QUDAG
"""

import json
import os
import pathlib
import re
import signal
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

PATIENCE = 60


class Echo(socketserver.ThreadingTCPServer):
    """What came, in capitals."""
    daemon_threads = True

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(self.rfile.readline().upper())

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Session)


class Node:
    def __init__(self, folder, name, *flags):
        self.socket = str(folder / f"{name}.sock")
        self.process = subprocess.Popen(
            [QUDAG, "node", "--shards", "1", "--api.socket", self.socket, "--gossip_interval", "1s",
             "--log.level", "warn", *flags], stdout=subprocess.PIPE, text=True)

    def wait(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the node did not start")
        self.ready = json.loads(line)
        return self

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def run(*command, code=0, text=None):
    done = subprocess.run([QUDAG, *map(str, command)], capture_output=True, timeout=PATIENCE, text=True,
                          input=text)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout if code == 0 else done.stderr


class Receivers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.relays = []
        for i in range(6):
            entries = [flag for relay in cls.relays[:3]
                       for flag in ("--bootstrap", f"{relay.ready['id']}@{relay.ready['address']}")]
            relay = Node(cls.folder, f"relay{i}", "--listen", "127.0.0.1:0", *entries).wait()
            cls.addClassCleanup(relay.end)
            cls.relays.append(relay)
        cls.entries = [flag for relay in cls.relays[:3]
                       for flag in ("--bootstrap", f"{relay.ready['id']}@{relay.ready['address']}")]
        echo = Echo()
        threading.Thread(target=echo.serve_forever, args=(0.02,), daemon=True).start()
        cls.addClassCleanup(echo.server_close)
        cls.addClassCleanup(echo.shutdown)
        cls.echo = echo.server_address[1]
        for name in ("home", "away"):
            run("keygen", cls.folder / f"{name}.key")
        cls.nodes = {}
        for name in ("home", "away"):
            cls.start(name, wait=False)
        for node in cls.nodes.values():
            node.wait()
        cls.addClassCleanup(lambda: [node.end() for node in cls.nodes.values()])

    @classmethod
    def start(cls, name, wait=True):
        more = [f"--services=echo=127.0.0.1:{cls.echo}"] if name == "home" else []
        node = Node(cls.folder, name, "--identity", str(cls.folder / f"{name}.key"), "--relay", "false",
                    "--known", "false", "--wait-joined", "30s", *cls.entries, *more)
        cls.nodes[name] = node
        return node.wait() if wait else node

    @classmethod
    def restart(cls, name):
        cls.nodes.pop(name).end()
        cls.start(name)

    def at(self, name):
        return ["--socket", self.nodes[name].socket]

    def send(self, data, name="alice"):
        """From away to home, and what came there."""
        out = self.folder / "came"
        out.mkdir(exist_ok=True)
        for old in out.iterdir():
            old.unlink()
        receives = subprocess.Popen([QUDAG, "recv", *self.at("home"), "--count", "1", "--dir", out,
                                     "--timeout", "60s"], stdout=subprocess.DEVNULL)
        file = self.folder / "data"
        file.write_bytes(data)
        answer = json.loads(run("send", *self.at("away"), "--json", "--quiet", name, file))
        self.assertEqual(answer["outcome"], "delivered")
        self.assertEqual(receives.wait(PATIENCE), 0)
        self.assertEqual([one.read_bytes() for one in out.iterdir()], [data])

    def test_from_the_invitation_to_the_removal_of_the_contact(self):
        invited = json.loads(run("invite", *self.at("home"), "--name", "alice", "--json"))
        text = invited["invitation"]
        self.assertRegex(text, r"^qudag1:[a-z2-7]+$")
        # The same again, and as people see it: the code is of black and white blocks.
        plain = run("invite", *self.at("home"), "--name", "alice", "--qr").split("\n")
        self.assertEqual(plain[0], text)
        self.assertGreater(sum("\u2588" in line for line in plain), 15)
        self.assertEqual(run("invite", *self.at("home"), "--name", "alice").strip(), text)
        self.shown(invited["id"])
        self.typing_errors(text)

        run("contact", "add", *self.at("away"), "alice", text)
        self.assertRegex(run("contact", "list", *self.at("away")), rf"alice +receiver +{invited['id']}\n")
        book = self.folder / "away.key.state" / "contacts"
        self.assertEqual(stat.S_IMODE(book.stat().st_mode), 0o600)
        self.assertEqual(book.read_text(), f"alice {text}\n")
        self.assertIn("there is a contact 'alice'", run("contact", "add", *self.at("away"), "alice", text, code=6))
        self.send(os.urandom(50_000))
        self.assertEqual(run("pipe", *self.at("away"), "alice", "echo", text="a question\n"), "A QUESTION\n")

        kept = self.folder / "home.key.state" / "receiver-alice"
        self.assertEqual(stat.S_IMODE(kept.stat().st_mode), 0o600)
        self.restart("home")  # the caller has the old card
        self.assertEqual(run("invite", *self.at("home"), "--name", "alice").strip(), text)
        self.send(os.urandom(3_000))
        self.restart("away")  # it has the invitation
        self.send(os.urandom(3_000))

        run("contact", "remove", *self.at("away"), "alice")
        self.assertEqual(book.read_text(), "")
        self.assertIn("no contact", run("send", *self.at("away"), "alice", "-", code=6, text="lost"))

    def shown(self, receiver):
        table = run("status", *self.at("home"), "--receivers").splitlines()
        lines = [line for line in table if line.startswith("alice ")]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertRegex(line, r"hidden .* yes +yes ")
        page = json.loads(run("status", *self.at("home"), "--receivers", "--json"))
        self.assertEqual([one["id"] for one in page["receivers"] if one["name"] == "alice"], [receiver])
        keepers = {keeper["id"] for one in page["receivers"] for keeper in one["keepers"]}
        self.assertLessEqual(keepers, {relay.ready["id"] for relay in self.relays})

    def typing_errors(self, text):
        typo = text[:100] + ("a" if text[100] != "a" else "b") + text[101:]
        self.assertIn("checksum", run("contact", "add", *self.at("away"), "alice", typo, code=2))
        self.assertRegex(run("contact", "add", *self.at("away"), "alice", text[:-8], code=2), "checksum|not whole")
        self.assertIn("character 50", run("contact", "add", *self.at("away"), "alice",
                                          text[:49] + "1" + text[50:], code=2))
        self.assertIn("1 to 24", run("contact", "add", *self.at("away"), "Alice", text, code=2))

    def test_behind_a_router_it_is_near(self):
        text = run("invite", *self.at("home"), "--name", "desk", "--behind-router", "--keepers", "1").strip()
        self.assertEqual(len(text), 195)
        self.assertRegex(run("status", *self.at("home"), "--receivers"), r"desk +behind router")
        run("contact", "add", *self.at("away"), "desk", text)
        self.send(b"over five links", "desk")
        run("contact", "remove", *self.at("away"), "desk")


if __name__ == "__main__":
    QUDAG = sys.argv.pop(1)
    unittest.main()
