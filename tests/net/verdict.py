"""Judges what was captured: is it only QUIC, only X25519MLKEM768, only packets of one size?

tshark reads the file and opens Initial packets by itself (their keys follow from the connection id, RFC
9001, 5.2); everything behind them stays closed to it, as to any observer. The judgements work on its
records, so that a test can make up bad ones.
"""

import collections
import subprocess

GROUP = 0x11EC  # X25519MLKEM768
SIGNATURE = 0x0905  # mldsa65
ALPN = "qudag/1"

# Sizes of UDP payloads on a path of the internet, which loopback is made to be by `packet_bytes_max`. QUIC starts with 1200 bytes and goes over to the full size when a probe of that
# size was acknowledged (RFC 8899), which is sent up to three times.
FULL = 1452
FIRST = 1200
PROBES_MAX = 3
# What carries no stream data is not padded: acknowledgements, which grow by 2 or more bytes with every gap
# that loss makes, and the end of a connection.
SMALL_MAX = 128
FULL_SHARE_MIN = 0.95  # of the bytes behind short headers

CLIENT_HELLO, SERVER_HELLO = 1, 2

FIELDS = {
    "number": "frame.number", "source": "udp.srcport", "destination": "udp.dstport", "length": "udp.length",
    "form": "quic.header_form", "version": "quic.version", "connection": "quic.dcid",
    "hello": "tls.handshake.type", "groups": "tls.handshake.extensions_supported_group",
    "shares": "tls.handshake.extensions_key_share_group", "signatures": "tls.handshake.sig_hash_alg",
    "alpn": "tls.handshake.extensions_alpn_str",
}
NUMBERS = set(FIELDS) - {"connection", "alpn"}


class Failed(Exception):
    """A judgement, or anything else of the test, that is not as it must be."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def dissect(file, ports):
    """Every UDP packet as a record: the names of FIELDS, each with the list of its values."""
    command = ["tshark", "-n", "-r", str(file), "-Y", "udp", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=;"]
    for port in sorted(ports):
        command += ["-d", f"udp.port=={port},quic"]
    for field in FIELDS.values():
        command += ["-e", field]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    check(run.returncode == 0, f"tshark: {run.stderr}")
    return [record_of(line) for line in run.stdout.splitlines()]


def record_of(line):
    record = {}
    for name, text in zip(FIELDS, line.split("\t")):
        values = text.split(";") if text else []
        record[name] = [int(value, 0) for value in values] if name in NUMBERS else values
    return record


def where(packet):
    return f"packet {packet['number'][0]}"


def judge_form(packets, ports):
    """Nothing but QUIC version 1 between our ports."""
    for packet in packets:
        for end in ("source", "destination"):
            check(packet[end][0] in ports, f"{where(packet)}: {end} port {packet[end][0]} is none of ours")
        check(packet["form"], f"{where(packet)}: not QUIC")
        check(set(packet["version"]) <= {1}, f"{where(packet)}: QUIC versions {packet['version']}")


def judge_handshakes(packets, links_min):
    """What both sides of every handshake say where all can read it. Returns how many there were."""
    hellos = collections.Counter()
    for packet in packets:
        for kind in packet["hello"]:
            hellos[kind] += 1
        if packet["hello"]:
            check(set(packet["shares"]) == {GROUP}, f"{where(packet)}: key shares of groups {packet['shares']}")
        if CLIENT_HELLO in packet["hello"]:
            check(packet["groups"] == [GROUP], f"{where(packet)}: groups {packet['groups']} are offered")
            check(packet["signatures"] == [SIGNATURE], f"{where(packet)}: signatures {packet['signatures']}")
            check(packet["alpn"] == [ALPN], f"{where(packet)}: ALPN {packet['alpn']}")
    check(set(hellos) <= {CLIENT_HELLO, SERVER_HELLO}, f"handshake messages that all can read: {dict(hellos)}")
    for kind, name in (CLIENT_HELLO, "ClientHello"), (SERVER_HELLO, "ServerHello"):
        check(hellos[kind] >= links_min, f"{hellos[kind]} {name} for at least {links_min} links")
    return hellos[CLIENT_HELLO]


def judge_sizes(packets):
    """Behind short headers there are two sizes that carry data, and the first of them ends for good where
    the full one has begun. Returns how many packets there were of each size."""
    sizes = collections.Counter()
    full_in_a_row = collections.Counter()  # by direction of a connection; more than probes: it has begun
    for packet in packets:
        if set(packet["form"]) != {0}:
            continue  # a long header: the handshake
        size = packet["length"][0] - 8
        sizes[size] += 1
        direction = (packet["source"][0], packet["destination"][0], *packet["connection"])
        check(size <= SMALL_MAX or size in (FIRST, FULL), f"{where(packet)}: a packet of {size} bytes")
        if size == FULL:
            full_in_a_row[direction] += 1
        elif size == FIRST:
            check(full_in_a_row[direction] <= PROBES_MAX, f"{where(packet)}: {size} bytes after full-size packets")
            full_in_a_row[direction] = 0
    in_all = sum(size * count for size, count in sizes.items())
    share = FULL * sizes[FULL] / max(1, in_all)
    check(share >= FULL_SHARE_MIN, f"only {share:.1%} of the bytes are in full-size packets: {dict(sizes)}")
    return sizes


def judge_secrecy(file, secrets):
    """No piece of what was sent is in the file as it is."""
    captured = file.read_bytes()
    for secret in secrets:
        check(secret not in captured, "a piece of a message can be read on the wire")
