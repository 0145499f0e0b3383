#!/usr/bin/env python3
"""What the product does on long links: figures in JSON, nothing is judged.

By processes of the product:
  bulk        a file through three relays; 25 ms round trip and 100 Mbit/s on each link
  handshake   round trips until a first link is ready, at 50 ms

By nodes of the library inside the namespaces (traffic/main.cc):
  migration   64 MB and 1,000 messages/s through three relays, 40 ms; the source moves three times, its NAT forgets twice
  accepting   the same while the destination moves, to which all others dialed
  circuit     until a circuit through three relays is ready, links warm; 50 ms one way
  ttfb        time to first byte with a new circuit, links warm and cold, directly and through three relays;
              50 ms one way, or rtt=50 for that round trip
  beside      messages on one link alone, beside 50 bulk circuits at its rate, and the same without priorities
  grid        the default, CUBIC and BBR at 0 to 200 ms and 0 to 2 % loss, 100 Mbit/s: rate, queue, fairness of two

Usage: measure.py EMULATOR QUDAG CASE [NAME=VALUE...]
  loss=1%      of every link                  rate=100mbit   of every link, "none" for no bound
  rtts=20,100  losses=0,1  controllers=bbr     of the grid, the others left out
  KEY=VALUE    of the nodes' configuration (bulk, handshake), or of the case (traffic/*.cc); for example congestion=bbr
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import testbed
from testbed import Testbed

RELAYS = 3
OURS = {"loss": "0", "bytes": "64000000"}
TRAFFIC = ("migration", "accepting", "circuit", "ttfb", "beside", "rate")


def split(words):
    """Settings of ours, and flags for the nodes."""
    given = dict(word.split("=", 1) for word in words)
    ours = OURS | {key: value for key, value in given.items() if key in OURS}
    return ours, [flag for key, value in given.items() if key not in OURS for flag in ("--" + key, value)]


def file_of(net, size):
    file = net.folder / "file"
    file.write_bytes(os.urandom(size))
    return file


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


# --- outside: the links, and what their counters say ------------------------------------------------------

LINES = {
    "bulk": ["link * * delay=12500us rate=100mbit queue=312500"],
    "handshake": ["link * * delay=25ms"],
    "circuit": ["link * * delay=50ms"],
    "ttfb": ["link * * delay=50ms"],
    "migration": ["link * * delay=20ms queue=500kB"],
    "accepting": ["link * * delay=20ms queue=500kB"],
    "beside": ["link * * delay=20ms queue=500kB"],
}
RATES = {"migration": "100mbit", "accepting": "100mbit", "beside": "100mbit"}


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


def emulate(emulator, lines, program, *more):
    """The program's JSON, and the emulator's report."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        flags = [flag for line in lines for flag in ("-e", line)]
        ended = subprocess.run([emulator, *flags, "--json", report, "--series", "100ms", *more, "--", "host", *program],
                               stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode != 0:
            print(ended.stdout)
            sys.exit(ended.returncode)
        return json.loads(ended.stdout), json.loads(report.read_text())


def exactness(report):
    return {"lateness": report["lateness"], "dropped_by_device": sum(n["dropped_by_device"] for n in report["nodes"])}


def traffic(emulator, case, words):
    given = dict(word.split("=", 1) for word in words)
    relays = 0 if case == "beside" else int(given.get("relays", RELAYS))
    if case == "ttfb":  # links that joining made have to end first; nothing else may make one
        given = {"gossip": "600"} | given
        LINES[case] = [f"link * * delay={float(given.pop('rtt', 100)) * 500:.0f}us"]
    rate = given.pop("rate", RATES.get(case, "none"))
    lines = [*testbed.node_lines(relays), "time 110s", *LINES[case], f"link * * loss={given.pop('loss', '0')}"]
    if rate != "none":
        lines.append(f"link * * rate={rate}")
    program = pathlib.Path(emulator).with_name("qudag_traffic")
    inside, report = emulate(emulator, lines, [program, case, *(f"{key}={value}" for key, value in given.items())])
    return {"case": case, "settings": words, "lines": lines[-3:], **inside, **exactness(report)}


def grid_row(emulator, rtt, loss, congestion, more):
    """One flow: what the path carries, and the queue. Two: how they share it."""
    lines = ["node a 10.1.0.1", "node b 10.2.0.1", "time 25s",
             f"link a b delay={rtt * 500}us rate=100mbit queue={max(rtt, 20) * 12_500} loss={loss}%"]
    row = {"rtt_ms": rtt, "loss": loss, "congestion": congestion}
    for flows in (1, 2):
        program = [pathlib.Path(emulator).with_name("qudag_traffic"), "rate", f"flows={flows}", f"congestion={congestion}", *more]
        if flows == 2:  # small ones: large messages end in heaps, far apart at a low rate
            program += ["bytes=16384", "depth=256"]
        inside, report = emulate(emulator, lines, program)
        way = next(w for w in report["ways"] if (w["from"], w["to"]) == ("a", "b"))
        waits = sorted(e["queue_mean_us"] / 1e3 for e in way["series"] if e["bytes"] > 20_000) or [0]
        if flows == 1:  # on the wire, headers included: messages end in heaps
            sent = [e["bytes"] * 8e-5 for e in way["series"]][-32:-2]
            row |= {"mbit_per_s": round(sum(sent) / len(sent), 1), "queue_ms": round(waits[len(waits) // 2], 1)}
        else:
            row |= {"two_mbit_per_s": round(inside["mbit_per_s"], 1), "fairness": round(inside["fairness"], 3)}
    return row


def grid(emulator, words):
    """One row for each controller, round trip and loss; a queue of the path's product, at least 20 ms."""
    given = dict(word.split("=", 1) for word in words)

    def some(key, usual):
        return given.pop(key, usual).split(",")

    axes = some("rtts", "0,20,100,200"), some("losses", "0,0.1,1,2"), some("controllers", "auto,cubic,bbr")
    rows = []
    for rtt, loss, congestion in itertools.product(*axes):
        rows.append(grid_row(emulator, int(rtt), float(loss), congestion, [f"{key}={value}" for key, value in given.items()]))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {"case": "grid", "settings": words, "rows": rows}


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
    if case == "grid":
        print(json.dumps(grid(emulator, sys.argv[4:]), indent=1))
        return 0
    if case in TRAFFIC:
        print(json.dumps(traffic(emulator, case, sys.argv[4:]), indent=1))
        return 0
    ours, _ = split(sys.argv[4:])
    lines = [*testbed.node_lines(1 if case == "handshake" else RELAYS), "time 110s", *LINES[case],
             f"link * * loss={ours['loss']}"]
    inside_flags = [sys.executable, __file__, os.path.abspath(program), case, "inside", *sys.argv[4:]]
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace")
        more = ["--trace", trace] if case == "handshake" else []
        inside, report = emulate(emulator, lines, inside_flags, *more)
        out = describe_handshake(inside, report, trace) if more else describe_bulk(inside, report)
    print(json.dumps({"case": case, "settings": sys.argv[4:], **out, **exactness(report)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
