"""The frames of docs/reference/protocol.md a second time: every byte of sections 4, 7 and 8, read and written.

Written from the protocol text with Python's standard library only; it shares nothing with src/. A
reader takes exactly what the text allows and raises Refused for everything else, with the scope and
the name of the code that the text gives (section 12).
"""
import hashlib
import struct

import mldsa

HELLO, PING, PONG, GOODBYE, DIGEST, WANT, DESCRIPTOR, SUMMARY, ASK, LOAD, TIME = (
    1, 2, 3, 4, 0x10, 0x11, 0x12, 0x13, 0x14, 0x20, 0x21)
BODY_BYTES_MAX, ENTRIES_MAX, DESCRIPTOR_BYTES_MAX = 16384, 400, 8192
DEPTH_MAX, PARTS, ASKS_MAX = 16, 16, 16
DAY = 86400


class Refused(Exception):

    def __init__(self, scope, code, why):
        super().__init__(f"{scope}: {code}: {why}")
        self.scope, self.code = scope, code


CODES = {"link": "protocol", "circuit": "destroyed"}


V4_MAPPED = bytes(10) + b"\xff\xff"


def v4_of_the_world(a, b):
    """8.1, Reach, of the first two bytes."""
    return not (a == 0 or a >= 224 or a in (10, 127) or (a, b) in ((169, 254), (192, 168))
                or (a == 172 and b & 0xf0 == 16) or (a == 100 and b & 0xc0 == 64))


def of_the_world(ip):
    if ip[:12] in (V4_MAPPED, bytes.fromhex("0064ff9b") + bytes(8)):
        return v4_of_the_world(ip[12], ip[13])
    if ip[:2] == b"\x20\x02":
        return v4_of_the_world(ip[2], ip[3])
    return not (ip[:12] == bytes(12) or ip[0] == 0xff or ip[0] & 0xfe == 0xfc
                or (ip[0] == 0xfe and ip[1] & 0x80))


def rule(kept, why, scope="link", code=None):
    if not kept:
        raise Refused(scope, code or CODES[scope], why)


class Reader:

    def __init__(self, raw, scope="link"):
        self.raw, self.scope = raw, scope

    def take(self, size):
        rule(size <= len(self.raw), "short", self.scope)
        out, self.raw = self.raw[:size], self.raw[size:]
        return out

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def end(self):
        rule(not self.raw, "long", self.scope)


def u8(x):
    return struct.pack(">B", x)


def u16(x):
    return struct.pack(">H", x)


def u32(x):
    return struct.pack(">I", x)


def u64(x):
    return struct.pack(">Q", x)


# ---- Section 4: the control stream ------------------------------------------------------------------


def frame(kind, body):
    assert len(body) <= BODY_BYTES_MAX
    return u8(kind) + u16(len(body)) + body


def read_frame(raw):
    """One whole frame; None for one that is ignored."""
    reader = Reader(raw)
    kind, length = reader.number(1), reader.number(2)
    rule(length <= BODY_BYTES_MAX, "length")
    body = reader.take(length)
    reader.end()
    if kind in BODIES:
        return kind, BODIES[kind](body)
    rule(kind >= 0x80, "unknown type")
    return None


def hello(version_min, version_max, known, place):
    return u16(version_min) + u16(version_max) + u32(known | place << 8)


def read_hello(body):
    reader = Reader(body)
    low, high, flags = reader.number(2), reader.number(2), reader.number(4)
    reader.end()
    rule(low <= high, "an empty range of versions")
    rule(low <= 1 <= high, "no common version")
    return {"versions": (low, high), "known": bool(flags & 1),
            "place": flags >> 8 & 255}


def read_number(size):
    def read(body):
        reader = Reader(body)
        out = reader.number(size)
        reader.end()
        return out
    return read


# ---- Section 8.1: descriptors -----------------------------------------------------------------------


