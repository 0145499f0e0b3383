#!/usr/bin/env python3
"""What the product does on long links: figures in JSON, nothing is judged.

  bulk       a file through three relays; 25 ms round trip and 100 Mbit/s on each link
  handshake  round trips until a first link is ready, at 50 ms
  circuit    a message through three relays, links warm and cold, at 50 ms one way
  move       the source's address changes in the middle of a transfer; then a NAT forgets, twice

Usage: measure.py EMULATOR QUDAG CASE [NAME=VALUE...]
  loss=1%      of every link                  bytes=64000000     of the file
  KEY=VALUE    of the nodes' configuration, for example congestion=bbr
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import probe
import testbed
from testbed import Testbed, check

RELAYS = 3
OURS = {"loss": "0", "bytes": "64000000", "listen": "0.0.0.0:4433"}


def split(words):
    """Settings of ours, and flags for the nodes."""
    given = dict(word.split("=", 1) for word in words)
    ours = OURS | {key: value for key, value in given.items() if key in OURS}
    return ours, [flag for key, value in given.items() if key not in OURS for flag in ("--" + key, value)]


def file_of(net, size):
    file = net.folder / "file"
    file.write_bytes(os.urandom(size))
    return file


def wait(seconds):
    time.sleep(seconds)


# --- inside the emulator; each prints one JSON object ---------------------------------------------------


def bulk_inside(program, ours, flags):
    with Testbed(program, RELAYS, 100, flags) as net:
        net.start_all()
        net.receive(net.folder / "arrived", 2)
        net.send(file_of(net, 1_000), "low")  # circuit and receiver are there
        return net.send(file_of(net, int(ours["bytes"])), "low", ttl="90s")


def handshake_inside(program, ours, flags):
    with Testbed(program, 1, 40, flags) as net:
        net.start("r1")
        net.start("b", bootstrap="r1")
        net.wait_until("b knows r1", lambda: net.status("b")["nodes_known"] >= 2)
        return net.status("b", "--peers")


def circuit_inside(program, ours, flags):
    with Testbed(program, RELAYS, 100, flags) as net:
        net.start_all()
        count = 12
        net.receive(net.folder / "arrived", count)
        times = []
        for _ in range(count):
            file = file_of(net, 100)
            answer = net.run("send", net.nodes["b"]["id"], file, "--isolation", len(times) + 1, "--quiet", "--json",
                             "--socket", net.socket("a"))
            times.append(json.loads(answer.stdout)["seconds"])
        page = net.run("status", "--metrics", "--socket", net.socket("a")).stdout
        built = [line for line in page.splitlines() if line.startswith("qudag_circuit_build_seconds")]
        return {"seconds": times, "metrics": built}


def move_inside(program, ours, flags):
    with Testbed(program, RELAYS, 100, flags) as net:
        for name in [*net.names[1:-1], "b"]:
            net.start(name, bootstrap="r1")
        net.start("a", listen=ours["listen"], bootstrap="r1")
        for name in net.names:
            net.wait_until(f"{name} knows all", lambda name=name: net.knows_all(name))
        net.receive(net.folder / "arrived", 2)
        net.send(file_of(net, 1_000), "low")
        before = net.status("a", "--peers")["peers"]
        sending = net.spawn("send", net.nodes["b"]["id"], file_of(net, int(ours["bytes"])), "--class", "low", "--quiet",
                            "--json", "--socket", net.socket("a"), stdout=subprocess.PIPE, text=True)
        out = {"begin_ns": time.monotonic_ns(), "steps": []}
        for command in ("move a 10.21.0.1", "rebind a", "move a 10.22.0.1", "rebind a 10.23.0.9"):
            wait(1)
            out["steps"].append([command, (time.monotonic_ns() - out["begin_ns"]) / 1e9])
            probe.command(command)
        out["sent"] = json.loads(sending.communicate()[0])
        out["links"] = [before, net.status("a", "--peers")["peers"]]
        return out


# --- outside: the links, and what their counters say ------------------------------------------------------

LINES = {
    "bulk": ["link * * delay=12500us rate=100mbit queue=312500"],
    "handshake": ["link * * delay=25ms"],
    "circuit": ["link * * delay=50ms rate=100mbit queue=600kB"],
    "move": ["link * * delay=20ms rate=100mbit queue=500kB"],
}


def busiest(report, count):
    return sorted(report["ways"], key=lambda way: -way["bytes"])[:count]


def describe_bulk(inside, report):
    """Of each way on the path: share of 100 Mbit/s by time, and the queue once it is under way."""
    step = report["interval_ms"] / 1e3
    full = 100e6 / 8 * step
    path = busiest(report, RELAYS + 1)
    # The first interval with more than a build and its gossip in it.
    begin = min((i for way in path for i, each in enumerate(way["series"]) if each["bytes"] > full / 10), default=0)
    out = []
    for way in path:
        series = way["series"][begin:]
        shares = [each["bytes"] / full for each in series]
        end = max((i for i, share in enumerate(shares) if share > 0.02), default=0)
        steady = shares[int(3 / step):end]
        queue = sorted(each["queue_mean_us"] / 1e3 for each in series[int(1 / step):end]) or [0]
        out.append({"from": way["from"], "to": way["to"],
                    "shares": " ".join(f"{share:.2f}" for share in shares[:int(3 / step)]),
                    "share_third_second": round(sum(shares[int(2 / step):int(3 / step)]) * step, 3),
                    "share_after_3s": round(sum(steady) / max(1, len(steady)), 3),
                    "queue_ms_median": round(queue[len(queue) // 2], 2),
                    "queue_ms_max": max(each["queue_max_us"] for each in series) / 1e3, "dropped": way["dropped"]})
    return {"sent": inside, "ways": out}


def describe_move(inside, report):
    """The longest pauses of the source's own sending."""
    return {**inside, "ways": [{k: w[k] for k in ("from", "to", "packets", "bytes", "dropped")} for w in busiest(report, 4)],
            "series_a": [[round(e["bytes"] / 12_500, 2) for e in w["series"]] for w in busiest(report, 4) if w["from"] == "a"][:1]}


