#!/usr/bin/env python3
"""Every alert of alerts.yml on its real fault, and every panel of the board with data, in Debian's
Prometheus over `qudag node` processes.

Each fault is at a node of its own, whose `instance` is the alert's name; the nodes `r1` to `r5`,
which carry load and have no fault, raise none. The rules' thresholds are as they are; only their
minutes are taken as seconds, and hours as minutes, so that all of it takes one and a half minutes.

  1. A network under load; a node for each fault; Prometheus looks once a second.
  2. The faults begin. What fires on whom is asked for until every alert has fired.
  3. Every query of the board is asked meanwhile, and has numbers.

Needs root (a full disk is a file system of its own) and a C compiler (wrong clocks).
Usage: live_test.py QUDAG [--prometheus PROGRAM] [--only ALERT]...    exit code 0 right, 1 wrong
"""

import argparse
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

sys.path.append(str(pathlib.Path(__file__).parents[1] / "app"))
from live_node import Connection, Node  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
RULES = ROOT / "packaging" / "prometheus" / "alerts.yml"
BOARD = ROOT / "docs" / "reference" / "dashboard.json"
PATIENCE = 150
FAST = 12  # times that a second lasts where a fault needs ten minutes of the node's own


# ---- rules and Prometheus -----------------------------------------------------------------------

