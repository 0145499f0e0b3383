"""A node as a program sees it: send, receive with acknowledgement, ask and answer, pipes.

One WebSocket for each channel that is received, and one for what is only sent. When one ends, it is
opened again: receiving goes on, and every send that was under way raises ConnectionLost, because
nobody can say what became of it.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import AsyncIterator

from . import records
from .errors import ApiError, ConnectionLost
from .pipe import PipeReader, PipeWriter, open_pipe
from .stream import Stream

EARLY_REPLIES_MAX = 1024
RETRY_MAX = 5.0  # seconds between attempts to reach the node again


def default_socket() -> str:
    """Where node and clients of one user look when nobody says; see docs/reference/api.md."""
    if given := os.environ.get("QUDAG_SOCKET"):
        return given
    if run := os.environ.get("XDG_RUNTIME_DIR"):
        return str(Path(run) / "qudag.sock")
    if os.geteuid() == 0:
        return "/run/qudag/qudag.sock"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return str(Path(state) / "qudag/qudag.sock")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message ended: `outcome` is delivered, expired, refused, failed or stored; `error` is the number
    of the reason (qudag/error.h), 0 when delivered."""
    id: str
    outcome: str
    error: int
    detail: str
    elapsed: float

    @property
    def delivered(self) -> bool:
        return self.outcome == "delivered"


class Message:
    """A received message. Its sender hears `delivered` when taken() has been called."""

    def __init__(self, link: _Link, record: records.Incoming) -> None:
        self._link, self._stream, self._record = link, link.stream, record
        self._answered = False

    id = property(lambda self: self._record.id)
    payload = property(lambda self: self._record.payload)
    priority = property(lambda self: self._record.priority)
    channel = property(lambda self: self._record.channel)
    sender = property(lambda self: self._record.sender)
    in_reply_to = property(lambda self: self._record.in_reply_to)
    kept = property(lambda self: self._record.kept)

    @property
    def answerable(self) -> bool:
        return self._record.reply_to is not None

    async def taken(self) -> None:
        self._answer("taken")

    async def refused(self) -> None:
        self._answer("refused")

    async def again(self, delay: float = 0.0) -> None:
        """It comes again after so many seconds, to this program or another one."""
        self._answer("again", delay)

    def _answer(self, answer: str, delay: float = 0.0) -> None:
        if self._answered or self._record.token is None:
            return
        if self._stream is not self._link.stream or self._stream is None:
            raise ConnectionLost("the connection that had this message has ended: it comes again")
        self._answered = True
        self._stream.put(records.acknowledge(self._record.token, answer, delay))

    async def reply(self, payload: bytes, *, ttl: float = 60.0) -> Delivery:
        """Answers, without knowing whom; takes the message as well."""
        if self._record.reply_to is None:
            raise ValueError("this message has no reply address")
        self._answer("taken")
        handle = self._record.reply_to
        return await self._link.send(lambda request: records.reply(request, handle, payload, ttl))