def address(text, port):
    if ":" not in text:
        return bytes(10) + b"\xff\xff" + bytes(map(int, text.split("."))) + u16(port)
    left, _, right = text.partition("::")
    groups = [[int(x, 16) for x in side.split(":") if x] for side in (left, right)]
    whole = groups[0] + [0] * (8 - len(groups[0]) - len(groups[1])) + groups[1]
    return b"".join(map(u16, whole)) + u16(port)


def descriptor(key, published, expires, relay, capacity, versions, addresses, onion_keys):
    """addresses: 18 bytes each; onion_keys: (not before, not after, 1216 bytes)."""
    text = (u8(1) + key.public + u64(published) + u64(expires) + u32(relay) + u32(capacity)
            + u16(versions[0]) + u16(versions[1]) + u8(len(addresses)) + b"".join(addresses)
            + u8(len(onion_keys)))
    for not_before, not_after, public in onion_keys:
        text += u64(not_before) + u64(not_after) + public
    return text + key.sign(b"qudag/1 descriptor", text)


def rank(raw):
    """Of two descriptors of an id the one with the higher one stands."""
    published = int.from_bytes(raw[1953:1961], "big")
    return published << 24 | int.from_bytes(hashlib.sha256(raw).digest()[:3], "big")


def read_descriptor(raw, now=None):
    """The form; with `now` also the times and the signature, which only drop the descriptor."""
    rule(len(raw) <= DESCRIPTOR_BYTES_MAX, "too long")
    reader = Reader(raw)
    rule(reader.number(1) == 1, "another version", "frame", "drop")
    out = {"public": reader.take(1952), "published": reader.number(8), "expires": reader.number(8)}
    flags = reader.number(4)
    out["capacity"] = reader.number(4)
    out["versions"] = reader.number(2), reader.number(2)
    count = reader.number(1)
    rule(1 <= count <= 4, "number of addresses")
    out["addresses"] = [(reader.take(16), reader.number(2)) for _ in range(count)]
    count = reader.number(1)
    rule(1 <= count <= 2, "number of onion keys")
    out["onion_keys"] = [(reader.number(8), reader.number(8), reader.take(1216))
                         for _ in range(count)]
    signature = reader.take(3309)
    reader.end()
    rule(flags & ~1 == 0, "flags")
    out["relay"] = bool(flags)
    out["id"] = hashlib.sha256(out["public"]).digest()
    rule(out["published"] < out["expires"] <= out["published"] + 7 * DAY, "published and expires")
    rule(out["versions"][0] <= out["versions"][1], "versions")
    rule(all(port != 0 for _, port in out["addresses"]), "port 0")
    for v4 in (True, False):
        networks = {ip[12:14] if v4 else ip[:4] for ip, _ in out["addresses"]
                    if (ip[:12] == V4_MAPPED) == v4 and of_the_world(ip)}
        rule(len(networks) <= 1, "addresses in one network of each family")
    rule(all(a < b for a, b, _ in out["onion_keys"]), "validity of an onion key")
    if now is not None:
        rule(out["expires"] > now, "expired", "frame", "drop")
        rule(out["published"] <= now + 600, "published in the future", "frame", "drop")
        rule(mldsa.verify(out["public"], b"qudag/1 descriptor", raw[:-3309], signature),
             "signature")
    return out


# ---- Section 8.2: gossip ----------------------------------------------------------------------------


def nibbles(raw, depth):
    return raw.hex()[:depth]


def id_range(prefix):
    """Of the nibbles of `prefix`, a string of hexadecimal digits."""
    return bytes.fromhex(prefix.ljust(16, "0")) + u8(len(prefix))


def read_range(reader, most=DEPTH_MAX):
    raw, depth = reader.take(8), reader.number(1)
    rule(depth <= most, "too many nibbles")
    rule(int(raw.hex()[depth:] or "0", 16) == 0, "bits behind the nibbles")
    return nibbles(raw, depth)