def quick(rules):
    """Minutes as seconds, hours as minutes."""
    rules = re.sub(r"\bfor: (\d+)m\b", r"for: \1s", rules)
    rules = re.sub(r"\[(\d+)m\]", r"[\1s]", rules)
    return re.sub(r"\[(\d+)h\]", lambda of: f"[{60 * int(of[1])}s]", rules)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Prometheus:
    def __init__(self, program, folder, targets):
        self.port = free_port()
        (folder / "alerts.yml").write_text(quick(RULES.read_text()))
        scrape = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in targets.items()]
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "qudag", "static_configs": scrape}]}))
        with open(folder / "prometheus.log", "w") as log:
            self.process = subprocess.Popen([program, f"--config.file={folder}/prometheus.yml",
                                             f"--storage.tsdb.path={folder}/tsdb",
                                             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)

    def ask(self, path, **keys):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(keys)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def firing(self):
        """(alert, instance)"""
        return {(one["labels"]["alertname"], one["labels"]["instance"])
                for one in self.ask("alerts")["alerts"] if one["state"] == "firing"}

    def has_numbers(self, query):
        found = self.ask("query", query=query)["result"]
        return any(not math.isnan(float(one["value"][1])) for one in found)


# ---- nodes --------------------------------------------------------------------------------------

class Live:
    """Nodes as processes."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.processes, self.ports, self.entries, self.over = {}, {}, {}, threading.Event()
        self.shim = folder / "clock_shim.so"
        source = pathlib.Path(__file__).with_name("clock_shim.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.shim, source], check=True)

    def start(self, name, *flags, near=(), watched=True, files=None, **clock):
        """`near`: whose entries it has. `clock`: for the shim."""
        port = self.ports.setdefault(name, free_port()) if watched else None
        shim = {f"QUDAG_{key.upper()}": str(value) for key, value in clock.items()}
        if shim:
            shim["LD_PRELOAD"] = str(self.shim)
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        command = [self.program, "node", "--api.socket", self.path(name), "--listen", "127.0.0.1:0", "--shards", "1",
                   "--state.dir", "none", "--log.level", "warn", "--grace", "0", *(() if "--gossip_interval" in flags else ("--gossip_interval", "1s")),
                   *(("--metrics.listen", f"127.0.0.1:{port}") if port else ()),
                   *(part for other in near for part in ("--bootstrap", self.entries[other])), *flags]
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True,
                                       env={**os.environ, **shim}, preexec_fn=limit)
        self.processes[name] = process
        line = process.stdout.readline()
        assert line, f"{name} did not start: {(self.folder / f'{name}.log').read_text()}"
        ready = json.loads(line)
        self.entries[name] = f"{ready['id']}@{ready['address']}"
        return ready["id"]

    def path(self, name):
        return str(self.folder / f"{name}.sock")

    def status(self, name):
        return json.loads(Node(self.path(name)).ask("GET", "/v1/status")[2])

    def id(self, name):
        return self.entries[name].split("@")[0]

    def until(self, name, what, seconds=30):
        end = time.monotonic() + seconds
        while not what(self.status(name)):
            assert time.monotonic() < end, f"{name}: {self.status(name)}"
            time.sleep(0.1)

    def send(self, name, to, size=200, wait=True, **keys):
        """One message; its outcome, if that is waited for."""
        target = f"/v1/messages?{urllib.parse.urlencode({'to': self.id(to), **keys})}"
        connection = Connection(self.path(name))
        with contextlib.closing(connection):
            connection.request("POST", target, body=bytes(size))
            return json.loads(connection.getresponse().read()).get("outcome") if wait else None

    def busy(self, count, work):
        """Threads that do that again and again until the end."""
        def run(number):
            turn = 0
            while not self.over.is_set():
                with contextlib.suppress(AssertionError, OSError, ValueError, http.client.HTTPException):
                    work(number, turn)
                turn += 1
        for number in range(count):
            threading.Thread(target=run, args=(number,), daemon=True).start()

    def receive(self, name):
        """A program that takes what comes."""
        def take(_, __):
            with contextlib.closing(Connection(self.path(name))) as connection:
                connection.request("GET", "/v1/messages?format=raw")
                answer = connection.getresponse()
                while answer.read(65536) and not self.over.is_set():
                    pass
        self.busy(1, take)

    def close(self):
        self.over.set()
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.processes.values():
            process.wait()


# ---- faults -------------------------------------------------------------------------------------
# Each makes the node that is named as its alert, and gives what begins the fault; `prepare` ones are
# ready before Prometheus starts.

def down(live, name):
    live.start(name, near=["r1"])
    return lambda: live.processes[name].kill()


def restarts(live, name):
    live.start(name, near=["r1"])

    def again(_, turn):
        if turn < 6:
            live.processes[name].kill()
            live.processes[name].wait()
            live.start(name, near=["r1"])
        time.sleep(1.5)
    return lambda: live.busy(1, again)


def not_joined(live, name):
    live.entries["nobody"] = f"{live.id('r1')}@127.0.0.1:{free_port()}"
    live.start(name, near=["nobody"])


def unreachable(live, name):
    # It publishes an address where it is not. It opens nothing ahead of need for want of descriptors,
    # so there are relays that it never dialed and that would come.
    slow = ("--gossip_interval", "60s")
    relays = [f"{name}-r{number}" for number in range(5)]
    for number, relay in enumerate(relays):
        live.start(relay, *slow, near=relays[:number][:1], watched=False, times=FAST)
    live.start(name, *slow, "--publish", "127.0.0.1:9", near=relays[:1], files=18, times=FAST)


def clock_off(live, name):
    live.start(name, near=["r1", "r2", "r3"], wall_ahead=120)


def a_pair(live, name, *flags, **keys):
    """A network of one relay, which has the fault, and a source and a destination on its sides."""
    live.start(name, *flags, **keys)
    live.start(f"{name}-from", "--relay", "false", near=[name], watched=False)
    live.start(f"{name}-to", "--relay", "false", near=[name], watched=False)
    live.receive(f"{name}-to")
    live.until(f"{name}-from", lambda status: status["nodes_known"] >= 3)
    return f"{name}-from", f"{name}-to"


def memory_short(live, name):
    live.start(name, "--limits.memory", "32MiB", "--relay", "false", near=["r1"])
    live.start(f"{name}-to", "--relay", "false", near=["r1"], watched=False)
    live.until(name, lambda status: status["nodes_known"] >= 7)

    def begin():
        live.processes[f"{name}-to"].send_signal(signal.SIGSTOP)
        live.busy(3, lambda number, _: live.send(name, f"{name}-to", 65536, False, relays=0, ttl="5m",
                                                 priority=("high", "normal", "low")[number]))
    return begin


def refuses(live, name):
    source, to = a_pair(live, name, "--limits.builds_per_link", "1")
    return lambda: live.busy(16, lambda number, turn: live.send(source, to, relays=1, ttl="2s",
                                                                isolation=1 + number + 16 * turn))


def loop_late(live, name):
    live.start(name, near=["r1"])

    def starve(_, __):
        live.processes[name].send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        live.processes[name].send_signal(signal.SIGCONT)
        time.sleep(0.1)
    return lambda: live.busy(1, starve)


def descriptors_short(live, name):
    live.start(name, near=["r1"], files=64)
    kept = []

    def begin():
        for _ in range(42):
            one = socket.socket(socket.AF_UNIX)
            one.connect(live.path(name))
            kept.append(one)
    return begin


def inbox_failing(live, name):
    place = live.folder / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", place], check=True)
    live.start(name, "--inbox.accept", "true", "--inbox.dir", place, near=["r1"])
    live.start(f"{name}-from", near=[name], watched=False)
    live.until(f"{name}-from", lambda status: status["nodes_known"] >= 2)
    return lambda: live.busy(1, lambda _, __: (live.send(f"{name}-from", name, 60_000, relays=0, ttl="5s"), time.sleep(0.05)))


def quota_ends(live, name):
    source, to = a_pair(live, name, "--limits.month", "2MB", "--limits.bandwidth", "1MB")
    return lambda: live.busy(1, lambda _, __: (live.send(source, to, 50_000, relays=1, ttl="2s"), time.sleep(0.05)))


def builds_fail(live, name):
    relays = [f"{name}-r{number}" for number in range(3)]
    for number, relay in enumerate(relays):
        live.start(relay, near=relays[:number][:1], watched=False)
    live.start(f"{name}-to", "--relay", "false", near=relays, watched=False)
    live.start(name, "--relay", "false", near=relays)
    live.receive(f"{name}-to")
    live.until(name, lambda status: status["joined"] and status["nodes_known"] >= 5)

    def begin():
        for relay in relays:
            live.processes[relay].kill()
        live.busy(4, lambda number, turn: live.send(name, f"{name}-to", ttl="2s", isolation=1 + number + 4 * turn))
    return begin


FAULTS = {
    "QudagUnreachable": unreachable,
    "QudagDown": down,
    "QudagRestarts": restarts,
    "QudagNotJoined": not_joined,
    "QudagClockOff": clock_off,
    "QudagMemoryShort": memory_short,
    "QudagOverloaded": None,  # the same node as QudagMemoryShort's
    "QudagRefuses": refuses,
    "QudagLoopLate": loop_late,
    "QudagDescriptorsShort": descriptors_short,
    "QudagInboxFailing": inbox_failing,
    "QudagQuotaEnds": quota_ends,
    "QudagBuildsFail": builds_fail,
    "QudagMessagesFail": None,  # the same node as QudagBuildsFail's
}
AT = {"QudagOverloaded": "QudagMemoryShort", "QudagMessagesFail": "QudagBuildsFail"}
WELL = [f"r{number}" for number in range(1, 6)]


def load(live):
    """Messages of every priority through three relays, and API requests."""
    for name in ("from", "to"):
        live.start(name, "--relay", "false", near=WELL[:3])
    live.receive("to")
    live.until("from", lambda status: status["joined"] and status["nodes_known"] >= 7)
    sizes = (200, 16_000, 200_000)
    live.busy(3, lambda number, _: live.send("from", "to", sizes[number], ttl="10s",
                                             priority=("high", "normal", "low")[number]))


# ---- the test -----------------------------------------------------------------------------------

def queries():
    """Of the board: title and query."""
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "5s").replace("$instance", ".*").replace("[1m]", "[5s]")
            yield f"{panel['title']}: {target['expr']}", query


def run(live, prometheus_program, only):
    rules = re.findall(r"alert: (\w+)", RULES.read_text())
    assert sorted(rules) == sorted(FAULTS), "an alert without a fault here, or the reverse"
    begun = time.monotonic()
    for number, name in enumerate(WELL):
        live.start(name, near=WELL[:number][:1])
    wanted = [alert for alert in rules if not only or alert in only]
    begins = [begin for alert, fault in FAULTS.items() if fault and (alert in wanted or alert in map(AT.get, wanted))
              if (begin := fault(live, alert))]
    load(live)
    print(f"  {len(live.processes)} nodes after {time.monotonic() - begun:.0f} s", flush=True)
    prometheus = Prometheus(prometheus_program, live.folder, live.ports)
    try:
        time.sleep(5)
        assert not (early := {(a, i) for a, i in prometheus.firing() if i in WELL}), early
        for begin in begins:
            begin()
        return watch(prometheus, wanted, bool(only))
    finally:
        prometheus.process.kill()
        prometheus.process.wait()


def watch(prometheus, wanted, partial):
    begun, fired, wrong = time.monotonic(), {}, set()
    empty = {} if partial else dict(queries())
    while (len(fired) < len(wanted) or empty) and time.monotonic() - begun < PATIENCE:
        for alert, instance in prometheus.firing():
            if instance in (*WELL, "from", "to"):
                wrong.add((alert, instance))
            if instance == AT.get(alert, alert) and alert in wanted and alert not in fired:
                fired[alert] = time.monotonic() - begun
                print(f"  {fired[alert]:5.1f} s  {alert}", flush=True)
        empty = {title: query for title, query in empty.items() if not prometheus.has_numbers(query)}
        time.sleep(0.5)
    for alert in wanted:
        if alert not in fired:
            print(f"did not fire: {alert}; at its node: "
                  f"{sorted(a for a, i in prometheus.firing() if i == AT.get(alert, alert))}")
    for title in empty:
        print(f"no data on the board: {title}")
    for alert, instance in sorted(wrong):
        print(f"fired without its fault: {alert} at {instance}")
    if len(fired) == len(wanted) and not empty and not wrong:
        print(f"  {len(fired)} alerts fired on their faults, none at {len(WELL) + 2} nodes that are well; "
              f"{len(list(queries()))} queries of the board have numbers")
        return 0
    return 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qudag", type=os.path.abspath)
    parser.add_argument("--prometheus", default="prometheus")
    parser.add_argument("--only", action="append")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qudag-alerts-") as folder:
        live = Live(arguments.qudag, pathlib.Path(folder))
        try:
            return run(live, arguments.prometheus, arguments.only)
        finally:
            live.close()
            if os.path.ismount(f"{folder}/small"):
                subprocess.run(["umount", f"{folder}/small"], check=True)


if __name__ == "__main__":
    sys.exit(main())
