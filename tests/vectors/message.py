#!/usr/bin/env python3
"""Messages of docs/reference/protocol.md, section 7, a second time: frames, the keys that a destination
remembers, and signed messages. Makes and checks message_frames.txt and signed_message.txt.

Written from the protocol text with Python's standard library (ML-DSA is mldsa.py beside it); it
shares nothing with src/.

    python3 tests/vectors/message.py            compares with the files, exit code 1 if different
    python3 tests/vectors/message.py --write    makes the files
"""
import hashlib
import pathlib
import struct
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

import mldsa

HERE = pathlib.Path(__file__).resolve().parent
FIRST, LAST, SIGNED, REPLY, CHANNEL, RESUME = 1, 2, 4, 8, 16, 32
CONTEXT = b"qudag/1 message"
CLOCKS_APART = 300


def chosen(text, size):
    return hashlib.shake_256(b"qudag/1 vector: message " + text.encode()).digest(size)


def data(flags, ref, body, start=b"", in_reply_to=None, channel=0):
    reply = b"" if in_reply_to is None else struct.pack(">I", in_reply_to)
    reply += struct.pack(">H", channel) if channel else b""
    return struct.pack(">BBI", 1, flags, ref) + start + reply + struct.pack(">H", len(body)) + body


def start(message_id, size, ttl, priority):
    return message_id + struct.pack(">IBB", size, ttl, priority)


def exponent(ttl_ms):
    """Of the power of two that a time to live is rounded up to."""
    return min(max((ttl_ms - 1).bit_length(), 10), 27)


def frame_vectors():
    scope, message_id, text = chosen("scope", 16), chosen("id", 16), b"hello"
    whole = start(message_id, len(text), exponent(60_000), 1)
    frames = {
        "scope_frame": b"\x08" + scope,
        "data_whole": data(FIRST | LAST, 7, text, whole),
        "data_first": data(FIRST, 8, text[:2], start(message_id, 5, exponent(1), 2)),
        "data_last": data(LAST, 8, text[2:]),
        "data_reply": data(FIRST | LAST | REPLY, 9, text, whole, 3),
        "data_channel": data(FIRST | LAST | CHANNEL, 10, text, whole, channel=0x1234),
        "ack": struct.pack(">BIB", 2, 7, 8),
        "credit": struct.pack(">BQ", 3, 4_194_304 + 1),
        "ping": struct.pack(">BQ", 4, 0x1122334455667788),
        "pong": struct.pack(">BQ", 5, 0x1122334455667788),
        "close": b"\x06\x05",
        "cancel": struct.pack(">BI", 7, 8),
        "data_resume": data(FIRST | RESUME, 11, b"", start(message_id, 5, exponent(1), 2)),
        "held": struct.pack(">BII", 9, 11, 3),
    }
    payload = b"".join(frames.values())
    ttls = (1, 1_024, 1_025, 60_000, 86_400_000)
    return {"scope": scope, "message_id": message_id, "text": text, **frames,
            "payload": payload.ljust(928, b"\0"),
            "ttl_ms": b"".join(struct.pack(">I", t) for t in ttls),
            "ttl_on_the_wire": bytes(exponent(t) for t in ttls)}


def signed_text(destination, message_id, minute, ttl, priority, payload, channel=0):
    return (destination + message_id + struct.pack(">IBBI", minute, ttl, priority, len(payload))
            + hashlib.sha256(payload).digest() + (struct.pack(">H", channel) if channel else b""))


def of_now(minute, ttl, unix):
    end = 60 * (minute + 1) + (2**ttl + 999) // 1000 + CLOCKS_APART
    return 60 * minute <= unix + CLOCKS_APART and unix < end


def signed_vectors():
    seed, destination, message_id = (chosen(name, size) for name, size in
                                     [("signer", 32), ("destination", 32), ("signed id", 16)])
    payload, minute, ttl, priority = chosen("payload", 100), 1_800_000_000 // 60, 16, 1
    key = mldsa.Key(seed)
    text = signed_text(destination, message_id, minute, ttl, priority, payload)
    signature = key.sign(CONTEXT, text)
    assert mldsa.verify(key.public, CONTEXT, text, signature)
    assert not mldsa.verify(key.public, CONTEXT, text + b"\0", signature)
    signer = hashlib.sha256(key.public).digest()
    first = next(t for t in range(60 * minute - 1000, 60 * minute + 1000) if of_now(minute, ttl, t))
    last = next(t for t in range(60 * minute + 1000, first, -1) if of_now(minute, ttl, t))
    return {"seed": seed, "signer": signer, "destination": destination, "message_id": message_id,
            "minute": struct.pack(">I", minute), "ttl": bytes([ttl]), "priority": bytes([priority]),
            "payload": payload, "text": text,
            "message": key.public + signature + struct.pack(">I", minute) + payload,
            "channel": b"\x12\x34",
            "text_for_channel": signed_text(destination, message_id, minute, ttl, priority, payload, 0x1234),
            "remembered_as": hashlib.sha256(signer + message_id).digest()[:16],
            "first_second": struct.pack(">Q", first), "last_second": struct.pack(">Q", last)}


def main():
    files = {"message_frames.txt": frame_vectors(), "signed_message.txt": signed_vectors()}
    different = 0
    for name, vectors in files.items():
        text = "# made by message.py\n" + "".join(f"{k} = {v.hex()}\n" for k, v in vectors.items())
        path = HERE / name
        if "--write" in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{name} differs")
            different = 1
    return different


if __name__ == "__main__":
    sys.exit(main())