def digest(prefix, entries):
    """entries: (id, rank)."""
    return id_range(prefix) + u16(len(entries)) + b"".join(i + u64(p) for i, p in entries)


def read_digest(body):
    reader = Reader(body)
    prefix, count = read_range(reader), reader.number(2)
    rule(count <= ENTRIES_MAX, "too many")
    entries = [(reader.take(32), reader.number(8)) for _ in range(count)]
    reader.end()
    rule(all(nibbles(i, len(prefix)) == prefix for i, _ in entries), "outside of the range")
    rule(all(a[0] < b[0] for a, b in zip(entries, entries[1:])), "not in order")
    return prefix, entries


def fingerprint(nonce, entries):
    text = nonce + b"".join(i + u64(p) for i, p in sorted(entries))
    return hashlib.sha256(text).digest()[:8]


def summary(prefix, nonce, entries):
    out = id_range(prefix) + nonce
    for part in "0123456789abcdef":
        of_part = [one for one in entries if nibbles(one[0], len(prefix) + 1) == prefix + part]
        out += u16(min(len(of_part), 65535)) + fingerprint(nonce, of_part)
    return out


def read_summary(body):
    reader = Reader(body)
    prefix, nonce = read_range(reader, DEPTH_MAX - 1), reader.take(8)
    parts = [(reader.number(2), reader.take(8)) for _ in range(PARTS)]
    reader.end()
    return prefix, nonce, parts


def ask(ranges):
    """ranges: (nibbles, whether its entries are asked for)."""
    out = u8(len(ranges))
    for prefix, entries in ranges:
        raw = id_range(prefix)
        out += raw[:8] + u8(raw[8] | (0x80 if entries else 0))
    return out


def read_ask(body):
    reader = Reader(body)
    count, out = reader.number(1), []
    rule(count <= ASKS_MAX, "too many")
    for _ in range(count):
        raw = reader.take(9)
        entries = bool(raw[8] & 0x80)
        prefix = read_range(Reader(raw[:8] + u8(raw[8] & 0x7f)), DEPTH_MAX if entries else DEPTH_MAX - 1)
        out.append((prefix, entries))
    reader.end()
    return out


def want(ids):
    return u16(len(ids)) + b"".join(ids)


def read_want(body):
    reader = Reader(body)
    count = reader.number(2)
    rule(count <= ENTRIES_MAX, "too many")
    ids = [reader.take(32) for _ in range(count)]
    reader.end()
    return ids


BODIES = {HELLO: read_hello, PING: read_number(8), PONG: read_number(8), GOODBYE: read_number(1),
          DIGEST: read_digest, WANT: read_want, DESCRIPTOR: read_descriptor,
          SUMMARY: read_summary, ASK: read_ask, LOAD: read_number(2), TIME: read_number(8)}

# ---- Section 7: the frames in a payload -------------------------------------------------------------

DATA, ACK, CREDIT, MESSAGE_PING, MESSAGE_PONG, CLOSE, CANCEL, SCOPE, HELD = range(1, 10)
OPEN, OPENED, BYTES, LIMIT, END, RESET, MOVE, MOVED = range(10, 18)
PIPE_AHEAD_MAX, PIPE_CODE_MAX, PIPE_LOST = 1 << 23, 10, 7
FIRST, LAST, SIGNED, REPLY, CHANNEL, RESUME = 1, 2, 4, 8, 16, 32
MESSAGE_BYTES_MAX, SIGNED_BYTES = 1 << 26, 1952 + 3309 + 4
STATUS_MAX = 8


def start(message_id, size, ttl, priority):
    return message_id + u32(size) + u8(ttl) + u8(priority)


def data(flags, ref, first, in_reply_to, payload):
    return u8(DATA) + u8(flags) + u32(ref) + first + in_reply_to + u16(len(payload)) + payload


def ack(ref, status):
    return u8(ACK) + u32(ref) + u8(status)


