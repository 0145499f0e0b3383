"""A pipe to a service of another node, as two streams: the two bodies of one POST /v1/pipes."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

from .errors import ApiError, ConnectionLost

PIECE_BYTES = 64 * 1024


class PipeReader:
    """Bytes from the service, in order and whole. A pipe that broke off raises ConnectionLost."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._left = 0  # of a chunk
        self._ended = False

    def at_eof(self) -> bool:
        return self._ended

    async def read(self, size: int = PIECE_BYTES) -> bytes:
        """Some of the next bytes; empty at the end that the service gave them. -1: all of them."""
        if size < 0:
            return await self.read_all()
        if self._ended or size == 0:
            return b""
        try:
            if self._left == 0:
                self._left = int(await self._reader.readuntil(b"\r\n"), 16)
                if self._left == 0:
                    self._ended = True
                    return b""
            data = await self._reader.read(min(size, self._left))
            if not data:
                raise ConnectionLost("the pipe was broken off")
            self._left -= len(data)
            if self._left == 0:
                await self._reader.readexactly(2)
            return data
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise ConnectionLost("the pipe was broken off") from error

    async def readexactly(self, size: int) -> bytes:
        parts = []
        while size > 0:
            data = await self.read(size)
            if not data:
                raise asyncio.IncompleteReadError(b"".join(parts), size)
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    async def read_all(self) -> bytes:
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)


class PipeWriter:
    """Bytes to the service."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._ended = False

    async def write(self, data: bytes) -> None:
        """Waits while the service does not read. ValueError after end()."""
        if self._ended:
            raise ValueError("bytes after the end")
        view = memoryview(data).cast("B")
        try:
            for at in range(0, len(view), PIECE_BYTES):
                piece = view[at:at + PIECE_BYTES]
                self._writer.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
                await self._writer.drain()
        except OSError as error:
            raise ConnectionLost("the pipe was broken off") from error

    async def end(self) -> None:
        """No more bytes this way; the other way stays open."""
        if self._ended:
            return
        self._ended = True
        self._writer.write(b"0\r\n\r\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionLost("the pipe was broken off") from error

    def close(self) -> None:
        """Both ways at once; before the end of both that breaks the pipe off."""
        self._writer.close()


async def open_pipe(path: str, to: str, service: str, **options: object) -> tuple[PipeReader, PipeWriter]:
    query = urlencode({"to": to, "service": service, **{k: v for k, v in options.items() if v is not None}})
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    except OSError as error:
        raise ConnectionLost(f"{path}: {error}") from error
    try:
        writer.write(f"POST /v1/pipes?{query} HTTP/1.1\r\nHost: q\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.split()[1] == "200":
            return PipeReader(reader), PipeWriter(writer)
        size = next(int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length"))
        error = json.loads(await reader.readexactly(size))["error"]
        raise ApiError(error["number"], error["detail"], error["code"])
    except (asyncio.IncompleteReadError, OSError) as error:
        writer.close()
        raise ConnectionLost("the node closed the connection") from error
    except BaseException:
        writer.close()
        raise