def describe_handshake(inside, report, trace):
    """Flights between b and r1: a flight is what one side sends before it hears the other."""
    flights = []
    for line in trace.read_text().splitlines():
        ns, source, target, size, *_ , first = line.split()
        if flights and flights[-1]["from"] == source and float(ns) - flights[-1]["last"] < 20e6:
            flights[-1]["packets"] += 1
            flights[-1]["bytes"] += int(size)
            flights[-1]["last"] = float(ns)
            flights[-1]["kinds"].append(kind_of(int(first)))
        else:
            flights.append({"at_ms": float(ns) / 1e6, "from": source, "packets": 1, "bytes": int(size), "last": float(ns),
                            "kinds": [kind_of(int(first))]})
    begin = flights[0]["at_ms"]
    for flight in flights:
        flight["at_ms"] = round(flight["at_ms"] - begin, 2)
        flight.pop("last")
        flight["kinds"] = " ".join(flight["kinds"])
    return {"flights": flights[:14]}


def kind_of(first):
    if not first & 0x80:
        return "short"
    return ("initial", "0rtt", "handshake", "retry")[(first >> 4) & 3]


def main():
    if sys.argv[3:4] == ["inside"]:
        ours, flags = split(sys.argv[4:])
        print(json.dumps(globals()[sys.argv[2] + "_inside"](sys.argv[1], ours, flags)))
        return 0
    emulator, program, case = sys.argv[1:4]
    ours, _ = split(sys.argv[4:])
    lines = [*testbed.node_lines(1 if case == "handshake" else RELAYS), "time 110s", *LINES[case],
             f"link * * loss={ours['loss']}"]
    with tempfile.TemporaryDirectory() as folder:
        report, trace = pathlib.Path(folder, "report.json"), pathlib.Path(folder, "trace")
        more = ["--trace", trace] if case == "handshake" else []
        ended = subprocess.run([emulator, *[flag for line in lines for flag in ("-e", line)], "--json", report, "--series",
                                "100ms", *more, "--", "host", sys.executable, __file__, os.path.abspath(program), case,
                                "inside", *sys.argv[4:]], stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode != 0:
            print(ended.stdout)
            return ended.returncode
        inside, report = json.loads(ended.stdout), json.loads(report.read_text())
        describe = globals().get("describe_" + case, lambda inside, report: inside)
        out = describe(inside, report, trace) if more else describe(inside, report)
        out = {"case": case, "settings": sys.argv[4:], **out, "lateness": report["lateness"],
               "dropped_by_device": sum(node["dropped_by_device"] for node in report["nodes"])}
        print(json.dumps(out, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