def credit(offset):
    return u8(CREDIT) + u64(offset)


def message_ping(token):
    return u8(MESSAGE_PING) + u64(token)


def message_pong(token):
    return u8(MESSAGE_PONG) + u64(token)


def close(reason):
    return u8(CLOSE) + u8(reason)


def cancel(ref):
    return u8(CANCEL) + u32(ref)


def scope(value):
    return u8(SCOPE) + value


def held(ref, offset):
    return u8(HELD) + u32(ref) + u32(offset)


def pipe(kind, number, *fields):
    """A frame of a pipe: integers with their sizes, or bytes."""
    out = u8(kind) + u32(number)
    for field in fields:
        out += field if isinstance(field, bytes) else field[0].to_bytes(field[1], "big")
    return out


def pipe_open(number, key, attempt, limit, name):
    return pipe(OPEN, number, key, (attempt, 4), (limit, 8), (len(name), 1), name)


def pipe_opened(number, status, limit):
    return pipe(OPENED, number, (status, 1), (limit, 8))


def pipe_bytes(number, body):
    return pipe(BYTES, number, (len(body), 2), body)


def pipe_limit(number, taken, limit):
    return pipe(LIMIT, number, (taken, 8), (limit, 8))


def pipe_end(number, sent):
    return pipe(END, number, (sent, 8))


def pipe_reset(number, code):
    return pipe(RESET, number, (code, 1))


def pipe_move(number, key, attempt, received, taken, limit):
    return pipe(MOVE, number, key, (attempt, 4), (received, 8), (taken, 8), (limit, 8))


def pipe_moved(number, status, received, taken, limit):
    return pipe(MOVED, number, (status, 1), (received, 8), (taken, 8), (limit, 8))


def window(taken, limit):
    rule(taken <= limit <= taken + PIPE_AHEAD_MAX, "limit", "circuit")
    return limit


def read_pipe(kind, reader):
    out = [kind, reader.number(4)]
    if kind in (OPEN, MOVE):
        out += [reader.take(16), reader.number(4)]
    if kind in (OPENED, RESET, MOVED):
        out.append(reader.number(1))
        rule(out[-1] <= PIPE_CODE_MAX, "code", "circuit")
        rule(kind != MOVED or out[-1] in (0, PIPE_LOST), "code", "circuit")
    if kind in (OPEN, OPENED):
        out.append(window(0, reader.number(8)))
    if kind == OPEN:
        out.append(reader.take(reader.number(1)))
        rule(1 <= len(out[-1]) <= 24, "name", "circuit")
        rule(all(c in b"abcdefghijklmnopqrstuvwxyz0123456789-" for c in out[-1]), "name", "circuit")
    if kind == BYTES:
        out.append(reader.take(reader.number(2)))
        rule(out[-1], "no bytes", "circuit")
    if kind == LIMIT:
        taken = reader.number(8)
        out += [taken, window(taken, reader.number(8))]
    if kind == END:
        out.append(reader.number(8))
    if kind in (MOVE, MOVED):
        received, taken = reader.number(8), reader.number(8)
        out += [received, taken, window(taken, reader.number(8))]
        rule(taken <= received <= out[-1], "received", "circuit")
    return tuple(out)


def write(frame):
    """The bytes of a frame as read_payload gives it."""
    kind, *fields = frame
    if kind == DATA:
        flags, ref, first, payload = fields
        head, reply = b"", b""
        if first:
            head = start(first["id"], first["size"], first["ttl"], first["priority"])
            reply = u32(first["in_reply_to"]) if flags & REPLY else b""
            reply += u16(first["channel"]) if flags & CHANNEL else b""
        return data(flags, ref, head, reply, payload)
    writers = {ACK: ack, CREDIT: credit, MESSAGE_PING: message_ping, MESSAGE_PONG: message_pong,
               CLOSE: close, CANCEL: cancel, SCOPE: scope, HELD: held,
               OPEN: pipe_open, OPENED: pipe_opened, BYTES: pipe_bytes, LIMIT: pipe_limit,
               END: pipe_end, RESET: pipe_reset, MOVE: pipe_move, MOVED: pipe_moved}
    return writers[kind](*fields)


