#!/usr/bin/env python3
"""Hail, answer and tunnel of docs/reference/protocol.md, 14.3, the letter of 14.6, and the frames
of 14.2, a second time. Makes and checks tests/vectors/tunnel.txt and keeper_frames.txt, and card.txt
of card.py.

Written from the protocol text; ciphers and KEM are those of reference.py and kem.py beside it. It
shares nothing with src/.

    python3 tests/vectors/tunnel.py            compares with the files, exit code 1 if different
    python3 tests/vectors/tunnel.py --write    makes the files
"""
import hashlib
import pathlib
import struct
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

from card import card_vectors
from kem import expand, extract
from reference import kem_encapsulate, kem_keypair, nonce, seal

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1800000007
PAYLOAD, EPOCH = 928, 65536


def chosen(text, size):
    return hashlib.shake_256(b"qudag/1 vector: tunnel " + text.encode()).digest(size)


def advanced(chain, epochs):
    for _ in range(epochs):
        chain = expand(chain, b"next", 32)
    return chain


def payload(chain, c, first):
    key = expand(advanced(chain, c // EPOCH), b"key", 32)
    text = bytes((c + first + 7 * k) & 255 for k in range(PAYLOAD - 17))
    sealed, tag = seal(key, nonce(c % EPOCH), text)
    return b"\0" + tag + sealed


def tunnel_vectors():
    seeds = {name: chosen(name, size) for name, size in [
        ("inbox_seed", 96), ("ephemeral_seed", 96), ("first_seed", 64), ("second_seed", 64)]}
    receiver, keeper, owner = (chosen(name, 32) for name in ["receiver", "keeper", "owner"])
    inbox = hashlib.sha256(b"qudag/1 inbox id" + keeper + owner).digest()
    inbox_key, ephemeral = kem_keypair(seeds["inbox_seed"]), kem_keypair(seeds["ephemeral_seed"])
    ct_a, ss_a = kem_encapsulate(inbox_key, seeds["first_seed"])
    ct_b, ss_b = kem_encapsulate(ephemeral, seeds["second_seed"])
    frames = chosen("frames", 500)

    ctx = receiver + inbox
    prk_a = extract(b"qudag/1 hail", ss_a)
    hail_key, answer_key = expand(prk_a, b"hail" + ctx, 32), expand(prk_a, b"answer" + ctx, 32)
    expiry = -(-(NOW + 300) // 60)
    text = struct.pack(">BBBBIQ", 1, 1, 0, 0, expiry, 1799999000) + ephemeral
    text += frames + bytes(3600 - len(text) - len(frames))
    sealed, tag = seal(hail_key, nonce(0), text)
    hail = ct_a + tag + sealed
    sealed, tag = seal(answer_key, nonce(0),
                       ct_b + struct.pack(">BBHQI", 0, 1, 0, 1800000000, 0))
    answer = tag + sealed
    assert len(hail) == 4736 and len(answer) == 1152
    h = hashlib.sha256(b"qudag/1 tunnel" + ctx + inbox_key + hail + ct_b).digest()
    prk_b = extract(h, ss_b + ss_a)
    forward, backward = expand(prk_b, b"forward chain", 32), expand(prk_b, b"backward chain", 32)
    out = [*seeds.items(), ("receiver", receiver), ("keeper", keeper), ("owner", owner),
           ("inbox", inbox), ("frames", frames), ("hail", hail), ("answer", answer)]
    for c in [0, 1, EPOCH - 1, EPOCH]:
        out += [(f"forward_{c}", payload(forward, c, 0)),
                (f"backward_{c}", payload(backward, c, 100))]
    return out + letter_vectors(ctx, ct_a, ss_a)


def letter_vectors(ctx, ct, ss):
    """A letter of 16,384 bytes: the whole is named by its hash."""
    key = expand(extract(b"qudag/1 hail", ss), b"letter" + ctx, 32)
    text = struct.pack(">BBBBIQ", 1, 2, 0, 0, -(-(NOW + 300) // 60), 0)
    text += chosen("letter frames", 16384 - 1120 - 16 - len(text))
    sealed, tag = seal(key, nonce(0), text)
    letter = ct + tag + sealed
    assert len(letter) == 16384
    return [("letter_frames", text[16:]), ("letter_id", hashlib.sha256(ct).digest()[:16]),
            ("letter_tag", tag), ("letter_sha256", hashlib.sha256(letter).digest())]


def frame(kind, body):
    return struct.pack(">BH", kind, len(body)) + body


def frame_vectors():
    owner, binding, inbox = chosen("owner", 32), chosen("binding", 16), chosen("inbox", 32)
    hail, answer = chosen("hail", 4736), chosen("answer", 1152)
    entries = struct.pack(">32sHIHHH", owner, 128, 8 << 20, 10, 50, 64)
    entries += struct.pack(">32sHIHHH", binding + binding, 0, 0, 1, 2, 3)
    good = [
        ("register", frame(1, b"\2" + entries)),
        ("registered", frame(2, b"\0" + binding + struct.pack(">BIB", 16, 86400, 2)
                             + b"\0\0\5" + b"\1\0\0")),
        ("revoke", frame(3, owner + b"\1")),
        ("standby", frame(4, binding)),
        ("knock", frame(5, b"\3\1")),
        ("join", frame(6, inbox + b"\1" + struct.pack(">I", 7) + chosen("nonce", 16) + hail)),
        ("offer", frame(7, inbox + struct.pack(">I", 7) + hail)),
        ("accept", frame(8, answer)),
        ("decline", frame(9, b"\4")),
        ("joined", frame(10, answer)),
        ("no", frame(11, b"\4" + struct.pack(">H", 30) + chosen("seed", 32)
                     + struct.pack(">I", 4096))),
        ("part", frame(12, b"\1")),
        ("put", frame(32, inbox + struct.pack(">II", 30000000, 0) + chosen("nonce", 16)
                      + chosen("blob", 8192))),
        ("get", frame(33, inbox)),
        ("card", frame(34, b"\0\1" + chosen("blob", 8192))),
        ("card_none", frame(34, b"\0\0")),
        ("kept", frame(35, b"\2")),
        ("deposit", frame(16, inbox + binding + struct.pack(">II", 65536, 3)
                          + chosen("nonce", 16))),
        ("piece", frame(17, chosen("piece", 300))),
        ("piece_longest", frame(17, chosen("piece", 8192))),
        ("stored", frame(18, binding + b"\4")),
        ("letter", frame(19, inbox + struct.pack(">Q", 77) + binding + struct.pack(">I", 4736))),
        ("taken", frame(20, struct.pack(">HQQ", 2, 77, 1 << 40))),
        ("fetch", frame(21, struct.pack(">I", 262144))),
        ("ping", frame(48, struct.pack(">Q", 0x1122334455667788))),
        ("pong", frame(49, struct.pack(">Q", 0x1122334455667788))),
    ]
    bad = [
        ("bad_type_13", frame(13, b"")),
        ("bad_type_22", frame(22, bytes(4))),
        ("bad_deposit_size", frame(16, inbox + binding + struct.pack(">II", 65535, 3) + bytes(16))),
        ("bad_deposit_of_a_hail", frame(16, inbox + binding + struct.pack(">II", 4736, 3)
                                        + bytes(16))),
        ("bad_piece_none", frame(17, b"")),
        ("bad_piece_long", frame(17, bytes(8193))),
        ("bad_stored_status", frame(18, binding + b"\5")),
        ("bad_letter_size", frame(19, inbox + bytes(24) + struct.pack(">I", 4737))),
        ("bad_taken_none", frame(20, b"\0\0" + bytes(8))),
        ("bad_taken_short", frame(20, struct.pack(">HQ", 2, 77))),
        ("bad_taken_many", frame(20, struct.pack(">H", 65) + bytes(65 * 8))),
        ("bad_fetch_short", frame(21, bytes(3))),
        ("bad_register_none", frame(1, b"\0" + entries[:44])),
        ("bad_register_short", frame(1, b"\2" + entries[:44])),
        ("bad_register_many", frame(1, b"\x41" + bytes(65 * 44))),
        ("bad_registered_status", frame(2, b"\3" + bytes(22))),
        ("bad_revoke_flag", frame(3, owner + b"\2")),
        ("bad_standby_long", frame(4, bytes(17))),
        ("bad_join_flags", frame(6, inbox + b"\2" + bytes(20) + hail)),
        ("bad_join_short", frame(6, bytes(4788))),
        ("bad_no_reason_0", frame(11, bytes(39))),
        ("bad_no_reason_11", frame(11, b"\x0b" + bytes(38))),
        ("bad_part_reason", frame(12, b"\4")),
        ("bad_put_short", frame(32, bytes(8247))),
        ("bad_get_long", frame(33, bytes(33))),
        ("bad_card_cut", frame(34, b"\0\1" + bytes(8191))),
        ("bad_card_none_of_it", frame(34, b"\0\0" + bytes(8192))),
        ("bad_card_index", frame(34, b"\1\1" + bytes(8192))),
        ("bad_card_number", frame(34, b"\1\0")),
        ("bad_kept_status", frame(35, b"\3")),
        ("bad_padding_alone", bytes(20)),
        ("bad_behind_padding", frame(12, b"\0") + bytes(5) + b"\1"),
    ]
    return good + bad


def main():
    different = False
    for name, values in {"tunnel.txt": tunnel_vectors(), "card.txt": card_vectors(),
                         "keeper_frames.txt": frame_vectors()}.items():
        text = ("# docs/reference/protocol.md, section 14. Made by tests/vectors/tunnel.py; "
                "see README.md.\n")
        text += "".join(f"{key} = {value.hex()}\n" for key, value in values)
        path = HERE / name
        if "--write" in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{name} differs from what this implementation computes")
            different = True
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
