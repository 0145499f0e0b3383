#!/usr/bin/env python3
"""The client against two nodes of the built program.

Usage: client_test.py QUDAG [-v]
"""

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import qudag  # noqa: E402
from qudag import node as node_module, records  # noqa: E402

PATIENCE = 30


class Process:
    def __init__(self, folder, name, *flags):
        self.path = str(pathlib.Path(folder, f"{name}.sock"))
        self.command = [QUDAG, "node", "--identity", str(pathlib.Path(folder, f"{name}.key")), "--listen",
                        "127.0.0.1:0", "--shards", "1", "--api.socket", self.path, "--gossip_interval", "1s",
                        "--log.level", "off", *flags]
        subprocess.run([QUDAG, "keygen", self.command[3]], check=True, capture_output=True)
        self.start()

    def start(self, *flags):
        self.process = subprocess.Popen([*self.command, *flags], stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.id, self.address = ready["id"], ready["address"]

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Records(unittest.TestCase):
    def test_what_is_cut_off_is_malformed(self):
        whole = b"\0\0\0\x24\x81" + bytes(35)
        self.assertEqual(len(list(records.read(whole))), 1)
        for size in range(1, len(whole)):
            with self.assertRaises(records.Malformed):
                list(records.read(whole[:size]))
        for flags in range(64):
            with self.assertRaises(records.Malformed):
                list(records.read(b"\0\0\0\x01\x83" if flags == 0 else b"\0\0\0\x12\x83" + bytes(16) + bytes([3])))

    def test_an_id_has_its_form(self):
        self.assertEqual(len(records.node_id("a" * 52)), 32)
        for wrong in ("", "a" * 51, "1" * 52):
            with self.assertRaises(ValueError):
                records.node_id(wrong)


class Client(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.b = Process(folder.name, "b")
        cls.addClassCleanup(lambda: cls.b.end())
        cls.a = Process(folder.name, "a", "--bootstrap", f"{cls.b.id}@{cls.b.address}")
        cls.addClassCleanup(lambda: cls.a.end())

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.sender = await qudag.connect(self.a.path)
        self.receiver = await qudag.connect(self.b.path)
        self.addAsyncCleanup(self.sender.close)
        self.addAsyncCleanup(self.receiver.close)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:  # 300: the node does not know the other one yet
            if (await self.sender.send(self.b.id, b"", relays=0, channel=99)).error != 300:
                return
        self.fail("the nodes do not know each other")

    async def first(self, channel=0):
        async for message in self.receiver.receive(channel):
            return message

    async def test_delivered_when_it_is_taken(self):
        receive = asyncio.create_task(self.first())
        await asyncio.sleep(0)
        await self.receiver._link(0)
        send = asyncio.create_task(self.sender.send(self.b.id, b"hello", relays=0, sign=True))
        message = await receive
        self.assertEqual((message.payload, message.sender, message.channel), (b"hello", self.a.id, 0))
        self.assertFalse(send.done())
        await message.taken()
        outcome = await send
        self.assertTrue(outcome.delivered, outcome)
        self.assertEqual(outcome.id, message.id)

    async def test_refused_and_again(self):
        await self.receiver._link(5)
        send = asyncio.create_task(self.sender.send(self.b.id, b"x", relays=0, channel=5))
        message = await self.first(5)
        await message.again()
        message = await self.first(5)
        await message.refused()
        self.assertEqual((await send).outcome, "refused")

    async def test_a_question_has_one_answer(self):
        await self.receiver._link(7)

        async def serve():
            async for message in self.receiver.receive(7):
                await message.reply(message.payload.upper())
        server = asyncio.create_task(serve())
        answers = await asyncio.gather(*(self.sender.request(self.b.id, b"ask %d" % i, relays=0, channel=7)
                                         for i in range(50)))
        self.assertEqual([answer.payload for answer in answers], [b"ASK %d" % i for i in range(50)])
        server.cancel()
        with self.assertRaises(qudag.ApiError):
            await self.sender.request(self.b.id, b"x", relays=0, channel=8)

    async def test_an_answer_that_comes_too_late_does_not_stay_in_hand(self):
        await self.receiver._link(9)
        ask = asyncio.create_task(self.sender.request(self.b.id, b"?", relays=0, channel=9, timeout=1))
        message = await self.first(9)
        await message.taken()
        with self.assertRaises(TimeoutError):
            await ask
        self.assertEqual((await message.reply(b"late")).outcome, "refused")
        link = self.sender._links[9]
        self.assertEqual((len(link._early), len(link._given_up), len(link._sends)), (0, 0, 0))

    async def test_a_pipe_there_and_back(self):
        async def echo(reader, writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        node = Process(self.folder, "d", "--services", f"echo=127.0.0.1:{port}",
                       "--bootstrap", f"{self.b.id}@{self.b.address}")
        self.addCleanup(node.end)
        until = time.monotonic() + PATIENCE
        while True:  # the two do not know each other yet
            try:
                reader, writer = await self.sender.pipe(node.id, "echo", relays=0)
                break
            except qudag.ApiError:
                self.assertLess(time.monotonic(), until)
                await asyncio.sleep(0.02)
        text = bytes(range(256)) * 1024
        await writer.write(text[:7])
        self.assertEqual(await reader.read(0), b"")
        self.assertEqual(await reader.readexactly(7), text[:7])
        await asyncio.gather(writer.write(memoryview(text).cast("I")), self.read_some(reader, len(text)))
        await writer.write(b"end")
        await writer.end()
        with self.assertRaises(ValueError):
            await writer.write(b"too late")
        self.assertEqual(await reader.read(-1), b"end")
        self.assertTrue(reader.at_eof())
        server.close()

    async def read_some(self, reader, size):
        self.assertEqual(await reader.readexactly(size), (bytes(range(256)) * 1024)[:size])

    async def test_what_was_never_open_is_not_opened_again(self):
        link = node_module._Link(self.a.path, 70_000)  # no channel: the record cannot be made
        with self.assertRaises(Exception):
            await link.open()
        link = node_module._Link(self.a.path, None)
        await link.open()
        link._opened, link._ready = False, None
        link.stream.put(b"\0\0\0\1\x7f")  # no record: the node ends the connection
        while link.stream is not None:
            await asyncio.sleep(0.01)
        self.assertIsNone(link._retry)

    async def test_thousands_each_with_one_outcome(self):
        await self.receiver._link(3)
        seen = []

        async def serve():
            async for message in self.receiver.receive(3):
                seen.append(message.payload)
                await message.taken()
        server = asyncio.create_task(serve())
        payloads = [b"%08d" % i + bytes(248) for i in range(2_000)]
        began = time.monotonic()
        outcomes = await asyncio.gather(*(self.sender.send(self.b.id, payload, relays=0, channel=3)
                                          for payload in payloads))
        if "-v" in sys.argv:
            print(f"{len(payloads) / (time.monotonic() - began):.0f} messages/s of 256 B, acknowledged")
        server.cancel()
        self.assertEqual([o.outcome for o in outcomes if not o.delivered], [])
        self.assertEqual(sorted(seen), payloads)

    async def test_what_was_lost_is_said_and_receiving_goes_on(self):
        node = Process(self.folder, "c", "--bootstrap", f"{self.b.id}@{self.b.address}")
        program = await qudag.connect(node.path)
        receive = asyncio.create_task(anext(program.receive()))
        await program._link(0)
        # Nobody takes it, so it has no outcome yet.
        await self.receiver._link(6)
        send = asyncio.create_task(program.send(self.b.id, b"x", relays=0, channel=6))
        for _ in range(200):
            if send.done() and send.result().error == 300:
                send = asyncio.create_task(program.send(self.b.id, b"x", relays=0, channel=6))
            await asyncio.sleep(0.01)
            if self.receiver._links[6].waiting:
                break
        node.end(signal.SIGKILL)
        with self.assertRaises(qudag.ConnectionLost):
            await send
        self.assertEqual(program.lost, 1)
        node.start()
        deadline = time.monotonic() + PATIENCE
        outcome = None
        while time.monotonic() < deadline:  # it reaches the node again by itself
            try:
                outcome = await program.send(node.id, b"to itself", relays=0, ttl=1)
                break
            except qudag.ConnectionLost:
                await asyncio.sleep(0.01)
        self.assertIsNotNone(outcome)
        receive.cancel()
        await program.close()
        node.end()

    async def test_a_pipe_to_nobody_says_why(self):
        with self.assertRaises((qudag.ApiError, qudag.ConnectionLost)):
            await self.sender.pipe(self.b.id, "none", relays=0)

    async def test_too_large_and_no_node(self):
        with self.assertRaises(ValueError):
            await self.sender.send(self.b.id, bytes(5 << 20))
        with self.assertRaises(qudag.ConnectionLost):
            await qudag.connect(self.folder + "/none.sock")


if __name__ == "__main__":
    QUDAG = os.path.abspath(sys.argv.pop(1))
    unittest.main()
