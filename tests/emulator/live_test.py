#!/usr/bin/env python3
"""The emulator over the kernel: namespaces, TUN devices, plain UDP sockets.

What is checked is what must hold on a machine of any speed: which packets arrive (exactly, by the
seed), never too early, to and from which address. How late they are is printed, not judged.

Usage: live_test.py EMULATOR CASE      exit code 0 passed, 1 failed, 77 skipped. ctest: net.emulator.*
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
A, B = "10.1.0.1", "10.2.0.1"
NODES = ["-e", f"node a {A}", "-e", f"node b {B}", "-e", "time 40s"]


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def run(emulator, case, *lines):
    """This file again, as the program of a run, in the part of `case` that is inside."""
    flags = [flag for line in lines for flag in ("-e", line)]
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        ended = subprocess.run([emulator, *NODES, *flags, "--json", report, "--", "host", sys.executable, __file__,
                                emulator, case, "inside"], text=True, stdout=subprocess.PIPE, check=False)
        if ended.returncode == SKIPPED:
            sys.exit(SKIPPED)
        check(ended.returncode == 0, f"{case}: exit code {ended.returncode}")
        report = json.loads(report.read_text())
        print("lateness", report["lateness"])
        return json.loads(ended.stdout), report


def way(report, source, target):
    return next(w for w in report["ways"] if (w["from"], w["to"]) == (source, target))


def numbers(got):
    return [number for number, _, _ in got]


def until_quiet(s, patience=0.5):
    s.settimeout(patience)
    return list(iter(lambda: probe.receive(s), None))


# --- cases: <name>_inside runs in the emulator and prints what it saw; <name> judges it ---------------


def delay_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    delays = []
    for n in range(100):
        probe.send(a, B, n)
        delays.append(probe.receive(b)[1] / 1e6)
    print(json.dumps(sorted(delays)))


def delay(emulator):
    delays, _ = run(emulator, "delay", "link a b delay=25ms")
    print(f"one way of 25 ms: {delays[0]:.3f} to {delays[-1]:.3f} ms, median {delays[50]:.3f}")
    check(delays[0] >= 25, "a packet came too early")
    check(delays[50] < 250, "a delay without any measure")


def loss_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    got = []
    for n in range(2_000):
        probe.send(a, B, n)
        if n % 100 == 99:  # what a socket holds is bounded
            got += numbers(until_quiet(b, 0.05))
    print(json.dumps(got + numbers(until_quiet(b))))


def loss(emulator):
    first, report = run(emulator, "loss", "seed 7", "way a b loss=10% burst=3")
    second, _ = run(emulator, "loss", "seed 7", "way a b loss=10% burst=3")
    third, _ = run(emulator, "loss", "seed 8", "way a b loss=10% burst=3")
    counted = way(report, "a", "b")
    check(counted["packets"] == 2_000 and counted["delivered"] == len(first), "the report counts what came")
    check(first == second, "the same seed loses the same packets")
    check(first != third, "another seed loses others")
    print(f"lost {2_000 - len(first)} of 2,000 at 10 %")
    check(100 < 2_000 - len(first) < 350, "10 % in bursts of 3")


def rate_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    begin = time.monotonic_ns()
    for n in range(200):
        probe.send(a, B, n, 1_472)
    got = []
    b.settimeout(0.5)
    while packet := probe.receive(b):
        last = time.monotonic_ns()
        got.append(packet)
    print(json.dumps([numbers(got), (last - begin) / 1e9]))


def rate(emulator):
    (got, seconds), report = run(emulator, "rate", "way a b rate=10mbit queue=50kB")
    counted = way(report, "a", "b")
    at_least = len(got) * 1_500 * 8 / 10e6
    print(f"{len(got)} of 200 in {seconds:.3f} s; at 10 Mbit/s they take {at_least:.3f} s")
    check(got == sorted(got), "a queue keeps the order")
    check(len(got) >= 34, "one on the wire and 33 in the queue come through")
    check(counted["dropped"]["queue"] == 200 - len(got) > 0, "the rest was dropped at the tail")
    check(seconds >= at_least, "faster than the rate")


def partition_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    got = []
    for first, then in ((0, "partition a b"), (10, "heal"), (20, "partition a,b *"), (30, "heal")):
        for n in range(first, first + 10):
            probe.send(a, B, n)
        got += until_quiet(b)
        probe.command(then)
    print(json.dumps(numbers(got)))


def partition(emulator):
    got, report = run(emulator, "partition", "link a b delay=1ms")
    check(got == [*range(10), *range(20, 30)], f"what passed: {got}")
    check(way(report, "a", "b")["dropped"]["partition"] == 20, "the rest is counted")


def move_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    out = []
    for n, (target, then) in enumerate(((B, "move b 10.9.0.1"), (B, None), ("10.9.0.1", None))):
        probe.send(a, target, n)
        out.append(numbers(until_quiet(b)))
        if then:
            probe.command(then)
    probe.send(b, A, 3)
    out.append(probe.receive(a)[2])
    print(json.dumps(out))


def move(emulator):
    out, report = run(emulator, "move")
    check(out == [[0], [], [2], ["10.9.0.1", probe.PORT]], f"before, to the old, to the new, from: {out}")
    check(next(n for n in report["nodes"] if n["name"] == "a")["no_route"] == 1, "the old one is nobody's")


def rebind_inside():
    a, b = probe.socket_of("a"), probe.socket_of("b")
    out = []
    for n, then in enumerate(("rebind a 10.8.0.1", "rebind a", None)):
        probe.send(a, B, n)
        number, _, who = probe.receive(b)
        b.sendto(probe.HEAD.pack(100 + number, time.monotonic_ns()), who)
        out.append([*who, probe.receive(a)[0]])
        if then:
            probe.command(then)
    print(json.dumps(out))


def rebind(emulator):
    out, _ = run(emulator, "rebind")
    seen = [tuple(who[:2]) for who in out]
    print("seen from outside:", seen)
    check(seen[0] == (A, probe.PORT), "nothing is translated before")
    check([host for host, _ in seen[1:]] == ["10.8.0.1", "10.8.0.1"], "the address is another")
    check(len({port for _, port in seen}) == 3, "and the port, every time")
    check([answer for _, _, answer in out] == [100, 101, 102], "answers find their way back")


def crash(emulator):
    mark = f"300.{os.getpid()}"
    started = subprocess.Popen([emulator, *NODES, "--", "a", "sh", "-c", f"sleep {mark} & sleep {mark}"],
                               stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while len(running(mark)) < 3:
        if started.poll() == SKIPPED:
            sys.exit(SKIPPED)
        check(started.poll() is None and time.monotonic() < until, "the programs did not start")
    started.kill()
    started.wait()
    while running(mark):
        check(time.monotonic() < until, "programs are left after the emulator was killed")
    print("nothing is left")


def running(mark):
    """Processes with that word in their arguments, but for emulators."""
    out = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in words and "qudag_emulator" not in words:
            out.append(words)
    return out


def bounded(emulator):
    ended = subprocess.run([emulator, *NODES, "-e", "time 200ms", "--", "a", "sleep", "1000"], check=False)
    if ended.returncode == SKIPPED:
        sys.exit(SKIPPED)
    check(ended.returncode == 124, f"exit code {ended.returncode} instead of 124")


def main():
    emulator, case = sys.argv[1:3]
    inside = sys.argv[3:] == ["inside"]
    globals()[case + ("_inside" if inside else "")](*([] if inside else [emulator]))


if __name__ == "__main__":
    main()
