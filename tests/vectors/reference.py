#!/usr/bin/env python3
"""The onion layer of docs/reference/protocol.md, sections 1, 5 and 6, a second time: key schedule, build
message, reply and cells. Makes and checks tests/vectors/onion_*.txt.

Written from the protocol text, SP 800-38D and FIPS 197 with Python's standard library only (the
KEM is kem.py beside it); it shares nothing with src/. Not constant time, and slow.

    python3 tests/vectors/reference.py            compares with the files, exit code 1 if different
    python3 tests/vectors/reference.py --write    makes the files
"""
import functools
import hashlib
import pathlib
import struct
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

import kem
from kem import expand, extract

HERE = pathlib.Path(__file__).resolve().parent

# ---- AES-256 (FIPS 197), encryption only ------------------------------------------------------------


def xtime(a):
    return (a << 1 ^ (0x1b if a & 0x80 else 0)) & 0xff


def make_sbox():
    sbox, p, q = [0x63] * 256, 1, 1
    while True:
        p ^= xtime(p)  # p runs through the powers of 3, q through their inverses
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xff
        if q & 0x80:
            q ^= 0x09
        rotated = [(q << r | q >> (8 - r)) & 0xff for r in range(5)]
        sbox[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            return sbox


SBOX = make_sbox()


def rotate(word, bits):
    return (word >> bits | word << (32 - bits)) & 0xffffffff


# SubBytes and MixColumns of a byte in each of the four rows.
MIX = [xtime(s) << 24 | s << 16 | s << 8 | xtime(s) ^ s for s in SBOX]
MIX1, MIX2, MIX3 = ([rotate(word, bits) for word in MIX] for bits in (8, 16, 24))


def sub_word(word):
    return (SBOX[word >> 24] << 24 | SBOX[word >> 16 & 255] << 16 | SBOX[word >> 8 & 255] << 8
            | SBOX[word & 255])


class Aes256:

    def __init__(self, key):
        assert len(key) == 32
        w = [int.from_bytes(key[i:i + 4], "big") for i in range(0, 32, 4)]
        constant = 1
        while len(w) < 60:
            t = w[-1]
            if len(w) % 8 == 0:
                t = sub_word(rotate(t, 24)) ^ constant << 24
                constant = xtime(constant)
            elif len(w) % 8 == 4:
                t = sub_word(t)
            w.append(w[-8] ^ t)
        self.w = w

    def block(self, data):
        s = [int.from_bytes(data[4 * i:4 * i + 4], "big") ^ self.w[i] for i in range(4)]
        a, b, c, d = s
        w = self.w
        for r in range(4, 56, 4):
            a, b, c, d = (
                MIX[a >> 24] ^ MIX1[b >> 16 & 255] ^ MIX2[c >> 8 & 255] ^ MIX3[d & 255] ^ w[r],
                MIX[b >> 24] ^ MIX1[c >> 16 & 255] ^ MIX2[d >> 8 & 255] ^ MIX3[a & 255] ^ w[r + 1],
                MIX[c >> 24] ^ MIX1[d >> 16 & 255] ^ MIX2[a >> 8 & 255] ^ MIX3[b & 255] ^ w[r + 2],
                MIX[d >> 24] ^ MIX1[a >> 16 & 255] ^ MIX2[b >> 8 & 255] ^ MIX3[c & 255] ^ w[r + 3])
        s = [a, b, c, d]
        out = b""
        for i in range(4):
            word = (s[i] & 0xff000000 | s[(i + 1) % 4] & 0xff0000 | s[(i + 2) % 4] & 0xff00
                    | s[(i + 3) % 4] & 0xff)
            out += (sub_word(word) ^ self.w[56 + i]).to_bytes(4, "big")
        return out


# ---- Section 1: Seal, Keystream, Stream, Nonce ------------------------------------------------------


def xor(a, b):
    assert len(a) == len(b)
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def nonce(c):
    return bytes(4) + c.to_bytes(8, "big")


@functools.lru_cache(maxsize=256)  # what was sealed is opened next
def keystream(key, n, at, size):
    aes = Aes256(key)
    first, last = at // 16, (at + size + 15) // 16
    out = b"".join(aes.block(n + (2 + k).to_bytes(4, "big")) for k in range(first, last))
    return out[at - 16 * first:][:size]


def stream(key, at, size):
    aes = Aes256(key)
    first, last = at // 16, (at + size + 15) // 16
    out = b"".join(aes.block(k.to_bytes(16, "big")) for k in range(first, last))
    return out[at - 16 * first:][:size]


@functools.lru_cache(maxsize=64)
def gf_tables(h):
    """SP 800-38D, 6.3: the product of h and each value of each of the 16 bytes of a block."""
    tables = []
    for _ in range(16):
        table = [0] * 256
        for bit in range(7, -1, -1):  # the first bit of a byte is that of the lowest power
            table[1 << bit] = h
            h = h >> 1 ^ (0xe1 << 120 if h & 1 else 0)
        for value in range(1, 256):
            low = value & -value
            table[value] = table[value ^ low] ^ table[low]
        tables.append(table)
    return tables


def tag_of(key, n, ciphertext):
    aes = Aes256(key)
    tables = gf_tables(int.from_bytes(aes.block(bytes(16)), "big"))
    y = 0
    lengths = (8 * len(ciphertext)).to_bytes(16, "big")
    padded = ciphertext + bytes(-len(ciphertext) % 16) + lengths
    for at in range(0, len(padded), 16):
        y ^= int.from_bytes(padded[at:at + 16], "big")
        product = 0
        for table, byte in zip(tables, y.to_bytes(16, "big")):
            product ^= table[byte]
        y = product
    return xor(y.to_bytes(16, "big"), aes.block(n + b"\0\0\0\1"))


def chacha_block(key, counter, n):  # RFC 8439, 2.3
    def quarter(a, b, c, d):
        for x, y, z, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            state[x] = state[x] + state[y] & 0xffffffff
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> 32 - turn) & 0xffffffff

    first = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + n))
    state = list(first)
    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((x + y) & 0xffffffff for x, y in zip(state, first)))