class _Link:
    """A WebSocket that is opened again when it has ended."""

    def __init__(self, path: str, channel: int | None) -> None:
        self.path, self.channel = path, channel
        self.stream: Stream | None = None
        self.waiting: deque[Message] = deque()  # bounded by the node: what is in hand
        self.came = asyncio.Event()
        self._sends: dict[int, asyncio.Future[records.Outcome]] = {}
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._early: OrderedDict[str, Message] = OrderedDict()
        self._request = 0
        self._ready: asyncio.Future[None] | None = None
        self._closing = False
        self._opened = False  # once: until then there is nobody to open it again for
        self._given_up: OrderedDict[str, None] = OrderedDict()  # questions whose answers nobody awaits
        self._retry: asyncio.Task[None] | None = None
        self.lost = 0  # sends without a known outcome

    async def open(self) -> None:
        self._ready = asyncio.get_running_loop().create_future()
        self.stream = await Stream.open(self.path, self._on_record, self._on_lost)
        if self.channel is not None:
            self.stream.put(records.subscribe(self.channel))
            await self._ready
        self._opened = True

    def _on_record(self, record: object) -> None:
        if isinstance(record, records.Outcome):
            future = self._sends.pop(record.request, None)
            if future is not None and not future.done():
                future.set_result(record)
        elif isinstance(record, records.Incoming):
            self._on_message(Message(self, record))
        elif isinstance(record, records.Subscribed) and self._ready and not self._ready.done():
            self._ready.set_result(None)

    def _on_message(self, message: Message) -> None:
        question = message.in_reply_to
        if question is None:
            self.waiting.append(message)
            self.came.set()
            return
        asked = self._asked.pop(question, None)
        if asked is not None and not asked.done():
            asked.set_result(message)
            return
        if question in self._given_up:
            del self._given_up[question]
            message._answer("refused")
            return
        # The outcome, which names the question, may come after its answer.
        self._early[question] = message
        if len(self._early) > EARLY_REPLIES_MAX:
            _, oldest = self._early.popitem(last=False)
            self.waiting.append(oldest)
            self.came.set()

    def _on_lost(self, why: Exception) -> None:
        self.stream = None
        sends, self._sends = self._sends, {}
        self.lost += len(sends)
        asked, self._asked = self._asked, {}
        self.waiting.clear()
        self._early.clear()
        self._given_up.clear()
        for future in (*sends.values(), *asked.values(), *([self._ready] if self._ready else [])):
            if not future.done():
                future.set_exception(why if isinstance(why, ApiError) else ConnectionLost(str(why)))
                future.exception()  # nobody may be waiting for it
        self.came.set()
        if self._opened and not self._closing and self._retry is None:
            self._retry = asyncio.create_task(self._open_again())

    async def _open_again(self) -> None:
        pause = 0.05
        while not self._closing:
            try:
                await self.open()
                break
            except (ConnectionLost, ApiError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MAX)
        self._retry = None
        self.came.set()

    def begin(self, make: object) -> asyncio.Future[records.Outcome]:
        """A send that leaves with the others of this turn of the loop."""
        if self.stream is None:
            raise ConnectionLost("the node is not there")
        self._request += 1
        self.stream.put(make(self._request))  # type: ignore[operator]
        future: asyncio.Future[records.Outcome] = asyncio.get_running_loop().create_future()
        self._sends[self._request] = future
        return future

    async def send(self, make: object) -> Delivery:
        done = await self.begin(make)
        return Delivery(done.id, done.outcome, done.error, done.detail, done.elapsed)

    async def ask(self, make: object, timeout: float) -> Message:
        outcome = self.begin(make)
        try:
            async with asyncio.timeout(timeout):
                done = await asyncio.shield(outcome)  # it comes, whether somebody waits or not
                if done.outcome != "delivered":
                    raise ApiError(done.error, done.detail, done.outcome)
                if early := self._early.pop(done.id, None):
                    return early
                answer = self._asked[done.id] = asyncio.get_running_loop().create_future()
                try:
                    return await answer
                finally:
                    self._asked.pop(done.id, None)
        except (TimeoutError, asyncio.CancelledError):
            outcome.add_done_callback(self._give_up)
            raise

    def _give_up(self, outcome: asyncio.Future[records.Outcome]) -> None:
        """An answer that comes too late must not stay in hand: the node gives places to so many."""
        if outcome.cancelled() or outcome.exception() is not None:
            return
        question = outcome.result().id
        if early := self._early.pop(question, None):
            early._answer("refused")
        elif outcome.result().outcome == "delivered":
            self._given_up[question] = None
            if len(self._given_up) > EARLY_REPLIES_MAX:
                self._given_up.popitem(last=False)

    async def close(self) -> None:
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        if self.stream is not None:
            await self.stream.close()


class Node:
    """Made by connect(). One event loop."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._links: dict[int | None, _Link] = {}
        self._opening = asyncio.Lock()

    async def _link(self, channel: int | None) -> _Link:
        link = self._links.get(channel)
        if link is not None:
            return link
        async with self._opening:
            if channel not in self._links:
                link = _Link(self.path, channel)
                await link.open()
                self._links[channel] = link
            return self._links[channel]

    def _send(self, to: str, payload: bytes, options: dict[str, object]) -> object:
        destination = records.node_id(to)
        return lambda request: records.send(request, destination, payload, **options)  # type: ignore[arg-type]

    async def send(self, to: str, payload: bytes, **options: object) -> Delivery:
        """Options: priority, relays, ttl (seconds), isolation, sign, channel, if_away. Returns its one outcome;
        ConnectionLost if the node goes first."""
        link = await self._link(None)
        return await link.send(self._send(to, payload, options))

    async def request(self, to: str, payload: bytes, *, timeout: float = 60.0, **options: object) -> Message:
        """The answer. ApiError when the question is not delivered, TimeoutError. The program receives
        on that channel from then on."""
        channel = int(options.get("channel", 0))  # type: ignore[call-overload]
        link = await self._link(channel)
        answer = await link.ask(self._send(to, payload, {"ttl": timeout, **options}), timeout)
        await answer.taken()
        return answer

    async def receive(self, channel: int = 0) -> AsyncIterator[Message]:
        """Messages of a channel for as long as the program asks. After a lost connection it goes on:
        what was in hand comes again."""
        link = await self._link(channel)
        while True:
            while link.waiting:
                yield link.waiting.popleft()
            link.came.clear()
            await link.came.wait()

    async def pipe(self, to: str, service: str, *, priority: str | None = None, relays: int | None = None,
                   isolation: int | None = None) -> tuple[PipeReader, PipeWriter]:
        """Two streams to a service of that node."""
        return await open_pipe(self.path, to, service, priority=priority, relays=relays, isolation=isolation)

    @property
    def lost(self) -> int:
        """Sends whose outcome nobody knows, because the connection ended first."""
        return sum(link.lost for link in self._links.values())

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()


class connect:
    """`async with connect(path) as node`; or `node = await connect(path)`, and node.close()."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or default_socket()
        self._node: Node | None = None

    async def _open(self) -> Node:
        node = Node(self._path)
        await node._link(None)
        return node

    def __await__(self):  # type: ignore[no-untyped-def]
        return self._open().__await__()

    async def __aenter__(self) -> Node:
        self._node = await self._open()
        return self._node

    async def __aexit__(self, *_: object) -> None:
        assert self._node is not None
        await self._node.close()
