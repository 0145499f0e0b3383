"""A WebSocket that is opened again when it has ended, and what it knows: sends without an outcome,
questions without an answer, messages that the program has.

A message that comes again after a lost connection is not given to the program twice: one that it
still has gets the token of the new connection, one that it took is acknowledged at once.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict, deque
from typing import Callable, Iterable, NamedTuple, Sequence

from . import records
from .errors import ApiError, ConnectionLost
from .stream import MESSAGE_BYTES_MAX, Stream

EARLY_REPLIES_MAX = 1024
REMEMBERED_MAX = 65536  # of each of two generations of what was taken, and of what the program has
RETRY_MIN, RETRY_MAX = 0.01, 1.0  # seconds between attempts to reach the node again


class Delivery(NamedTuple):
    """How a message ended: `outcome` is delivered, expired, refused, failed or stored; `error` is the number
    of the reason (qudag/error.h), 0 when delivered. In the list of send_many() an outcome may be
    `unknown`: the connection ended first, and the message may have arrived."""
    id: str
    outcome: str
    error: int
    detail: str
    elapsed: float  # seconds

    @property
    def delivered(self) -> bool:
        return self.outcome == "delivered"


UNKNOWN = Delivery("", "unknown", 0, "the connection to the node ended first", 0.0)


class Message:
    """A received message. Its sender hears `delivered` when taken() has been called."""

    __slots__ = ("_link", "_stream", "_record", "_answered")

    def __init__(self, link: Link, record: records.Incoming) -> None:
        self._link, self._stream, self._record = link, link.stream, record
        self._answered = False

    id = property(lambda self: self._record.id.hex())
    payload = property(lambda self: self._record.payload)
    priority = property(lambda self: self._record.priority)
    channel = property(lambda self: self._record.channel)
    kept = property(lambda self: self._record.kept)

    @property
    def sender(self) -> str | None:
        sender = self._record.sender
        return base64.b32encode(sender).decode().rstrip("=").lower() if sender else None

    @property
    def in_reply_to(self) -> str | None:
        question = self._record.in_reply_to
        return question.hex() if question else None

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
        record = self._record
        if self._answered or record.token is None:
            return
        said = records.acknowledge(record.token, answer, delay)
        self._answered = True
        self._link.answered(self._stream, record.id, answer, said)

    async def reply(self, payload: bytes, *, ttl: float = 60.0) -> Delivery:
        """Answers, without knowing whom; takes the message as well."""
        if self._record.reply_to is None:
            raise ValueError("this message has no reply address")
        self._answer("taken")
        handle = self._record.reply_to
        return await self._link.send(lambda request: records.reply(request, handle, payload, ttl))


class _Many:
    """The outcomes of a send_many()."""

    def __init__(self) -> None:
        self.outcomes: list[Delivery | None] = []
        self.left = 0
        self._place: dict[int, int] = {}  # by request
        self._wanted = 0
        self._waiting: asyncio.Future[None] | None = None

    def add(self, request: int) -> None:
        self._place[request] = len(self.outcomes)
        self.outcomes.append(None)
        self.left += 1

    def put(self, request: int, outcome: Delivery) -> None:
        self.outcomes[self._place.pop(request)] = outcome
        self.left -= 1
        if self.left <= self._wanted and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def until(self, left: int) -> None:
        """Waits until no more than that have no outcome."""
        self._wanted = left
        while self.left > left:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


class Link:
    """One channel that is received, or what is only sent (None). One event loop."""

    def __init__(self, path: str, channel: int | None) -> None:
        self.path, self.channel = path, channel
        self.stream: Stream | None = None
        self.lost = 0  # sends without a known outcome
        self._waiting: deque[Message] = deque()  # bounded by the node: what is in hand
        self._came = asyncio.Event()
        self._there = asyncio.Event()  # the connection
        self._sends: dict[int, asyncio.Future[Delivery] | _Many] = {}
        self._asked: dict[bytes, asyncio.Future[Message]] = {}
        self._early: OrderedDict[bytes, Message] = OrderedDict()
        self._given_up: OrderedDict[bytes, None] = OrderedDict()  # whose answers nobody awaits
        self._has: dict[bytes, Message] = {}  # what the program has, or is to get
        self._took: set[bytes] = set()
        self._took_before: set[bytes] = set()
        self._request = 0
        self._ready: asyncio.Future[None] | None = None
        self._closing = False
        self._opened = False  # once: until then there is nobody to open it again for
        self._retry: asyncio.Task[None] | None = None

    async def open(self) -> None:
        stream = await Stream.open(self.path, lambda data: self._on_message(stream, data),
                                   lambda why: self._on_lost(stream, why))
        self.stream = stream
        if self.channel is not None:
            self._ready = asyncio.get_running_loop().create_future()
            self.stream.put(records.subscribe(self.channel))
            await self._ready
        self._opened = True
        if self.stream is stream:
            self._there.set()

    async def there(self) -> None:
        await self._there.wait()

    async def close(self) -> None:
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        if self.stream is not None:
            await self.stream.close()
        self._came.set()

    # ---- sending ------------------------------------------------------------------------------------

    def begin(self, make: Callable[[int], bytes]) -> asyncio.Future[Delivery]:
        """A send that leaves with the others of this turn of the loop."""
        if self.stream is None:
            raise ConnectionLost("the node is not there")
        request = self._request + 1
        self.stream.put(make(request))
        self._request = request
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._sends[request] = future
        return future

    async def send(self, make: Callable[[int], bytes]) -> Delivery:
        return await self.begin(make)

    async def send_many(self, options: bytes, payloads: Iterable[bytes], under_way: int,
                        patience: float) -> list[Delivery]:
        many, part = _Many(), max(1, min(1024, under_way // 2))
        batch: list[bytes] = []
        for payload in payloads:
            if len(payload) + len(options) + 13 > MESSAGE_BYTES_MAX:
                raise ValueError("a WebSocket takes 4 MiB; larger messages go by POST /v1/messages")
            batch.append(payload)
            if len(batch) == part:
                await self._begin_many(many, options, batch, under_way - part, patience)
                batch = []
        await self._begin_many(many, options, batch, under_way - part, patience)
        await many.until(0)
        return many.outcomes  # type: ignore[return-value]

    async def _begin_many(self, many: _Many, options: bytes, payloads: list[bytes], left: int,
                          patience: float) -> None:
        await many.until(left)
        if self.stream is None:  # what has not left waits for the node as long as it may live
            try:
                await asyncio.wait_for(self._there.wait(), patience)
            except TimeoutError as late:
                raise ConnectionLost("the node is not there") from late
        assert self.stream is not None
        sends, make, request = self._sends, records.send, self._request
        out = []
        for payload in payloads:
            request += 1
            out.append(make(request, options, payload))
            sends[request] = many
            many.add(request)
        self._request = request
        self.stream.put_all(out)

    async def ask(self, make: Callable[[int], bytes], timeout: float) -> Message:
        outcome = self.begin(make)
        try:
            async with asyncio.timeout(timeout):
                done = await asyncio.shield(outcome)  # it comes, whether somebody waits or not
                if done.outcome != "delivered":
                    raise ApiError(done.error, done.detail, done.outcome)
                question = bytes.fromhex(done.id)
                if early := self._early.pop(question, None):
                    return early
                answer = self._asked[question] = asyncio.get_running_loop().create_future()
                try:
                    return await answer
                finally:
                    self._asked.pop(question, None)
        except (TimeoutError, asyncio.CancelledError):
            outcome.add_done_callback(self._give_up)
            raise

    def _give_up(self, outcome: asyncio.Future[Delivery]) -> None:
        """An answer that comes too late must not stay in hand: the node gives places to so many."""
        if outcome.cancelled() or outcome.exception() is not None:
            return
        question = bytes.fromhex(outcome.result().id)
        if early := self._early.pop(question, None):
            early._answer("refused")
        elif outcome.result().outcome == "delivered":
            self._given_up[question] = None
            if len(self._given_up) > EARLY_REPLIES_MAX:
                self._given_up.popitem(last=False)

    # ---- receiving ----------------------------------------------------------------------------------

    async def next(self, most: int) -> list[Message]:
        """What has come, one at least; nothing when the link was closed."""
        waiting = self._waiting
        while not waiting and not self._closing:
            self._came.clear()
            await self._came.wait()
        if len(waiting) <= most:
            messages = list(waiting)
            waiting.clear()
            return messages
        return [waiting.popleft() for _ in range(most)]

    def answered(self, stream: Stream | None, name: bytes, answer: str, said: bytes) -> None:
        self._has.pop(name, None)
        if answer == "taken":
            self._took.add(name)
            if len(self._took) >= REMEMBERED_MAX:
                self._took_before, self._took = self._took, set()
        if stream is not None and stream is self.stream and not stream.ended:
            stream.put(said)
        elif answer != "taken":  # what was taken is acknowledged when it comes again
            raise ConnectionLost("the connection that had this message has ended: it comes again")

    # ---- what comes from the node ---------------------------------------------------------------------

    def _on_message(self, stream: Stream, data: bytes) -> None:
        if stream is not self.stream:
            return
        sends = self._sends
        for record in records.read(data):
            if type(record) is records.Outcome:
                request, name, outcome, error, elapsed, detail = record
                waiter = sends.pop(request, None)
                delivery = Delivery(name, outcome, error, detail, elapsed)
                if type(waiter) is _Many:
                    waiter.put(request, delivery)
                elif waiter is not None and not waiter.done():  # type: ignore[union-attr]
                    waiter.set_result(delivery)  # type: ignore[union-attr]
            elif type(record) is records.Incoming:
                self._on_incoming(stream, record)
            elif type(record) is records.Failure:
                raise ApiError(record.number, record.detail)
            elif type(record) is records.Subscribed and self._ready and not self._ready.done():
                self._ready.set_result(None)

    def _on_incoming(self, stream: Stream, record: records.Incoming) -> None:
        name = record.id
        if name in self._has:
            message = self._has[name]
            message._record, message._stream = record, stream
            return
        if name in self._took or name in self._took_before:
            if record.token is not None:
                stream.put(records.acknowledge(record.token, "taken"))
            return
        message = self._has[name] = Message(self, record)
        if len(self._has) > REMEMBERED_MAX:
            del self._has[next(iter(self._has))]
        if record.in_reply_to is None:
            self._waiting.append(message)
            self._came.set()
        else:
            self._on_reply(record.in_reply_to, message)

    def _on_reply(self, question: bytes, message: Message) -> None:
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
            self._waiting.append(self._early.popitem(last=False)[1])
            self._came.set()

    def _on_lost(self, stream: Stream, why: Exception) -> None:
        if stream is not self.stream:
            return
        self.stream = None
        self._there.clear()
        sends, self._sends = self._sends, {}
        asked, self._asked = self._asked, {}
        self.lost += len(sends)
        for message in (*self._waiting, *self._early.values()):  # the program has not seen them
            self._has.pop(message._record.id, None)
        self._waiting.clear()
        self._early.clear()
        self._given_up.clear()
        futures: list[asyncio.Future] = [*asked.values(), *([self._ready] if self._ready else [])]
        for request, waiter in sends.items():
            if type(waiter) is _Many:
                waiter.put(request, UNKNOWN)
            else:
                futures.append(waiter)  # type: ignore[arg-type]
        for future in futures:
            if not future.done():
                future.set_exception(why if isinstance(why, ApiError) else ConnectionLost(str(why)))
                future.exception()  # nobody may be waiting for it
        if self._opened and not self._closing and self._retry is None:
            self._retry = asyncio.create_task(self._open_again())

    async def _open_again(self) -> None:
        pause = RETRY_MIN
        while self.stream is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MAX)
            try:
                await self.open()
            except (ConnectionLost, ApiError):
                pass
        self._retry = None


def answer_all(messages: Sequence[Message], answer: str) -> None:
    for message in messages:
        message._answer(answer)