@functools.lru_cache(maxsize=256)
def chacha_keystream(key, n, at, size):
    first, last = at // 64, (at + size + 63) // 64
    out = b"".join(chacha_block(key, 1 + k, n) for k in range(first, last))
    return out[at - 64 * first:][:size]


def poly1305(one_time, text):  # RFC 8439, 2.5
    r = int.from_bytes(one_time[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    y = 0
    for at in range(0, len(text), 16):
        y = (y + int.from_bytes(text[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (y + int.from_bytes(one_time[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def poly1305_tag(key, n, ciphertext):  # RFC 8439, 2.8, without associated data
    return poly1305(chacha_block(key, 0, n)[:32], ciphertext + bytes(-len(ciphertext) % 16) +
                    struct.pack("<QQ", 0, len(ciphertext)))


def keystream_of(suite):
    return chacha_keystream if suite else keystream


def seal(key, n, text, suite=0):
    ciphertext = xor(text, keystream_of(suite)(key, n, 0, len(text)))
    return ciphertext, (poly1305_tag if suite else tag_of)(key, n, ciphertext)


def open_(key, n, ciphertext, tag, suite=0):
    assert (poly1305_tag if suite else tag_of)(key, n, ciphertext) == tag, "tag"
    return xor(ciphertext, keystream_of(suite)(key, n, 0, len(ciphertext)))


# ---- Section 5.4: known tails -----------------------------------------------------------------------


def forward_text_tail(keys, n, t, d, fillers, suites=(0,) * 8):
    """What the innermost text ends with."""
    phi = b""
    for i, key in enumerate(keys):
        phi = xor(phi, keystream_of(suites[i])(key, n, t - d * i, d * i))
        if i + 1 < len(keys):
            phi += fillers[i]
    return phi


def backward_dropped(keys, n, t, d, suites=(0,) * 8):
    """dropped[j]: what hop j drops (0 is the first hop), of hop j + 1's unit."""
    tail, dropped = bytes(d * (len(keys) - 1)), {}
    for j in range(len(keys) - 1, 0, -1):
        tail = xor(tail[:d * j], keystream_of(suites[j])(keys[j], n, t - d * j, d * j))
        dropped[j - 1] = tail[-d:]
    return dropped


# ---- Vectors ----------------------------------------------------------------------------------------


def chosen(text, size):
    return hashlib.shake_256(b"qudag/1 vector: onion " + text.encode()).digest(size)


def kem_keypair(seed):
    return kem.x25519(seed[:32], kem.BASE) + kem.mlkem_keygen(seed[32:64], seed[64:])


def kem_encapsulate(public_key, seed):
    mlkem_ct, mlkem_ss = kem.mlkem_encapsulate(public_key[32:], seed[32:])
    ciphertext = kem.x25519(seed[:32], kem.BASE) + mlkem_ct
    return ciphertext, kem.combine(mlkem_ss, kem.x25519(seed[:32], public_key[:32]), ciphertext,
                                   public_key)


def chains(hop):
    h = hashlib.sha256(b"qudag/1 circuit" + hop["id"] + hop["onion_public"] + hop["kem_ct"]
                       + hop["record"] + hop["ct2"]).digest()
    prk2 = extract(h, hop["ss2"] + hop["ss1"])
    return expand(prk2, b"forward chain", 32), expand(prk2, b"backward chain", 32)


HOPS, NOW, PRIORITY = 3, 1800000007, 1


def draw_hop(name):
    """A hop's identity, keys and public-key work, from seeds."""
    hop = {what: chosen(f"{name} {what}", size) for what, size in [
        ("id", 32), ("onion_seed", 96), ("first_seed", 64), ("ephemeral_seed", 96),
        ("second_seed", 64)]}
    hop["onion_public"] = kem_keypair(hop["onion_seed"])
    hop["ephemeral_public"] = kem_keypair(hop["ephemeral_seed"])
    hop["kem_ct"], hop["ss1"] = kem_encapsulate(hop["onion_public"], hop["first_seed"])
    hop["ct2"], hop["ss2"] = kem_encapsulate(hop["ephemeral_public"], hop["second_seed"])
    prk1 = extract(b"qudag/1 build", hop["ss1"])
    for what in ["build key", "build filler", "reply key"]:
        hop[what.replace(" ", "_")] = expand(prk1, what.encode(), 32)
    return hop


def join_hops(hops, rider=False):
    """The hops on a route in this order: records and traffic keys."""
    route = [dict(hop) for hop in hops]
    for i, hop in enumerate(route):
        end = i + 1 == len(route)
        expiry = -(-(NOW + 300) // 60)
        hop["record"] = (bytes([1, 2 if end else 1, PRIORITY, 0]) + expiry.to_bytes(4, "big")
                         + (bytes(32) if end else route[i + 1]["id"]) + hop["ephemeral_public"]
                         + bytes([1 if end and rider else 0]) + bytes(7))
        hop["forward_chain"], hop["backward_chain"] = chains(hop)
    return route


def make_hops():
    return join_hops([draw_hop(f"hop {i}") for i in range(HOPS)])


def key_vectors(hops):
    hop = hops[1]
    names = ["id", "onion_public", "kem_ct", "record", "ct2", "ss1", "ss2", "build_key",
             "build_filler", "reply_key", "forward_chain", "backward_chain"]
    out = [(name, hop[name]) for name in names]
    chain = hop["forward_chain"]
    for epoch in range(3):
        out.append((f"forward_key_{epoch}", expand(chain, b"key", 32)))
        out.append((f"filler_key_{epoch}", expand(chain, b"filler", 32)))
        chain = expand(chain, b"next", 32)
    return out


def build_units(hops, padding_key, rider=b""):
    """What each hop receives: sealed as the source does it, then opened as the hops do it."""
    n0, u, d, header = nonce(0), 14400, 2400, 1136
    keys = [hop["build_key"] for hop in hops]
    fillers = [stream(hop["build_filler"], 0, d) for hop in hops]
    tail = forward_text_tail(keys, n0, u - header, d, fillers)
    rest = rider + stream(padding_key, 0, u - d - len(tail) - len(rider)) + tail
    for hop in reversed(hops):
        x, tag = seal(hop["build_key"], n0, hop["record"] + rest)
        unit = hop["kem_ct"] + tag + x
        rest = unit[:u - d]
    units = []
    for hop, filler in zip(hops, fillers):
        assert len(unit) == u and unit[:1120] == hop["kem_ct"]
        units.append(unit)
        text = open_(hop["build_key"], n0, unit[header:], unit[1120:header])
        assert text[:1264] == hop["record"]
        unit = text[1264:] + filler
    assert unit[:len(rider)] == rider
    return units


def reply_units(hops, last, status):
    """What hops 0 to `last` send when hop `last` answers with that status."""
    u, d = 6912, 1152
    units, rest = [], bytes(u - d)
    for i in range(last, -1, -1):
        times = struct.pack(">HH", 1000 + i, 0 if i == last else 2000 + i)
        record = hops[i]["ct2"] + bytes([status if i == last else 0]) + times + bytes(11)
        y, tag = seal(hops[i]["reply_key"], nonce(0), record + rest)
        units.insert(0, tag + y)
        rest = units[0][:u - d]
    return units


def open_reply(hops, reply):
    """As the source does it: the hop that answered, and its status."""
    u, d = 6912, 1152
    for last in [len(hops) - 1, *range(len(hops) - 1)]:
        keys = [hop["reply_key"] for hop in hops[:last + 1]]
        dropped = backward_dropped(keys, nonce(0), u - 16, d)
        unit = reply
        for i, hop in enumerate(hops[:last + 1]):
            try:
                text = open_(hop["reply_key"], nonce(0), unit[16:], unit[:16])
            except AssertionError:
                assert i > 0, "layer 1 verifies in any case"
                break
            assert text[:1120] == hop["ct2"] and text[1125:1136] == bytes(11)
            if text[1120] != 0 or i + 1 == len(hops):
                return i, text[1120]
            unit = text[1136:] + dropped.get(i, b"")
    raise AssertionError("no tail fits")


def build_vectors(hops):
    padding_key = chosen("build padding key", 32)
    builds = build_units(hops, padding_key)
    replies = reply_units(hops, HOPS - 1, 0)
    assert open_reply(hops, replies[0]) == (HOPS - 1, 0)

    out = [("now", NOW.to_bytes(8, "big")), ("priority", bytes([PRIORITY])), ("padding_key", padding_key)]
    for i, hop in enumerate(hops):
        for name in ["id", "onion_seed", "first_seed", "ephemeral_seed", "second_seed",
                     "forward_chain", "backward_chain"]:
            out.append((f"hop_{i}_{name}", hop[name]))
    out.append(("build_0", builds[0]))
    out.append(("reply_0", replies[0]))
    for i in range(HOPS):
        out.append((f"build_{i}_sha256", hashlib.sha256(builds[i]).digest()))
        out.append((f"reply_{i}_sha256", hashlib.sha256(replies[i]).digest()))
    return out


def payload(c, size):
    return bytes((c + 7 * k) & 255 for k in range(size))


CELLS = [(1024, 0), (1024, 1), (1024, 65535), (1024, 65536), (8192, 0), (8192, 1)]


def forward_cells(keys, fillers, u, c, reserve_key, suites):
    """Cell c on every link: sealed from the destination outwards, then the way of the hops."""
    n = nonce(c % 65536)
    tail = forward_text_tail(keys, n, u - 16, 16, fillers, suites)
    text = payload(c, u - 96) + stream(reserve_key, 80 * c, 80 - len(tail)) + tail
    assert len(text) == u - 16
    for key, suite in reversed(list(zip(keys, suites))):
        x, tag = seal(key, n, text, suite)
        unit = tag + x
        text = unit[:u - 16]
    cells = []
    for key, filler, suite in zip(keys, fillers, suites):
        cells.append(unit)
        text = open_(key, n, unit[16:], unit[:16], suite)
        unit = text + filler
    assert text[:u - 96] == payload(c, u - 96)
    return cells


def backward_cells(keys, u, c, suites):
    """The hops seal, the source opens."""
    n = nonce(c % 65536)
    answers = []
    text = payload(c + 100, u - 96) + bytes(80)
    for key, suite in reversed(list(zip(keys, suites))):
        y, tag = seal(key, n, text, suite)
        answers.insert(0, tag + y)
        text = answers[0][:u - 16]
    dropped = backward_dropped(keys, n, u - 16, 16, suites)
    unit = answers[0]
    for i, key in enumerate(keys):
        assert unit == answers[i]
        text = open_(key, n, unit[16:], unit[:16], suites[i])
        unit = text + dropped.get(i, b"")
    assert text == payload(c + 100, u - 96) + bytes(80)
    return answers


def cell_vectors(suites):
    """Of a route whose hops have these suites; 0 AES-256-GCM, 1 ChaCha20-Poly1305."""
    reserve_key = chosen("cell reserve key", 32)
    forward = [chosen(f"cell hop {i} forward chain", 32) for i in range(HOPS)]
    backward = [chosen(f"cell hop {i} backward chain", 32) for i in range(HOPS)]
    out = [("reserve_key", reserve_key)]
    for i in range(HOPS):
        out += [(f"hop_{i}_forward_chain", forward[i]), (f"hop_{i}_backward_chain", backward[i])]

    for u, c in CELLS:
        f_chains, b_chains = forward, backward
        if c >= 65536:
            f_chains = [expand(chain, b"next", 32) for chain in forward]
            b_chains = [expand(chain, b"next", 32) for chain in backward]
        keys = [expand(chain, b"key", 32) for chain in f_chains]
        fillers = [stream(expand(chain, b"filler", 32), 16 * (c % 65536), 16)
                   for chain in f_chains]
        cells = forward_cells(keys, fillers, u, c, reserve_key, suites)
        answers = backward_cells([expand(chain, b"key", 32) for chain in b_chains], u, c, suites)
        for direction, units in [("forward", cells), ("backward", answers)]:
            for i, unit in enumerate(units):
                name = f"cell_{u}_{c}_{direction}_link_{i}"
                if (u, c) == (1024, 0):
                    out.append((name, unit))
                out.append((name + "_sha256", hashlib.sha256(unit).digest()))
    return out


# ---- Routes of every length, and replies of hops that cannot go on ----------------------------------


def route_vectors():
    hops = [draw_hop(f"route hop {i}") for i in range(6)]
    padding_key, reserve_key = chosen("route padding key", 32), chosen("route reserve key", 32)
    out = [("now", NOW.to_bytes(8, "big")), ("priority", bytes([PRIORITY])),
           ("padding_key", padding_key), ("reserve_key", reserve_key)]
    for i, hop in enumerate(hops):
        for name in ["id", "onion_seed", "first_seed", "ephemeral_seed", "second_seed"]:
            out.append((f"hop_{i}_{name}", hop[name]))

    def put(name, units):
        for i, unit in enumerate(units):
            out.append((f"{name}_link_{i}_sha256", hashlib.sha256(unit).digest()))

    for n in range(1, 7):
        route = join_hops(hops[:n])
        put(f"route_{n}_build", build_units(route, padding_key))
        if n <= 4:
            with_rider = join_hops(hops[:n], rider=True)
            put(f"route_{n}_rider_build", build_units(with_rider, padding_key, payload(n, 4800)))
            out.append((f"route_{n}_rider_chains",
                        with_rider[-1]["forward_chain"] + with_rider[-1]["backward_chain"]))
        replies = reply_units(route, n - 1, 0)
        assert open_reply(route, replies[0]) == (n - 1, 0)
        put(f"route_{n}_reply", replies)
        for last in range(n - 1):
            status = 1 + (n + last) % 4
            replies = reply_units(route, last, status)
            assert open_reply(route, replies[0]) == (last, status)
            out.append((f"route_{n}_fails_at_{last}_status", bytes([status])))
            put(f"route_{n}_fails_at_{last}", replies)
        suites = (0,) * n
        keys = [expand(hop["forward_chain"], b"key", 32) for hop in route]
        fillers = [stream(expand(hop["forward_chain"], b"filler", 32), 0, 16) for hop in route]
        put(f"route_{n}_cell_forward", forward_cells(keys, fillers, 1024, 0, reserve_key, suites))
        keys = [expand(hop["backward_chain"], b"key", 32) for hop in route]
        put(f"route_{n}_cell_backward", backward_cells(keys, 1024, 0, suites))
    return out


def self_test():
    """FIPS 197, C.3; SP 800-38D test case 14 (AES-256, one zero block); RFC 8439, 2.3.2 and 2.4.2
    (ChaCha20 alone: the AEAD's example has associated data, which we never have) and 2.5.2."""
    key = bytes(range(32))
    assert Aes256(key).block(bytes.fromhex("00112233445566778899aabbccddeeff")).hex() == \
        "8ea2b7ca516745bfeafc49904b496089"
    ciphertext, tag = seal(bytes(32), bytes(12), bytes(16))
    assert ciphertext.hex() == "cea7403d4d606b6e074ec5d3baf39d18"
    assert tag.hex() == "d0d1c8a799996bf0265b98b5d48ab919"
    n = bytes.fromhex("000000090000004a00000000")
    assert chacha_block(key, 1, n).hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4")
    text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future"
    n = bytes.fromhex("000000000000004a00000000")
    assert xor(text, chacha_keystream(key, n, 0, len(text))).hex().startswith(
        "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b")
    assert poly1305(bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
                    b"Cryptographic Forum Research Group").hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def main():
    self_test()
    hops = make_hops()
    files = {"onion_keys.txt": key_vectors(hops), "onion_build.txt": build_vectors(hops),
             "onion_cells.txt": cell_vectors((0, 0, 0)),
             "onion_cells_chacha20.txt": cell_vectors((1, 1, 1)),
             "onion_cells_mixed.txt": cell_vectors((1, 0, 1)),
             "onion_routes.txt": route_vectors()}
    different = False
    for name, values in files.items():
        text = "# docs/reference/protocol.md, sections 5 and 6. Made by tests/vectors/reference.py; see README.md.\n"
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
