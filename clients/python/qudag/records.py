"""The records of the WebSocket /v1/stream (docs/reference/api.md): bytes to values and back. Pure."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import Iterator

OUTCOMES = ("delivered", "expired", "refused", "failed", "stored")
IF_AWAY = ("store", "wait", "refuse")
PRIORITIES = ("high", "normal", "low")
ANSWERS = {"taken": 0, "refused": 1, "again": 2}


class Malformed(ValueError):
    """The node sent what is no record."""


@dataclass(frozen=True, slots=True)
class Outcome:
    request: int
    id: str  # "" if the node refused the message before it had one
    outcome: str
    error: int
    elapsed: float  # seconds
    detail: str


@dataclass(frozen=True, slots=True)
class Incoming:
    id: str
    priority: str
    sender: str | None
    reply_to: bytes | None
    in_reply_to: str | None
    channel: int
    token: int | None
    kept: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    number: int
    detail: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    pass


@dataclass(frozen=True, slots=True)
class NotCancelled:
    request: int
    number: int
    detail: str


def node_id(text: str) -> bytes:
    """The 32 bytes of an id; ValueError if it is none."""
    if len(text) != 52:
        raise ValueError("the id of a node has 52 characters")
    return base64.b32decode(text.upper() + "====")


def _record(op: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, op) + body


def send(request: int, to: bytes, payload: bytes, *, priority: str = "normal", relays: int = 3,
         ttl: float = 60.0, isolation: int = 0, sign: bool = False, channel: int = 0,
         if_away: str = "store") -> bytes:
    flags = (1 if sign else 0) | (4 if channel else 0) | IF_AWAY.index(if_away) << 3
    head = struct.pack(">Q32sBBBIQ", request, to, PRIORITIES.index(priority), relays, flags,
                       round(ttl * 1000), isolation)
    return _record(1, head + (struct.pack(">H", channel) if channel else b"") + payload)


def reply(request: int, to: bytes, payload: bytes, ttl: float = 60.0) -> bytes:
    return _record(2, struct.pack(">Q16sI", request, to, round(ttl * 1000)) + payload)


def subscribe(channel: int = 0, acknowledge: bool = True) -> bytes:
    return _record(3, struct.pack(">QHB", 0, channel, 1) if acknowledge else struct.pack(">QH", 0, channel))


def cancel(request: int) -> bytes:
    return _record(5, struct.pack(">Q", request))


def acknowledge(token: int, answer: str, delay: float = 0.0) -> bytes:
    tail = struct.pack(">I", round(delay * 1000)) if answer == "again" else b""
    return _record(6, struct.pack(">QB", token, ANSWERS[answer]) + tail)


def _message(body: bytes) -> Incoming:
    priority, flags = body[16], body[17]
    at = 18

    def take(flag: int, size: int) -> bytes | None:
        nonlocal at
        if not flags & flag:
            return None
        if at + size > len(body):
            raise Malformed("a short MESSAGE")
        part = body[at:at + size]
        at += size
        return part

    sender, reply_to, in_reply_to = take(1, 32), take(2, 16), take(4, 16)
    channel, token = take(8, 2), take(16, 8)
    return Incoming(body[:16].hex(), PRIORITIES[priority],
                    base64.b32encode(sender).decode().rstrip("=").lower() if sender else None,
                    reply_to, in_reply_to.hex() if in_reply_to else None,
                    int.from_bytes(channel or b"", "big"),
                    int.from_bytes(token, "big") if token is not None else None,
                    bool(flags & 32), body[at:])


def _parse(op: int, body: bytes) -> object | None:
    if op == 0x81:
        request, name, outcome, error, elapsed = struct.unpack_from(">Q16sBHQ", body)
        return Outcome(request, name.hex() if any(name) else "", OUTCOMES[outcome], error, elapsed / 1e9,
                       body[35:].decode(errors="replace"))
    if op == 0x83:
        return _message(body)
    if op == 0x84:
        return Failure(struct.unpack_from(">H", body)[0], body[2:].decode(errors="replace"))
    if op == 0x85:
        return Subscribed()
    if op == 0x86:
        request, number = struct.unpack_from(">QH", body)
        return NotCancelled(request, number, body[10:].decode(errors="replace"))
    return None  # PROGRESS is not asked for


def read(message: bytes) -> Iterator[object]:
    """The records of one WebSocket message. Malformed ends it."""
    at = 0
    while at < len(message):
        if at + 5 > len(message):
            raise Malformed("a record without an op")
        size, op = struct.unpack_from(">IB", message, at)
        body = message[at + 5:at + 4 + size]
        if size < 1 or len(body) != size - 1:
            raise Malformed("a record that is cut off")
        at += 4 + size
        try:
            value = _parse(op, body)
        except (struct.error, IndexError) as short:
            raise Malformed(f"record 0x{op:02x}: {short}") from short
        if value is not None:
            yield value
