"""A node as a program sees it: send, receive with acknowledgement, ask and answer, pipes.

One WebSocket for each channel that is received, and one for what is only sent. When one ends, it is
opened again: receiving goes on, and every send that was under way raises ConnectionLost, because
nobody can say what became of it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import AsyncIterator, Callable, Iterable, Sequence

from . import records
from .link import Delivery, Link, Message, answer_all
from .pipe import PipeReader, PipeWriter, open_pipe

UNDER_WAY = 16384  # of a send_many(); the node reads no more from half of api.outstanding on
TOGETHER = 4096  # messages of one receive_many()


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


class Node:
    """Made by connect(). One event loop."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._links: dict[int | None, Link] = {}
        self._opening = asyncio.Lock()

    async def _link(self, channel: int | None) -> Link:
        link = self._links.get(channel)
        if link is not None:
            return link
        async with self._opening:
            if channel not in self._links:
                link = Link(self.path, channel)
                await link.open()
                self._links[channel] = link
            return self._links[channel]

    def _send(self, to: str, payload: bytes, options: dict[str, object]) -> Callable[[int], bytes]:
        told = records.send_options(records.node_id(to), **options)  # type: ignore[arg-type]
        return lambda request: records.send(request, told, payload)

    async def prepare(self, channel: int | None = None) -> None:
        """Opens the connection of a channel, or that of sends: messages of it come from now on. One
        that was lost is waited for."""
        await (await self._link(channel)).there()

    async def send(self, to: str, payload: bytes, **options: object) -> Delivery:
        """Options: priority, relays, ttl (seconds), isolation, sign, channel, if_away. Returns its outcome;
        ConnectionLost if the connection goes first."""
        make = self._send(to, payload, options)
        return await (await self._link(None)).send(make)

    async def send_many(self, to: str, payloads: Iterable[bytes], *, under_way: int = UNDER_WAY, ttl: float = 60.0,
                        **options: object) -> list[Delivery]:
        """Several, as fast as it goes; the outcome of each, in their order. `under_way` of them have no
        outcome at a time. Those of a connection that ended are `unknown`, and the others go on over
        the next one: ConnectionLost if there is none in the time that a message may live."""
        told = records.send_options(records.node_id(to), ttl=ttl, **options)  # type: ignore[arg-type]
        return await (await self._link(None)).send_many(told, payloads, under_way, ttl)

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
        async for messages in self.receive_many(channel, most=1):
            yield messages[0]

    async def receive_many(self, channel: int = 0, *, most: int = TOGETHER) -> AsyncIterator[list[Message]]:
        """The same, as many at a time as there are: taken_all() answers them at once."""
        link = await self._link(channel)
        while messages := await link.next(most):
            yield messages

    @staticmethod
    async def taken_all(messages: Sequence[Message]) -> None:
        """Takes them all."""
        answer_all(messages, "taken")

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
