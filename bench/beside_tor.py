#!/usr/bin/env python3
"""curl of a file through SOCKS, to a node's service over three relays and to a receiver without an address, beside `qudag send`
of as many bytes over the same paths, and beside Tor: an exit on the same machine, and an onion service. In turns, in one run.

The network of Tor is Debian's tor, five relays (peers/tor_network.py); ours has six. The HTTP server is one process for all.

Usage: beside_tor.py QUDAG [--runs N] [--megabytes N] [--tor-megabytes N] [--json FILE]
"""

import argparse
import datetime
import http.server
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/programs"), str(ROOT / "bench/peers")]

import place as places  # noqa: E402
import tor_network  # noqa: E402
from gateway_test import Files  # noqa: E402

RELAYS, PATIENCE = 6, 120
MESSAGE_MB = 60  # what one message may have
ASKED = 7  # small files for the time to first byte


def serve(folder):
    os.chdir(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def curl(socks, url, size):
    """Seconds to the first byte, and MB/s."""
    command = ["curl", "-sS", "--fail", "-m", str(PATIENCE), "-o", "/dev/null", "-w", "%{time_starttransfer} %{time_total} %{size_download}",
               "--socks5-hostname", socks, url]
    first, total, got = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    if got != size:
        raise RuntimeError(f"{url}: {got} bytes of {size}")
    return first, got / 1e6 / total


class Bench:
    def __init__(self, place, tor, port, sizes):
        self.place, self.tor, self.port, self.sizes, self.rates, self.firsts = place, tor, port, sizes, {}, {}
        ours, socks = place.socks, f"127.0.0.1:{tor.socks}"
        low = place.low
        self.ways = {"a node's service, class low": (low, "http://web.bob.qudag", "file"),
                     "a receiver's service, class low": (low, "http://web.alice.qudag", "file"),
                     "a node's service": (ours, "http://web.bob.qudag", "file"),
                     "a receiver's service": (ours, "http://web.alice.qudag", "file"),
                     "Tor, exit": (socks, f"http://127.0.0.1:{port}", "tor"),
                     "Tor, onion service": (socks, f"http://{tor.onion}", "tor")}

    def message(self, what, to):
        out = self.place.folder / "came"
        out.mkdir(exist_ok=True)
        with subprocess.Popen([self.place.program, "recv", "--socket", self.place.socket("b"), "--dir", out, "--count", "1"],
                              stdout=subprocess.DEVNULL) as receiver:
            while True:
                began = time.monotonic()
                done = subprocess.run([self.place.program, "send", to, self.place.folder / "web/message", "--priority", "low",
                                       "--quiet", "--socket", self.place.socket("a")], capture_output=True, check=False)
                took = time.monotonic() - began
                if done.returncode != 3:  # nobody had subscribed yet
                    break
            if done.returncode != 0 or receiver.wait(PATIENCE) != 0:
                raise RuntimeError(f"send: {done.stderr}")
        self.rates.setdefault(what, []).append(MESSAGE_MB / took)

    def warm(self):
        """Until each way has answered; a new service of Tor takes a while to be found."""
        until = time.monotonic() + PATIENCE
        for name, (socks, url, _) in self.ways.items():
            while True:
                try:
                    curl(socks, f"{url}/small", 100)
                    break
                except subprocess.CalledProcessError as error:
                    if time.monotonic() > until:
                        raise RuntimeError(f"{name}: {error.stderr}") from error
                    time.sleep(0.5)

    def round(self):
        for name, (socks, url, file) in self.ways.items():
            self.rates.setdefault(name, []).append(curl(socks, f"{url}/{file}", self.sizes[file])[1])
            for _ in range(ASKED):
                self.firsts.setdefault(name, []).append(curl(socks, f"{url}/small", 100)[0] * 1000)
        self.message("qudag send to a node", "bob")
        self.message("qudag send to a receiver", "alice")

    def rows(self):
        rate, rows = {}, []
        for name, runs in self.rates.items():
            rate[name] = statistics.median(runs)
            rows.append([f"{name}, MB/s", f"{rate[name]:.1f} ({min(runs):.1f} to {max(runs):.1f})"])
        for name, runs in self.firsts.items():
            rows.append([f"{name}, warm, first byte, ms", f"{statistics.median(runs):.1f} ({min(runs):.1f} to {max(runs):.1f})"])
        for one, other in (("a node's service, class low", "qudag send to a node"),
                           ("a receiver's service, class low", "qudag send to a receiver"),
                           ("a node's service", "Tor, exit"), ("a node's service, class low", "Tor, exit"),
                           ("a receiver's service", "Tor, onion service"),
                           ("a receiver's service, class low", "Tor, onion service")):
            rows.append([f"{one} over {other}", f"{rate[one] / rate[other]:.2f} x"])
        return rows


def measured(arguments):
    with places.Place(arguments.program, False, PATIENCE, RELAYS) as place:
        web = place.folder / "web"
        web.mkdir()
        sizes = {"file": arguments.megabytes * 1_000_000, "tor": arguments.tor_megabytes * 1_000_000,
                 "message": MESSAGE_MB * 1_000_000, "small": 100}
        for name, size in sizes.items():
            (web / name).write_bytes(os.urandom(size))
        server = subprocess.Popen([sys.executable, __file__, "--serve", web], stdout=subprocess.PIPE, text=True)
        place.ends.callback(server.kill)
        port = int(server.stdout.readline())
        tor = tor_network.Tor(place.folder / "tor", (80, f"127.0.0.1:{port}"))
        tor.folder.mkdir()
        place.ends.enter_context(tor)
        place.begin({"web": f"127.0.0.1:{port}"})
        invited = subprocess.run([place.program, "invite", "--socket", place.socket("b"), "--name", "alice", "--json"], check=True,
                                 capture_output=True).stdout
        subprocess.run([place.program, "contact", "add", "--socket", place.socket("a"), "alice", json.loads(invited)["invitation"]],
                       check=True, capture_output=True)
        bench = Bench(place, tor, port, sizes)
        bench.warm()
        for _ in range(arguments.runs):
            bench.round()
        return bench.rows()


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--tor-megabytes", type=int, default=100)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    rows = measured(arguments)
    for row in rows:
        print(": ".join(row))
    if arguments.json:
        version = subprocess.run(["tor", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
        arguments.json.write_text(json.dumps({
            "scenario": "beside_tor", "title": "Unmodified curl, beside Tor", "date": str(datetime.date.today()),
            "command": f"bench/beside_tor.py QUDAG --runs {arguments.runs} --megabytes {arguments.megabytes} --tor-megabytes "
                       f"{arguments.tor_megabytes}",
            "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
            "notes": [f"{version}; a private network of five relays; ours has six; all of both and curl on one machine",
                      "a receiver's service is reached through a keeper, an onion service through a rendezvous"],
            "tables": [{"columns": ["case", "median (least to most)"], "rows": rows}]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
