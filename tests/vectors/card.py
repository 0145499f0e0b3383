"""Card, blob, spot and invitation of docs/reference/protocol.md, 14.5, a second time, written from
the protocol text. tunnel.py makes and checks tests/vectors/card.txt with them.
"""
import base64
import hashlib
import struct

from kem import expand, extract
from mldsa import Key
from reference import kem_keypair, nonce, seal

PUBLISHED, EXPIRES = 1800000000, 1800691200


def chosen(text, size):
    return hashlib.shake_256(b"qudag/1 vector: card " + text.encode()).digest(size)


def card_vectors():
    seed, pin, salt = chosen("seed", 32), chosen("pin", 16), chosen("salt", 16)
    receiver = Key(seed)
    name = hashlib.sha256(receiver.public).digest()
    places = b"".join(chosen(f"keeper {i}", 32) + chosen(f"inbox {i}", 32) for i in range(2))
    keys = struct.pack(">QQ", PUBLISHED, PUBLISHED + 172800) + kem_keypair(chosen("key", 96))
    body = b"\1" + receiver.public + struct.pack(">QQII", PUBLISHED, EXPIRES, 2, 0)
    body += b"\2" + places + b"\1" + keys
    card = body + receiver.sign(b"qudag/1 card", body)
    spot = hashlib.sha256(b"qudag/1 card here" + places[32:64]).digest()
    key = expand(extract(b"qudag/1 card", name + pin), b"key" + spot + salt, 32)
    sealed, tag = seal(key, nonce(0), card + bytes(8160 - len(card)))
    invitation = name + pin + b"\2" + places
    whole = invitation + hashlib.sha256(b"qudag/1 invitation" + invitation).digest()[:4]
    text = b"qudag1:" + base64.b32encode(whole).rstrip(b"=").lower()
    return [("receiver", name), ("pin", pin), ("salt", salt), ("inbox", places[32:64]),
            ("inbox_key", keys[16:]), ("card", card), ("spot", spot), ("blob", salt + tag + sealed),
            ("invitation", invitation), ("text", text)]
