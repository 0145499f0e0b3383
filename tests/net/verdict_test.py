#!/usr/bin/env python3
"""The verdict on a capture must fail where it should: each case makes up one bad packet."""

import pathlib
import tempfile
import unittest

import verdict
from verdict import FIRST, FULL, GROUP, SIGNATURE

PORTS = {4001, 4002}


def packet(**fields):
    record = {name: [] for name in verdict.FIELDS}
    record.update(number=[7], source=[4001], destination=[4002], length=[FULL + 8], form=[0], connection=["aa"])
    record.update(fields)
    return record


def client_hello(**fields):
    offer = {"form": [1], "version": [1], "hello": [1], "groups": [GROUP], "shares": [GROUP],
             "signatures": [SIGNATURE], "alpn": ["qudag/1"]}
    return packet(**(offer | fields))


def server_hello(**fields):
    return packet(**({"form": [1, 1], "version": [1, 1], "hello": [2], "shares": [GROUP]} | fields))


def of_sizes(*sizes, **fields):
    return [packet(length=[size + 8], **fields) for size in sizes]


class Verdict(unittest.TestCase):
    def fails(self, text, judge, *args):
        with self.assertRaisesRegex(verdict.Failed, text):
            judge(*args)

    def test_form(self):
        verdict.judge_form([packet(), client_hello()], PORTS)
        self.fails("not QUIC", verdict.judge_form, [packet(form=[])], PORTS)
        self.fails("versions", verdict.judge_form, [packet(form=[1], version=[1, 2])], PORTS)
        self.fails("source port 53", verdict.judge_form, [packet(source=[53])], PORTS)
        self.fails("destination port 53", verdict.judge_form, [packet(destination=[53])], PORTS)

    def test_handshakes(self):
        self.assertEqual(verdict.judge_handshakes([client_hello(), packet(), server_hello()], 1), 1)
        for bad, text in (
            (client_hello(groups=[GROUP, 29]), "groups"),
            (client_hello(shares=[GROUP, 29]), "key shares"),
            (client_hello(shares=[]), "key shares"),
            (client_hello(signatures=[SIGNATURE, 0x0403]), "signatures"),
            (client_hello(alpn=["h3"]), "ALPN"),
            (client_hello(alpn=[]), "ALPN"),
            (server_hello(shares=[29]), "key shares"),
            (server_hello(hello=[2, 11]), "all can read"),
        ):
            self.fails(text, verdict.judge_handshakes, [client_hello(), server_hello(), bad], 1)
        self.fails("1 ClientHello", verdict.judge_handshakes, [client_hello(), server_hello(), server_hello()], 2)
        self.fails("1 ServerHello", verdict.judge_handshakes, [client_hello(), client_hello(), server_hello()], 2)

    def test_sizes(self):
        data = [FULL] * 100
        sizes = verdict.judge_sizes(of_sizes(FIRST, FULL, FIRST, 41, *data, 46))
        self.assertEqual(sizes[FULL], 101)
        verdict.judge_sizes(of_sizes(*data) + of_sizes(FIRST, *data, connection=["bb"]))  # another link
        verdict.judge_sizes(of_sizes(*data) + of_sizes(300, form=[1]))  # a long header
        self.fails("of 1000 bytes", verdict.judge_sizes, of_sizes(*data, 1000))
        self.fails("of 1451 bytes", verdict.judge_sizes, of_sizes(*data, FULL - 1))
        self.fails("after full-size", verdict.judge_sizes, of_sizes(*data, FIRST))
        self.fails("of the bytes", verdict.judge_sizes, of_sizes(*[FIRST] * 10, *data))
        self.fails("of the bytes", verdict.judge_sizes, [])

    def test_secrecy(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "pcap")
            file.write_bytes(b"....open text....")
            verdict.judge_secrecy(file, [b"closed"])
            self.fails("can be read", verdict.judge_secrecy, file, [b"closed", b"open text"])

    def test_record(self):
        record = verdict.record_of("3\t4001\t4002\t1460\t1;0\t0x00000001\taa\t1\t0x11ec\t4588\t0x0905\tqudag/1")
        self.assertEqual(record["form"], [1, 0])
        self.assertEqual(record["groups"], record["shares"])
        self.assertEqual(verdict.record_of("3" + "\t" * 11)["hello"], [])


if __name__ == "__main__":
    unittest.main()
