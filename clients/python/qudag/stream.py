"""One WebSocket to the node: records out, in batches, and WebSocket messages in. Knows nothing of
meaning."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from typing import Callable, Sequence

from .errors import ApiError, ConnectionLost

MESSAGE_BYTES_MAX = 4 << 20  # of one WebSocket message to the node
BATCH_BYTES = 256 * 1024
FRAME_BYTES_MAX = 80 << 20  # of one from it: the largest message of the network and its head
HEAD_BYTES_MAX = 8192


class Stream(asyncio.Protocol):
    """`on_message` gets each WebSocket message, `on_lost` once that nothing more comes, and why."""

    def __init__(self, on_message: Callable[[bytes], None], on_lost: Callable[[Exception], None]) -> None:
        self._on_message, self._on_lost = on_message, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._upgraded: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._why: Exception = ConnectionLost("the node closed the connection")
        self._in: list[bytes] = []
        self._in_bytes = 0
        self._need = 2  # bytes until the next step of reading
        self._parts: list[bytes] = []  # of a WebSocket message in several frames
        self._part_bytes = 0
        self._out: list[bytes] = []
        self._scheduled = self._blocked = self._closing = False
        self.ended = False

    @classmethod
    async def open(cls, path: str, on_message: Callable[[bytes], None],
                   on_lost: Callable[[Exception], None]) -> Stream:
        loop = asyncio.get_running_loop()
        try:
            _, stream = await loop.create_unix_connection(lambda: cls(on_message, on_lost), path)
        except OSError as error:
            raise ConnectionLost(f"{path}: {error}") from error
        key = base64.b64encode(os.urandom(16)).decode()
        stream._transport.write(
            ("GET /v1/stream HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        try:
            await stream._upgraded
        except BaseException:
            stream._transport.abort()
            raise
        return stream

    def put(self, record: bytes) -> None:
        """Leaves with all others of this turn of the loop. ValueError: too large."""
        if len(record) > MESSAGE_BYTES_MAX:
            raise ValueError("a WebSocket takes 4 MiB; larger messages go by POST /v1/messages")
        self.put_all((record,))

    def put_all(self, records: Sequence[bytes]) -> None:
        """The same of several, none of them over the bound."""
        if self.ended:
            raise ConnectionLost("the connection to the node has ended")
        self._out.extend(records)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def fail(self, why: Exception) -> None:
        """The node did what it may not, or said what ends the connection."""
        self._why = why
        self._transport.abort()

    async def close(self) -> None:
        """What was put leaves first."""
        if not self.ended:
            self._closing = True
            self._flush()
            await asyncio.wait((self._gone,), timeout=5)
        self._transport.abort()

    def _flush(self) -> None:
        self._scheduled = False
        out, at = self._out, 0
        while at < len(out) and not self._blocked and not self.ended:
            first, size = at, 0
            while at < len(out) and (at == first or size + len(out[at]) <= BATCH_BYTES):
                size += len(out[at])
                at += 1
            self._frame(2, out[first:at], size)
        del out[:at]
        if self._closing and not out and not self.ended:
            self._closing = False
            self._frame(8, [struct.pack(">H", 1000)], 2)

    def _frame(self, op: int, parts: Sequence[bytes], size: int) -> None:
        """Masked with zeros: the mask is for proxies, and there is none on a Unix socket."""
        length = (bytes((0x80 | size,)) if size < 126 else struct.pack(">BH", 0xfe, size) if size < 65536
                  else struct.pack(">BQ", 0xff, size))
        self._transport.write(b"".join((bytes((0x80 | op,)), length, b"\0\0\0\0", *parts)))

    # ---- what the event loop calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=2 * BATCH_BYTES)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._flush()

    def connection_lost(self, _: Exception | None) -> None:
        self.ended = True
        self._out.clear()
        if not self._gone.done():
            self._gone.set_result(None)
        if not self._upgraded.done():
            self._upgraded.set_exception(self._why)
        elif not self._upgraded.cancelled() and self._upgraded.exception() is None:
            self._on_lost(self._why)

    def data_received(self, data: bytes) -> None:
        if self._in_bytes:
            self._in.append(data)
            self._in_bytes += len(data)
            if self._in_bytes < self._need:
                return
            data = b"".join(self._in)
            self._in.clear()
            self._in_bytes = 0
        at = 0 if self._upgraded.done() else self._take_head(data)
        try:
            at = self._take_frames(data, at)
        except Exception as error:
            self.fail(error if isinstance(error, (ApiError, ConnectionLost)) else ConnectionLost(
                f"the node sent what is no record: {error}"))
            return
        if at < len(data):
            self._in.append(data[at:])
            self._in_bytes = len(data) - at

    def _take_head(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_BYTES_MAX:
                self.fail(ConnectionLost("the head of an answer is too large"))
            return 0
        line = data[:end].split(b"\r\n", 1)[0]
        if b" 101 " in line:
            self._upgraded.set_result(None)
        else:
            self._upgraded.set_exception(ApiError(0, line.decode(errors="replace")))
        return end + 4

    def _take_frames(self, data: bytes, at: int) -> int:
        """Whole frames only; where the first one that is not whole begins."""
        while self._upgraded.done():
            have = len(data) - at
            short = data[at + 1] & 0x7f if have >= 2 else 0
            head = 4 if short == 126 else 10 if short == 127 else 2
            size = short
            if have >= head and head > 2:
                size = struct.unpack_from(">H" if head == 4 else ">Q", data, at + 2)[0]
            if size > FRAME_BYTES_MAX:
                raise ConnectionLost("a WebSocket message of the node is too large")
            self._need = head + size
            if have < self._need:
                return at
            first = data[at]
            body = data[at + head:at + self._need]
            at += self._need
            self._take(first & 0x0f, bool(first & 0x80), body)
        return at

    def _take(self, op: int, last: bool, data: bytes) -> None:
        if op == 8:
            self._transport.close()
        elif op == 9:
            self._frame(10, [data], len(data))
        elif op > 2:
            return
        elif last and not self._parts:
            self._on_message(data)
        else:
            self._parts.append(data)
            self._part_bytes += len(data)
            if self._part_bytes > FRAME_BYTES_MAX:
                raise ConnectionLost("a WebSocket message of the node is too large")
            if last:
                parts, self._parts, self._part_bytes = self._parts, [], 0
                self._on_message(b"".join(parts))
