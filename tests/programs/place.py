"""Three relays, a node with services and one with a SOCKS port, as processes: on the loopback, or each in a namespace of
the link emulator."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ("app", "emulator", "web", "net")]

import probe  # noqa: E402
import testbed  # noqa: E402

RELAYS = 3


class Place:
    """a calls, b has the services."""

    def __init__(self, program, emulated, patience, relays=RELAYS):
        self.names = testbed.names_for(relays)
        self.program, self.emulated, self.patience = program, emulated, patience
        self.nodes, self.forwarded, self.ends = {}, [], contextlib.ExitStack()

    def __enter__(self):
        self.folder = pathlib.Path(self.ends.enter_context(tempfile.TemporaryDirectory(prefix="qudag-programs-")))
        return self

    def __exit__(self, *_):
        self.ends.close()

    def inside(self, name):
        return probe.Enter(name) if self.emulated else contextlib.nullcontext()

    def serve(self, server):
        """A server that was made at b; its port."""
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.ends.callback(server.server_close)
        self.ends.callback(server.shutdown)
        return server.server_address[1]

    def lasting(self, at, *command):
        """A program that tells a line of JSON once it is ready, and ends by a signal."""
        with self.inside(at):
            process = subprocess.Popen([self.program, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       text=True)

        def end():
            process.terminate()
            process.wait(self.patience)
            process.stdout.close()
        self.ends.callback(end)
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"{command} ended before it was ready")
        return json.loads(line)

    def socket(self, name):
        return self.folder / f"{name}.sock"

    def start(self, name, *flags):
        where = ["--listen", "0.0.0.0:4433", "--publish", f"{testbed.address_of(name, self.names)}:4433"] if self.emulated else [
            "--listen", "127.0.0.1:0"]
        entry = self.nodes.get("r1")
        if entry:
            where += ["--bootstrap", f"{entry['id']}@{self.address('r1')}"]
        self.nodes[name] = self.lasting(
            name, "node", *where, "--api.socket", self.socket(name), "--shards", "1", "--log.level", "error", "--guards", "0",
            "--grace", "0", "--gossip_interval", "1s", "--state.dir", self.folder / f"{name}.state", *flags)
        return self.nodes[name]

    def address(self, name):
        return f"{testbed.address_of(name, self.names)}:4433" if self.emulated else self.nodes[name]["address"]

    def begin(self, services):
        for name in self.names[1:-1]:
            self.start(name)
        there = self.start("b", "--relay", "false", *(f"--services={name}={to}" for name, to in services.items()))
        here = self.start("a", "--relay", "false", "--socks", "127.0.0.1:0", "--socks", "127.0.0.1:0,priority=low",
                          f"--names=bob={there['id']}")
        self.socks, self.low = here["socks"]
        until = time.monotonic() + self.patience
        while b"no_such_service" not in (asked := subprocess.run(
                self.pipe("none"), stdin=subprocess.DEVNULL, capture_output=True, timeout=self.patience, check=False)).stderr:
            if time.monotonic() > until:
                raise AssertionError(f"b is not known: {asked.stderr}")

    def pipe(self, service):
        """The command by which ssh reaches a service."""
        return [self.program, "pipe", "--socket", str(self.socket("a")), "bob", service]

    def forward(self, service):
        line = self.lasting("a", "forward", "--socket", self.socket("a"), "--json", "0", "bob", service)
        self.forwarded.append(line["listen"])
        return line["listen"]

    def run(self, *command, codes=(0,), **more):
        with self.inside("a"):
            done = subprocess.run([str(word) for word in command], capture_output=True, timeout=self.patience, check=False,
                                  **more)
        if done.returncode not in codes:
            raise AssertionError(f"{command}: exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
        return done.stdout
