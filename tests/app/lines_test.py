#!/usr/bin/env python3
"""Text mode of the local API as a script uses it: JSON lines over a WebSocket, and a pipe as the
messages of one. The frames here are this file's own (RFC 6455), masked as a browser masks them.

Usage: lines_test.py QUDAG
"""

import base64
import contextlib
import json
import os
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../clients/python/tests"))
from nodes import PATIENCE, Process  # noqa: E402

TEXT, BINARY, CLOSE = 1, 2, 8


class WebSocket:
    """RFC 6455, as much as is needed. `status` is that of the answer; 101 when it is open."""

    def __init__(self, path, target):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.file.read(1)
            if not byte:
                break
            head += byte
        self.status = int(head.split()[1])
        self.head = head.decode()

    def send(self, data, op=TEXT):
        data = data.encode() if isinstance(data, str) else data
        mask = os.urandom(4)
        size = (bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack(">BH", 0xfe, len(data))
                if len(data) < 65536 else struct.pack(">BQ", 0xff, len(data)))
        key = (mask * (len(data) // 4 + 1))[:len(data)]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")
        self.socket.sendall(bytes([0x80 | op]) + size + mask + masked)

    def frame(self):
        first, size = self.file.read(2)
        if size == 126:
            size = struct.unpack(">H", self.file.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.file.read(8))[0]
        return first & 15, self.file.read(size)

    def say(self, **record):
        self.send(json.dumps(record))

    def hear(self, op=None):
        """The next record, of one kind if it is named."""
        while True:
            kind, data = self.frame()
            if kind != TEXT:
                raise AssertionError(f"no text: {kind} {data!r}")
            record = json.loads(data)
            if op in (None, record["op"]):
                return record

    def close(self):
        self.file.close()
        self.socket.close()


class Echo(socketserver.ThreadingTCPServer):
    """Gives back what it gets, and ends when that has ended."""
    daemon_threads = True

    class Session(socketserver.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(65536):
                if data == b"break off":
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                self.request.sendall(data)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Session)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Lines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        echo = cls.enterClassContext(Echo())
        cls.addClassCleanup(echo.shutdown)
        cls.b = Process(QUDAG, folder, "b", f"--services=echo=127.0.0.1:{echo.server_address[1]}")
        cls.addClassCleanup(lambda: cls.b.end())
        cls.a = Process(QUDAG, folder, "a", "--bootstrap", f"{cls.b.id}@{cls.b.address}")
        cls.addClassCleanup(lambda: cls.a.end())
        with contextlib.closing(WebSocket(cls.a.path, "/v1/stream?format=json")) as asking:
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                asking.say(op="send", to=cls.b.id, text="", relays=0, channel=99)
                if asking.hear("outcome")["error"]["number"] != 300:
                    return
        raise AssertionError("the nodes do not know each other")

    def open(self, node, target="/v1/stream?format=json"):
        there = WebSocket(node.path, target)
        self.addCleanup(there.close)
        return there

    def test_a_message_there_and_a_reply_back(self):
        here, there = self.open(self.a), self.open(self.b)
        there.say(op="subscribe", channel=5, acknowledge=True)
        self.assertEqual(there.hear(), {"op": "subscribed"})
        here.say(op="subscribe", channel=5)
        here.hear("subscribed")
        here.say(op="send", request=7, to=self.b.id, text="h\u00e9llo", relays=0, channel=5, sign=True)
        message = there.hear("message")
        self.assertEqual(base64.b64decode(message["payload"]).decode(), "h\u00e9llo")
        self.assertEqual((message["sender"], message["channel"], message["bytes"]), (self.a.id, 5, 6))
        there.send(json.dumps({"op": "reply", "request": 1, "to": message["reply_to"], "payload": "AAEC"}) + "\n\n" +
                   json.dumps({"op": "acknowledge", "token": message["token"]}) + "\n")  # two lines in one
        heard = {record["op"]: record for record in (here.hear(), here.hear())}
        self.assertEqual((heard["outcome"]["request"], heard["outcome"]["outcome"]), (7, "delivered"))
        self.assertEqual(heard["message"]["in_reply_to"], message["id"])
        self.assertEqual(heard["message"]["payload"], "AAEC")
        self.assertEqual(there.hear("outcome")["outcome"], "delivered")

    def test_again_refused_and_cancelled(self):
        here, there = self.open(self.a), self.open(self.b)
        there.say(op="subscribe", channel=6, acknowledge=True)
        there.hear("subscribed")
        here.say(op="send", request=1, to=self.b.id, text="x", relays=0, channel=6)
        there.say(op="acknowledge", token=there.hear("message")["token"], answer="again", delay="1ms")
        there.say(op="acknowledge", token=there.hear("message")["token"], answer="refused")
        self.assertEqual(here.hear("outcome")["outcome"], "refused")
        here.say(op="send", request=2, to=self.b.id, text="x", relays=0, channel=6)
        there.hear("message")
        here.say(op="cancel", request=2)
        self.assertEqual(here.hear("outcome")["error"]["code"], "cancelled")
        here.say(op="cancel", request=2)
        self.assertEqual(here.hear("not_cancelled")["error"]["code"], "not_found")

    def test_a_large_message_and_its_progress(self):
        here, there = self.open(self.a), self.open(self.b)
        there.say(op="subscribe", channel=8)
        there.hear("subscribed")
        data = os.urandom(2_000_000)
        here.say(op="send", request=3, to=self.b.id, payload=base64.b64encode(data).decode(), relays=0, channel=8,
                 progress=True, priority="low")
        self.assertEqual(base64.b64decode(there.hear("message")["payload"]), data)
        self.assertEqual(here.hear("progress")["progress"]["of"], len(data))
        self.assertEqual(here.hear("outcome")["outcome"], "delivered")

    def test_what_is_wrong_is_named_and_ends_the_connection(self):
        for wrong, code, part in (("{", "malformed", "one JSON object"),
                                  ('{"op":"send","to":"x","text":""}', "malformed", "to: "),
                                  ('{"op":"fly"}', "unsupported", "op 'fly'"),
                                  ('{"op":"acknowledge","token":5}', "not_found", "no message in hand"),
                                  (b"\0\0\0\1\4", "malformed", "only text")):
            here = self.open(self.a)
            here.send(wrong, BINARY if isinstance(wrong, bytes) else TEXT)
            error = here.hear("error")["error"]
            self.assertEqual(error["code"], code, wrong)
            self.assertIn(part, error["detail"])
            self.assertEqual(here.frame()[0], CLOSE)
        self.assertIn("records or json", self.refusal(self.a, "/v1/stream?format=xml", 400))

    def refusal(self, node, target, status):
        there = self.open(node, target)
        self.assertEqual(there.status, status, there.head)
        return there.file.read(int(there.head.lower().split("content-length:")[1].split()[0])).decode()

    def pipe(self):
        return self.open(self.a, f"/v1/pipes/stream?to={self.b.id}&service=echo&relays=0")

    def test_a_pipe_is_the_messages_of_a_websocket(self):
        pipe = self.pipe()
        self.assertEqual(pipe.status, 101, pipe.head)
        data, back = os.urandom(300_000), b""
        for at in range(0, len(data), 70_000):
            pipe.send(data[at:at + 70_000], BINARY)
        pipe.send("text, too")
        pipe.send(b"", BINARY)  # the end of this way
        while part := pipe.frame()[1]:
            back += part
        self.assertEqual(back, data + b"text, too")
        op, said = pipe.frame()
        self.assertEqual((op, struct.unpack(">H", said[:2])[0]), (CLOSE, 1000))

    def test_a_pipe_that_breaks_off_says_so(self):
        pipe = self.pipe()
        pipe.send("break off")
        while (frame := pipe.frame())[0] != CLOSE:
            pass
        self.assertEqual(struct.unpack(">H", frame[1][:2])[0], 1011)
        self.assertTrue(frame[1][2:].decode())
        self.assertIn("no_such_service", self.refusal(
            self.a, f"/v1/pipes/stream?to={self.b.id}&service=none&relays=0", 503))


if __name__ == "__main__":
    QUDAG = os.path.abspath(sys.argv.pop(1))
    unittest.main()
