#!/usr/bin/env python3
"""The client against two nodes of the built program.

Usage: client_test.py QUDAG [-v]
"""

import asyncio
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
import nodes  # noqa: E402
import qudag  # noqa: E402
from nodes import PATIENCE  # noqa: E402
from qudag import link as link_module, records  # noqa: E402


def Process(*arguments):
    return nodes.Process(QUDAG, *arguments)


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
        await nodes.known(self.sender, self.b.id)

    async def first(self, channel=0):
        async for message in self.receiver.receive(channel):
            return message

    async def test_delivered_when_it_is_taken(self):
        receive = asyncio.create_task(self.first())
        await asyncio.sleep(0)
        await self.receiver.prepare(0)
        send = asyncio.create_task(self.sender.send(self.b.id, b"hello", relays=0, sign=True))
        message = await receive
        self.assertEqual((message.payload, message.sender, message.channel), (b"hello", self.a.id, 0))
        self.assertFalse(send.done())
        await message.taken()
        outcome = await send
        self.assertTrue(outcome.delivered, outcome)
        self.assertEqual(outcome.id, message.id)

    async def test_refused_and_again(self):
        await self.receiver.prepare(5)
        send = asyncio.create_task(self.sender.send(self.b.id, b"x", relays=0, channel=5))
        message = await self.first(5)
        await message.again()
        message = await self.first(5)
        await message.refused()
        self.assertEqual((await send).outcome, "refused")

    async def test_a_question_has_one_answer(self):
        await self.receiver.prepare(7)

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
        link = link_module.Link(self.a.path, 70_000)  # no channel: the record cannot be made
        with self.assertRaises(Exception):
            await link.open()
        link = link_module.Link(self.a.path, None)
        await link.open()
        link._opened, link._ready = False, None
        link.stream.put(b"\0\0\0\1\x7f")  # no record: the node ends the connection
        while link.stream is not None:
            await asyncio.sleep(0.01)
        self.assertIsNone(link._retry)

    async def test_thousands_each_with_one_outcome(self):
        await self.receiver.prepare(3)
        seen = []

        async def serve():
            async for message in self.receiver.receive(3):
                seen.append(message.payload)
                await message.taken()
        server = asyncio.create_task(serve())
        payloads = [b"%08d" % i + bytes(248) for i in range(2_000)]
        one = asyncio.gather(*(self.sender.send(self.b.id, payload, relays=0, channel=3) for payload in payloads[:500]))
        outcomes = await self.sender.send_many(self.b.id, payloads[500:], relays=0, channel=3, under_way=300)
        server.cancel()
        self.assertEqual([o.outcome for o in await one + outcomes if not o.delivered], [])
        self.assertEqual(len(outcomes), 1_500)
        self.assertEqual(sorted(seen), payloads)

    async def test_many_at_a_time(self):
        await self.receiver.prepare(4)
        seen = []

        async def serve():
            async for messages in self.receiver.receive_many(4, most=100):
                self.assertLessEqual(len(messages), 100)
                seen.extend(message.payload for message in messages)
                await self.receiver.taken_all(messages)
        server = asyncio.create_task(serve())
        payloads = [b"%04d" % i for i in range(1_000)]
        outcomes = await self.sender.send_many(self.b.id, payloads, relays=0, channel=4)
        server.cancel()
        self.assertTrue(all(outcome.delivered for outcome in outcomes))
        self.assertEqual(len({outcome.id for outcome in outcomes}), 1_000)
        self.assertEqual(sorted(seen), payloads)

    async def test_what_comes_again_is_not_given_twice(self):
        program = await qudag.connect(self.b.path)
        self.addAsyncCleanup(program.close)
        await program.prepare(11)
        came = program.receive(11)
        sent = asyncio.create_task(self.sender.send_many(self.b.id, [b"had", b"taken", b"third"], relays=0, channel=11))
        had, taken = await anext(came), await anext(came)
        had._stream.fail(OSError("cut"))
        await taken.taken()  # the node does not hear it on this connection
        again = asyncio.create_task(anext(came))
        await had.taken()
        third = await again
        self.assertEqual((had.payload, taken.payload, third.payload), (b"had", b"taken", b"third"))
        await third.taken()
        self.assertEqual([outcome.outcome for outcome in await sent], ["delivered"] * 3)

    async def test_what_was_lost_is_said_and_receiving_goes_on(self):
        node = Process(self.folder, "c", "--bootstrap", f"{self.b.id}@{self.b.address}")
        program = await qudag.connect(node.path)
        receive = asyncio.create_task(anext(program.receive()))
        await program.prepare(0)
        # Nobody takes it, so it has no outcome yet.
        await self.receiver.prepare(6)
        send = asyncio.create_task(program.send(self.b.id, b"x", relays=0, channel=6))
        for _ in range(200):
            if send.done() and send.result().error == 300:
                send = asyncio.create_task(program.send(self.b.id, b"x", relays=0, channel=6))
            await asyncio.sleep(0.01)
            if self.receiver._links[6]._waiting:
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

    def test_the_chat_of_the_readme_is_short_and_works(self):
        code = re.search(r"```python\n(.*?)```", (HERE.parent / "README.md").read_text(), re.S)[1]
        self.assertLessEqual(len(code.splitlines()), 30)
        program = pathlib.Path(self.folder, "chat.py")  # between two nodes there are no relays
        program.write_text(code.replace("channel=20)\n            if", "channel=20, relays=0)\n            if"))

        def chat(path, **more):
            return subprocess.Popen([sys.executable, "-u", program, self.b.id, path], stdin=subprocess.PIPE, text=True,
                                    env={**os.environ, "PYTHONPATH": str(HERE.parent)}, **more)
        with chat(self.b.path, stdout=subprocess.PIPE) as bob, chat(self.a.path, stdout=subprocess.DEVNULL) as alice:
            until, said = time.monotonic() + PATIENCE, ""
            while "< hello" not in said and time.monotonic() < until:
                alice.stdin.write("hello\n")  # until the other one is there
                alice.stdin.flush()
                if select.select([bob.stdout], [], [], 0.05)[0]:
                    said += os.read(bob.stdout.fileno(), 4096).decode()
            alice.kill()
            bob.kill()
        self.assertIn("< hello", said)


if __name__ == "__main__":
    QUDAG = os.path.abspath(sys.argv.pop(1))
    unittest.main()