def read_start(reader, flags):
    out = {"id": reader.take(16), "size": reader.number(4), "ttl": reader.number(1),
           "priority": reader.number(1)}
    rule(10 <= out["ttl"] <= 27, "ttl", "circuit")
    rule(out["priority"] <= 2, "priority", "circuit")
    least, most = 0, MESSAGE_BYTES_MAX
    if flags & SIGNED:
        least, most = SIGNED_BYTES, MESSAGE_BYTES_MAX + SIGNED_BYTES
    rule(least <= out["size"] <= most, "size", "circuit")
    if flags & REPLY:
        out["in_reply_to"] = reader.number(4)
    if flags & CHANNEL:
        out["channel"] = reader.number(2)
        rule(out["channel"] != 0, "channel", "circuit")
    return out


def read_data(reader):
    flags, ref = reader.number(1), reader.number(4)
    rule(flags < 64, "flags", "circuit")
    rule(flags & FIRST or not flags & (SIGNED | REPLY | CHANNEL | RESUME), "a flag without FIRST", "circuit")
    rule(not flags & REPLY or not flags & (SIGNED | CHANNEL | RESUME), "a flag with REPLY", "circuit")
    rule(not flags & RESUME or not flags & LAST, "LAST with RESUME", "circuit")
    first = read_start(reader, flags) if flags & FIRST else None
    payload = reader.take(reader.number(2))
    rule(not flags & RESUME or not payload, "bytes with RESUME", "circuit")
    if first:
        rule(len(payload) <= first["size"], "more than size", "circuit")
        rule(bool(flags & LAST) == (len(payload) == first["size"]), "LAST", "circuit")
    return flags, ref, first, payload


def read_payload(raw):
    """The frames before the padding: tuples that begin with the type."""
    reader, out = Reader(raw, "circuit"), []
    while reader.raw:
        kind = reader.number(1)
        if kind == 0:
            break
        rule(kind <= MOVED, "unknown type", "circuit")
        if kind == DATA:
            out.append((DATA, *read_data(reader)))
        elif kind == ACK:
            ref, status = reader.number(4), reader.number(1)
            rule(status <= STATUS_MAX, "status", "circuit")
            out.append((ACK, ref, status))
        elif kind == SCOPE:
            out.append((SCOPE, reader.take(16)))
        elif kind == HELD:
            out.append((HELD, reader.number(4), reader.number(4)))
        elif kind >= OPEN:
            out.append(read_pipe(kind, reader))
        else:
            out.append((kind, reader.number({CLOSE: 1, CANCEL: 4}.get(kind, 8))))
    return out


def signed_text(destination, message_id, minute, ttl, priority, payload):
    return (destination + message_id + u32(minute) + u8(ttl) + u8(priority) + u32(len(payload))
            + hashlib.sha256(payload).digest())


def signed_message(key, destination, message_id, minute, ttl, priority, payload):
    text = signed_text(destination, message_id, minute, ttl, priority, payload)
    return key.public + key.sign(b"qudag/1 message", text) + u32(minute) + payload


def read_signed(raw, destination, first):
    """Who sent it, when, and what; a wrong signature is answered with status 6."""
    public, signature, payload = raw[:1952], raw[1952:5261], raw[SIGNED_BYTES:]
    minute = int.from_bytes(raw[5261:SIGNED_BYTES], "big")
    text = signed_text(destination, first["id"], minute, first["ttl"], first["priority"], payload)
    rule(mldsa.verify(public, b"qudag/1 message", text, signature), "signature", "message", 6)
    return hashlib.sha256(public).digest(), minute, payload
