"""The records of the WebSocket /v1/stream (docs/reference/api.md): bytes to values and back. Pure."""

from __future__ import annotations

import base64
import struct
from typing import NamedTuple, Union

OUTCOMES = ("delivered", "expired", "refused", "failed", "stored")
IF_AWAY = ("store", "wait", "refuse")
PRIORITIES = ("high", "normal", "low")
ANSWERS = {"taken": 0, "refused": 1, "again": 2}
TTL_MS_MAX = 86_400_000


class Malformed(ValueError):
    """The node sent what is no record."""


class Outcome(NamedTuple):
    request: int
    id: str  # "" if the node refused the message before it had one
    outcome: str
    error: int
    elapsed: float  # seconds
    detail: str


class Incoming(NamedTuple):
    id: bytes
    priority: str
    sender: bytes | None
    reply_to: bytes | None
    in_reply_to: bytes | None
    channel: int
    token: int | None
    kept: bool
    payload: bytes


class Failure(NamedTuple):
    number: int
    detail: str


class Subscribed(NamedTuple):
    pass


class NotCancelled(NamedTuple):
    request: int
    number: int
    detail: str


Record = Union[Outcome, Incoming, Failure, Subscribed, NotCancelled]


def node_id(text: str) -> bytes:
    """The 32 bytes of an id; ValueError if it is none."""
    if len(text) != 52:
        raise ValueError("the id of a node has 52 characters")
    return base64.b32decode(text.upper() + "====")


def _record(op: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, op) + body


def send_options(to: bytes, *, priority: str = "normal", relays: int = 3, ttl: float = 60.0,
                 isolation: int = 0, sign: bool = False, channel: int = 0, if_away: str = "store") -> bytes:
    """What a SEND has between its request and its payload. ValueError if the node would not have it."""
    if priority not in PRIORITIES or if_away not in IF_AWAY or not 0 <= relays <= 5:
        raise ValueError("priority is high, normal or low, if_away is store, wait or refuse, "
                         "and relays is 0 to 5")
    if not 1 <= round(ttl * 1000) <= TTL_MS_MAX or not 0 <= channel <= 0xffff:
        raise ValueError("ttl is a millisecond to a day, and channel is 0 to 65535")
    flags = (1 if sign else 0) | (4 if channel else 0) | IF_AWAY.index(if_away) << 3
    return struct.pack(">32sBBBIQ", to, PRIORITIES.index(priority), relays, flags, round(ttl * 1000),
                       isolation) + (struct.pack(">H", channel) if channel else b"")


_SEND = struct.Struct(">IBQ")


def send(request: int, options: bytes, payload: bytes) -> bytes:
    return b"".join((_SEND.pack(9 + len(options) + len(payload), 1, request), options, payload))


def reply(request: int, to: bytes, payload: bytes, ttl: float = 60.0) -> bytes:
    return _record(2, struct.pack(">Q16sI", request, to, round(ttl * 1000)) + payload)


def subscribe(channel: int = 0, acknowledge: bool = True) -> bytes:
    return _record(3, struct.pack(">QHB", 0, channel, 1) if acknowledge else struct.pack(">QH", 0, channel))


def cancel(request: int) -> bytes:
    return _record(5, struct.pack(">Q", request))


_ACKNOWLEDGE = struct.Struct(">IBQB")


def acknowledge(token: int, answer: str, delay: float = 0.0) -> bytes:
    if answer != "again":
        return _ACKNOWLEDGE.pack(10, 6, token, ANSWERS[answer])
    return _ACKNOWLEDGE.pack(14, 6, token, 2) + struct.pack(">I", round(delay * 1000))


# A MESSAGE by its flags: what is in front of the payload, and where in it its parts are.
_PARTS = ((1, "32s"), (2, "16s"), (4, "16s"), (8, "H"), (16, "Q"))


def _layout(flags: int) -> tuple[struct.Struct, int | None, int | None, int | None, int | None, int | None]:
    there = [flag for flag, _ in _PARTS if flags & flag]
    places = [there.index(flag) + 3 if flag in there else None for flag, _ in _PARTS]
    form = struct.Struct(">16sBB" + "".join(form for flag, form in _PARTS if flags & flag))
    return (form, *places)  # type: ignore[return-value]


_LAYOUTS = tuple(_layout(flags) for flags in range(64))
_HEAD = struct.Struct(">IB")
_OUTCOME = struct.Struct(">Q16sBHQ")
_NO_ID = bytes(16)


def _message(data: bytes, at: int, end: int) -> Incoming:
    form, sender, reply_to, in_reply_to, channel, token = _LAYOUTS[data[at + 17]]
    payload = at + form.size
    if payload > end:
        raise Malformed("a short MESSAGE")
    parts = form.unpack_from(data, at)
    return Incoming(parts[0], PRIORITIES[parts[1]], parts[sender] if sender else None,
                    parts[reply_to] if reply_to else None, parts[in_reply_to] if in_reply_to else None,
                    parts[channel] if channel else 0, parts[token] if token else None, parts[2] > 31,
                    data[payload:end])


def _text(data: bytes, at: int, end: int) -> str:
    return data[at:end].decode(errors="replace") if at < end else ""


def _other(op: int, data: bytes, at: int, end: int) -> Record | None:
    if op == 0x84 and end - at >= 2:
        return Failure(struct.unpack_from(">H", data, at)[0], _text(data, at + 2, end))
    if op == 0x85:
        return Subscribed()
    if op == 0x86 and end - at >= 10:
        request, number = struct.unpack_from(">QH", data, at)
        return NotCancelled(request, number, _text(data, at + 10, end))
    if op in (0x84, 0x86):
        raise Malformed(f"a short record 0x{op:02x}")
    return None  # PROGRESS is not asked for


def read(data: bytes) -> list[Record]:
    """The records of one WebSocket message. Malformed: all of it counts as not said."""
    found: list[Record] = []
    at, whole = 0, len(data)
    try:
        while at < whole:
            size, op = _HEAD.unpack_from(data, at)
            at += 5
            end = at + size - 1
            if size < 1 or end > whole:
                raise Malformed("a record that is cut off")
            if op == 0x83:
                found.append(_message(data, at, end))
            elif op == 0x81:
                if end - at < 35:
                    raise Malformed("a short OUTCOME")
                request, name, outcome, error, elapsed = _OUTCOME.unpack_from(data, at)
                found.append(Outcome(request, name.hex() if name != _NO_ID else "", OUTCOMES[outcome], error,
                                     elapsed / 1e9, _text(data, at + 35, end)))
            elif (other := _other(op, data, at, end)) is not None:
                found.append(other)
            at = end
    except (struct.error, IndexError) as short:
        raise Malformed(str(short)) from short
    return found
