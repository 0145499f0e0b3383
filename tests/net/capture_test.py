#!/usr/bin/env python3
"""What an observer of links sees: a packet capture of five nodes while messages go through three relays.

Steps
  1. capture.py  a network namespace of our own, its loopback and a capture of all that crosses it
  2. Network     five `qudag node` processes: a source, three relays, a destination
  3. exchange    files of every class from the source to the destination, compared on arrival
  4. verdict.py  every captured packet is QUIC, every handshake X25519MLKEM768 only, sizes are uniform

Exit code 0 passed, 1 failed, 77 skipped (no tshark, or the system lets nobody capture).
Usage: capture_test.py QUDAG [KEEP]     the program, and where to keep the capture; ctest: net.capture
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import capture
import verdict
from verdict import check

SKIPPED = 77
DEADLINE = 150  # seconds for all of it: under a sanitizer handshakes take their time
NODES = 5
RELAYS = 3

SIZES = {"high": [256], "normal": [0, 1, 256, 100_000], "low": [2_000_000]}
PACKETS_MIN = 4 * 2_000_000 // verdict.FULL  # the large file on four links


class Network:
    """Nodes and clients as processes; leaving the context ends all of them."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.until = time.monotonic() + DEADLINE
        self.processes = []
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def left(self):
        left = self.until - time.monotonic()
        check(left > 0, f"not done after {DEADLINE} s")
        return left

    def wait_until(self, what, condition):
        while not condition():
            check(time.monotonic() < self.until, f"not so after {DEADLINE} s: {what}")
            time.sleep(0.05)  # between two questions, each of which is a process

    def spawn(self, *args, **kwargs):
        process = subprocess.Popen([self.program, *args], stdin=subprocess.DEVNULL, **kwargs)
        self.processes.append(process)
        return process

    def run(self, *args):
        return subprocess.run([self.program, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=self.left(), check=False)

    def start_node(self):
        args = ["node", "--api.socket", self.folder / f"node{len(self.nodes)}.sock", "--listen", "127.0.0.1:0",
                "--shards", "1", "--packet_bytes_max", str(verdict.FULL), "--guards", "0", "--log.level", "warn", "--grace", "1"]
        for first in self.nodes[:1]:
            args += ["--bootstrap", f"{first['id']}@{first['address']}"]
        process = self.spawn(*args, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        check(line, f"node {len(self.nodes)} ended before it was ready")
        self.nodes.append(json.loads(line))

    def knows_all(self, node):
        answer = self.run("status", "--json", "--socket", node["socket"])
        check(answer.returncode == 0, f"status: {answer.stdout} {answer.stderr}")
        return json.loads(answer.stdout)["relays_known"] == NODES

    def send(self, file, priority):
        source, destination = self.nodes[0], self.nodes[-1]
        return self.run("send", destination["id"], file, "--priority", priority, "--relays", str(RELAYS), "--quiet", "--json",
                        "--socket", source["socket"])

    def ports(self):
        return {int(node["address"].rpartition(":")[2]) for node in self.nodes}


def write_files(folder):
    """What is sent: no two files alike, nothing repeated in them."""
    files = []
    for priority, sizes in SIZES.items():
        for size in sizes:
            text = "".join(f"{priority} {size} at {at:9};" for at in range(0, size + 20, 20)).encode()[:size]
            files.append((priority, folder / f"{priority}{size}"))
            files[-1][1].write_bytes(text)
    return files


def exchange(net, files, folder):
    for node in net.nodes:
        net.wait_until("every node knows all relays", lambda node=node: net.knows_all(node))
    folder.mkdir()
    receiver = net.spawn("recv", "--dir", folder, "--count", str(len(files)), "--socket", net.nodes[-1]["socket"],
                         stdout=subprocess.DEVNULL)
    for priority, file in files:
        answers = []

        def is_taken(priority=priority, file=file, answers=answers):
            answers.append(net.send(file, priority))
            return answers[-1].returncode != 3  # refused: `recv` has not subscribed yet

        net.wait_until(f"{file.name} is taken", is_taken)
        check(answers[-1].returncode == 0, f"sending {file.name}: {answers[-1].stdout} {answers[-1].stderr}")
    check(receiver.wait(net.left()) == 0, "receiving failed")
    sent = sorted(file.read_bytes() for _, file in files)
    check(sorted(file.read_bytes() for file in folder.iterdir()) == sent, "what arrived is not what was sent")


def judge(pcap, files, ports):
    packets = verdict.dissect(pcap, ports)
    check(len(packets) >= PACKETS_MIN, f"{len(packets)} packets for what takes {PACKETS_MIN}")
    verdict.judge_form(packets, ports)
    links = verdict.judge_handshakes(packets, NODES - 1)
    sizes = verdict.judge_sizes(packets)
    contents = [file.read_bytes() for _, file in files]
    verdict.judge_secrecy(pcap, [text[len(text) // 2:][:40] for text in contents if len(text) >= 256])
    print(f"{len(packets)} packets, {links} handshakes; UDP payloads behind short headers:")
    for size, count in sorted(sizes.items()):
        print(f"  {size:5} bytes: {count}")


def run(program, keep):
    with tempfile.TemporaryDirectory(prefix="qudag-capture-") as name:
        folder = pathlib.Path(name)
        files = write_files(folder)
        pcap = folder / "lo.pcap"
        capture.prepare_loopback()
        with capture.Capture("lo") as traffic:
            with Network(program, folder) as net:
                for _ in range(NODES):
                    net.start_node()
                exchange(net, files, folder / "arrived")
            lost = traffic.write(pcap)
        if keep:
            shutil.copy(pcap, keep)
        check(lost == 0, f"the capture lost {lost} packets")
        judge(pcap, files, net.ports())


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__)
        return 2
    if not capture.is_inside():
        reason = capture.why_not()
        if reason:
            print("skipped:", reason)
            return SKIPPED
        capture.enter()
    # The first process of a namespace hears only the signals that it asked for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        run(os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None)
    except verdict.Failed as failure:
        print("FAILED:", failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
