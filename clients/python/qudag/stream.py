"""One WebSocket to the node: records out, in batches, and records in. Knows nothing of meaning."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from typing import Callable

from . import records
from .errors import ApiError, ConnectionLost

MESSAGE_BYTES_MAX = 4 << 20  # of one WebSocket message to the node
BATCH_BYTES = 256 * 1024
FRAME_BYTES_MAX = 80 << 20  # of one from it: the largest message of the network and its head


class Stream:
    """`on_record` gets what comes, `on_lost` once that nothing more does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                 on_record: Callable[[object], None], on_lost: Callable[[Exception], None]) -> None:
        self._reader, self._writer = reader, writer
        self._on_record, self._on_lost = on_record, on_lost
        self._out: list[bytes] = []
        self._flushing: asyncio.Task[None] | None = None
        self._ended = False
        self._task = asyncio.create_task(self._run())

    @classmethod
    async def open(cls, path: str, on_record: Callable[[object], None],
                   on_lost: Callable[[Exception], None]) -> Stream:
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
        except OSError as error:
            raise ConnectionLost(f"{path}: {error}") from error
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(("GET /v1/stream HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            writer.close()
            raise ConnectionLost("the node closed the connection") from error
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            writer.close()
            raise ApiError(0, head.split(b"\r\n", 1)[0].decode(errors="replace"))
        return cls(reader, writer, on_record, on_lost)

    def put(self, record: bytes) -> None:
        """Leaves with all others of this turn of the loop. ValueError: too large."""
        if len(record) > MESSAGE_BYTES_MAX:
            raise ValueError("a WebSocket takes 4 MiB; larger messages go by POST /v1/messages")
        if self._ended:
            raise ConnectionLost("the connection to the node has ended")
        self._out.append(record)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._out:
                batch, size = [], 0
                for record in self._out:
                    if batch and size + len(record) > BATCH_BYTES:
                        break
                    batch.append(record)
                    size += len(record)
                del self._out[:len(batch)]
                self._frame(2, b"".join(batch))
                await self._writer.drain()
        except OSError:
            pass  # the reader hears of it
        finally:
            self._flushing = None

    def _frame(self, op: int, data: bytes) -> None:
        """Masked with zeros: the mask is for proxies, and there is none on a Unix socket."""
        size = len(data)
        length = (bytes([0x80 | size]) if size < 126 else struct.pack(">BH", 0xfe, size) if size < 65536
                  else struct.pack(">BQ", 0xff, size))
        self._writer.write(bytes([0x80 | op]) + length + bytes(4) + data)

    async def _read_frame(self) -> tuple[int, bool, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7f
        if size == 126:
            size = struct.unpack(">H", await self._reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self._reader.readexactly(8))[0]
        if size > FRAME_BYTES_MAX:
            raise ConnectionLost("a WebSocket message of the node is too large")
        return first & 0x0f, bool(first & 0x80), await self._reader.readexactly(size)

    async def _run(self) -> None:
        why: Exception = ConnectionLost("the node closed the connection")
        message = b""
        try:
            while True:
                op, last, data = await self._read_frame()
                if op == 8:
                    break
                if op == 9:
                    self._frame(10, data)
                if op > 2:
                    continue
                message += data
                if len(message) > FRAME_BYTES_MAX:
                    raise ConnectionLost("a WebSocket message of the node is too large")
                if not last:
                    continue
                for record in records.read(message):
                    if isinstance(record, records.Failure):
                        why = ApiError(record.number, record.detail)
                    else:
                        self._on_record(record)
                message = b""
        except (asyncio.IncompleteReadError, OSError):
            pass
        except (ConnectionLost, records.Malformed) as error:
            why = error if isinstance(error, ConnectionLost) else ConnectionLost(str(error))
        finally:
            self._ended = True
            self._writer.close()
            self._on_lost(why)

    async def close(self) -> None:
        """What was put leaves first."""
        if self._flushing is not None:
            await asyncio.gather(self._flushing, return_exceptions=True)
        if not self._ended:
            self._frame(8, struct.pack(">H", 1000))
            try:
                await self._writer.drain()
                await asyncio.wait_for(asyncio.shield(self._task), 5)
            except (OSError, TimeoutError):
                pass
        self._writer.close()
        await asyncio.gather(self._task, return_exceptions=True)
