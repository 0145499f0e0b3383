#!/usr/bin/env python3
"""Makes and checks tests/vectors/control.txt, gossip.txt, verdicts.txt and payloads.txt with frames.py, the second
implementation of the frames of docs/reference/protocol.md.

    python3 tests/vectors/frame_vectors.py            compares with the files, exit code 1 if different
    python3 tests/vectors/frame_vectors.py --write    makes the files

Names that begin with bad_ must be refused; what they break is the rest of the name. Those that begin
with patch_ are laid over a descriptor, which must be refused then.
"""
import hashlib
import pathlib
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

import frames as f
import mldsa
import reference

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1800000000


def chosen(text, size):
    return hashlib.shake_256(b"qudag/1 vector: frames " + text.encode()).digest(size)


# ---- control.txt ------------------------------------------------------------------------------------


def control_vectors():
    good = [
        ("hello_known", f.frame(f.HELLO, f.hello(1, 1, True, 1))),
        ("hello_unknown", f.frame(f.HELLO, f.hello(1, 1, False, 0))),
        ("hello_later_versions", f.frame(f.HELLO, f.hello(1, 7, True, 64))),
        ("hello_later_flags", f.frame(f.HELLO, f.u16(1) + f.u16(1) + f.u32(0xffff0001))),
        ("ping", f.frame(f.PING, f.u64(0x0102030405060708))),
        ("pong", f.frame(f.PONG, f.u64(0x0102030405060708))),
        ("goodbye_replaced", f.frame(f.GOODBYE, f.u8(0))),
        ("goodbye_stops", f.frame(f.GOODBYE, f.u8(5))),
        ("load_idle", f.frame(f.LOAD, f.u16(0))),
        ("load_half", f.frame(f.LOAD, f.u16(32768))),
        ("load_full", f.frame(f.LOAD, f.u16(65535))),
        ("time", f.frame(f.TIME, f.u64(NOW))),
        ("ignored_empty", f.frame(0x80, b"")),
        ("ignored", f.frame(0xff, chosen("ignored", 16))),
    ]
    hello = f.hello(1, 1, True, 1)
    bad = [
        ("bad_hello_short", f.frame(f.HELLO, hello[:-1])),
        ("bad_hello_long", f.frame(f.HELLO, hello + b"\0")),
        ("bad_hello_empty_range", f.frame(f.HELLO, f.u16(2) + f.u16(1) + f.u32(0))),
        ("bad_hello_no_common_version", f.frame(f.HELLO, f.hello(2, 7, True, 1))),
        ("bad_ping_short", f.frame(f.PING, bytes(7))),
        ("bad_ping_long", f.frame(f.PING, bytes(9))),
        ("bad_pong_empty", f.frame(f.PONG, b"")),
        ("bad_goodbye_empty", f.frame(f.GOODBYE, b"")),
        ("bad_goodbye_long", f.frame(f.GOODBYE, bytes(2))),
        ("bad_load_short", f.frame(f.LOAD, bytes(1))),
        ("bad_load_long", f.frame(f.LOAD, bytes(3))),
        ("bad_time_short", f.frame(f.TIME, bytes(7))),
        ("bad_time_long", f.frame(f.TIME, bytes(9))),
        ("bad_type_00", f.frame(0x00, b"")),
        ("bad_type_05", f.frame(0x05, b"")),
        ("bad_type_7f", f.frame(0x7f, bytes(8))),
        ("bad_length", f.u8(0x80) + f.u16(16385)),
    ]
    check(good, bad, f.read_frame)
    return good + bad


# ---- gossip.txt -------------------------------------------------------------------------------------


def onion_key(name):
    return reference.kem_keypair(chosen(name, 96))


def gossip_vectors():
    seeds = [chosen(f"identity {i}", 32) for i in range(2)]
    keys = [mldsa.Key(seed) for seed in seeds]
    first = f.descriptor(
        keys[0], NOW - 10, NOW + f.DAY, True, 0, (1, 1), [f.address("192.0.2.7", 4433)],
        [(NOW - 300, NOW + 4 * 3600, onion_key("onion key 0"))])
    fields = (NOW - 7200, NOW + 3600, False, 0x01020304, (1, 3),
              [f.address("203.0.113.200", 65535), f.address("2001:db8::7", 1)],
              [(NOW - 300, NOW + 4 * 3600, onion_key("onion key 1")),
               (NOW - 2 * 3600, NOW + 2 * 3600, onion_key("onion key 2"))])
    second = f.descriptor(keys[1], *fields)
    ids = [hashlib.sha256(key.public).digest() for key in keys]
    entries = sorted(zip(ids, [f.rank(first), f.rank(second)]))
    one = min(entries)
    first_nibbles, nonce = one[0].hex()[:16], chosen("nonce", 8)
    good = [
        ("digest_none", f.frame(f.DIGEST, f.digest("", []))),
        ("digest_both", f.frame(f.DIGEST, f.digest("", entries))),
        ("digest_narrow", f.frame(f.DIGEST, f.digest(first_nibbles[:2], [one]))),
        ("digest_narrowest", f.frame(f.DIGEST, f.digest(first_nibbles, [one]))),
        ("summary_none", f.frame(f.SUMMARY, f.summary("", nonce, []))),
        ("summary_both", f.frame(f.SUMMARY, f.summary("", nonce, entries))),
        ("summary_narrow", f.frame(f.SUMMARY, f.summary("b", nonce, entries))),
        ("ask_none", f.frame(f.ASK, f.ask([]))),
        ("ask_all", f.frame(f.ASK, f.ask([("", False)]))),
        ("ask_both", f.frame(f.ASK, f.ask([("b9", True), (first_nibbles[:15], False)]))),
        ("want_none", f.frame(f.WANT, f.want([]))),
        ("want_both", f.frame(f.WANT, f.want(ids))),
        ("descriptor_0", f.frame(f.DESCRIPTOR, first)),
        ("descriptor_1", f.frame(f.DESCRIPTOR, second)),
    ]
    bad = [
        ("bad_digest_bits", f.frame(f.DIGEST, bytes(7) + b"\1" + f.u8(15) + f.u16(0))),
        ("bad_digest_depth", f.frame(f.DIGEST, bytes(8) + f.u8(17) + f.u16(0))),
        ("bad_digest_outside", f.frame(f.DIGEST, f.digest("c", [one]))),
        ("bad_digest_order", f.frame(f.DIGEST, f.digest("", entries[::-1]))),
        ("bad_digest_twice", f.frame(f.DIGEST, f.digest("", [one, one]))),
        ("bad_digest_short", f.frame(f.DIGEST, f.digest("", entries)[:-1])),
        ("bad_digest_long", f.frame(f.DIGEST, f.digest("", entries) + b"\0")),
        ("bad_digest_count", f.frame(f.DIGEST, f.id_range("") + f.u16(401))),
        ("bad_summary_short", f.frame(f.SUMMARY, f.summary("", nonce, [])[:-1])),
        ("bad_summary_long", f.frame(f.SUMMARY, f.summary("", nonce, []) + b"\0")),
        ("bad_summary_depth", f.frame(f.SUMMARY, f.id_range("0" * 16) + bytes(168))),
        ("bad_ask_short", f.frame(f.ASK, f.ask([("", True)])[:-1])),
        ("bad_ask_long", f.frame(f.ASK, f.ask([("", True)]) + b"\0")),
        ("bad_ask_depth", f.frame(f.ASK, f.ask([("0" * 16, False)]))),
        ("bad_ask_bits", f.frame(f.ASK, f.u8(1) + b"\1" * 8 + f.u8(0x81))),
        ("bad_ask_count", f.frame(f.ASK, f.ask([("", True)] * 17))),
        ("bad_want_short", f.frame(f.WANT, f.want(ids)[:-1])),
        ("bad_want_long", f.frame(f.WANT, f.want(ids) + b"\0")),
        ("bad_want_count", f.frame(f.WANT, f.u16(401))),
    ]
    check(good, bad, f.read_frame)
    for raw, key in [(first, keys[0]), (second, keys[1])]:
        assert f.read_descriptor(raw, NOW)["public"] == key.public
    # `offset u16 || bytes`, laid over the body of descriptor_1: its form is wrong then, which is
    # seen before its signature.
    def over(offset, data):
        return f.u16(offset) + data

    times = 1 + mldsa.PUBLIC_BYTES
    patches = [
        ("patch_expires_when_published", over(times + 8, f.u64(fields[0]))),
        ("patch_eight_days", over(times + 8, f.u64(fields[0] + 7 * f.DAY + 1))),
        ("patch_unknown_flag", over(times + 16, f.u32(2))),
        ("patch_versions", over(times + 24, f.u16(2) + f.u16(1))),
        ("patch_no_address", over(times + 28, f.u8(0))),
        ("patch_five_addresses", over(times + 28, f.u8(5))),
        ("patch_port_0", over(times + 29 + 16, f.u16(0))),
        ("patch_no_onion_key", over(times + 29 + 36, f.u8(0))),
        ("patch_three_onion_keys", over(times + 29 + 36, f.u8(3))),
        ("patch_onion_key_times", over(times + 29 + 37, f.u64(NOW) + f.u64(NOW))),
    ]
    check([], [(name, patched(second, patch)) for name, patch in patches], f.read_descriptor)
    # One bit of the signature: the form is right.
    changed = ("patch_signature", over(len(second) - 1, f.u8(second[-1] ^ 1)))
    assert f.read_descriptor(patched(second, changed[1]))["relay"] is False
    check([], [(changed[0], patched(second, changed[1]))], lambda raw: f.read_descriptor(raw, NOW))
    return [("now", f.u64(NOW)), ("seed_0", seeds[0]), ("seed_1", seeds[1]), ("id_0", ids[0]),
            ("id_1", ids[1])] + good + bad + patches + [changed]


def patched(raw, patch):
    at, data = int.from_bytes(patch[:2], "big"), patch[2:]
    return raw[:at] + data + raw[at + len(data):]


# ---- payloads.txt -------------------------------------------------------------------------------------


def payload_vectors():
    """What a payload of a cell may begin with, and what it may not (section 7). Padding is left out."""
    message_id, scope, text = chosen("message id", 16), chosen("scope", 16), b"hello"
    whole, part = f.start(message_id, 5, 16, 1), f.start(message_id, 6, 10, 2)
    first, last, key = f.FIRST, f.LAST, chosen("pipe key", 16)

    def data(flags, start=b"", reply=b"", body=text, ref=7):
        return f.data(flags, ref, start, reply, body)

    good = [
        ("nothing", b""),
        ("padding_is_not_looked_at", b"\0\xff\xff"),
        ("data_whole", data(first | last, whole)),
        ("data_empty", data(first | last, f.start(message_id, 0, 27, 0), body=b"")),
        ("data_first", data(first, part)),
        ("data_first_empty", data(first, part, body=b"")),
        ("data_middle", data(0)),
        ("data_last", data(last, body=b"!")),
        ("data_reply", data(first | last | f.REPLY, whole, f.u32(3))),
        ("data_channel", data(first | last | f.CHANNEL, whole, f.u16(1))),
        ("data_channel_highest", data(first | f.CHANNEL, part, f.u16(65535))),
        ("data_channel_signed", data(first | f.SIGNED | f.CHANNEL, f.start(
            message_id, f.SIGNED_BYTES, 16, 1), f.u16(2))),
        ("data_signed", data(first | f.SIGNED, f.start(message_id, f.SIGNED_BYTES, 16, 1))),
        ("data_largest", data(first, f.start(message_id, f.MESSAGE_BYTES_MAX, 16, 1))),
        ("data_largest_signed", data(first | f.SIGNED, f.start(
            message_id, f.MESSAGE_BYTES_MAX + f.SIGNED_BYTES, 16, 1))),
        *[(f"ack_{status}", f.ack(0x01020304, status)) for status in range(f.STATUS_MAX + 1)],
        ("credit", f.credit(4194305)),
        ("ping", f.message_ping(0x0102030405060708)),
        ("pong", f.message_pong(0x0102030405060708)),
        ("close", f.close(255)),
        ("cancel", f.cancel(0x01020304)),
        ("scope", f.scope(scope)),
        ("data_resume", data(first | f.RESUME, part, body=b"")),
        ("data_resume_all", data(first | f.RESUME | f.SIGNED | f.CHANNEL, f.start(
            message_id, f.SIGNED_BYTES, 16, 1), f.u16(2), body=b"")),
        ("held", f.held(0x01020304, 6)),
        ("held_nothing", f.held(7, 0)),
        ("open", f.pipe_open(0, key, 1, 16384, b"ssh")),
        ("open_longest_name", f.pipe_open(7, key, 0xffffffff, f.PIPE_AHEAD_MAX, b"a-z09-" * 4)),
        *[(f"opened_{code}", f.pipe_opened(7, code, 0 if code else 16384))
          for code in range(f.PIPE_CODE_MAX + 1)],
        ("bytes", f.pipe_bytes(7, b"hello")),
        ("limit", f.pipe_limit(7, 1 << 40, (1 << 40) + 65536)),
        ("limit_furthest", f.pipe_limit(7, 5, 5 + f.PIPE_AHEAD_MAX)),
        ("end", f.pipe_end(7, 0x0102030405060708)),
        *[(f"reset_{code}", f.pipe_reset(7, code)) for code in range(f.PIPE_CODE_MAX + 1)],
        ("move", f.pipe_move(8, key, 2, 70000, 60000, 80000)),
        ("moved", f.pipe_moved(8, 0, 5, 5, 5)),
        ("moved_lost", f.pipe_moved(8, f.PIPE_LOST, 0, 0, 0)),
    ]
    good.append(("several", b"".join(raw for name, raw in good[2:])))
    bad = [
        ("bad_type", f.u8(f.MOVED + 1)),
        ("bad_open_no_name", f.pipe_open(0, key, 1, 16384, b"")),
        ("bad_open_long_name", f.pipe_open(0, key, 1, 16384, b"a" * 25)),
        ("bad_open_letter", f.pipe_open(0, key, 1, 16384, b"SSH")),
        ("bad_open_limit", f.pipe_open(0, key, 1, f.PIPE_AHEAD_MAX + 1, b"ssh")),
        ("bad_opened_code", f.pipe_opened(0, f.PIPE_CODE_MAX + 1, 0)),
        ("bad_bytes_none", f.pipe_bytes(7, b"")),
        ("bad_bytes_short", f.pipe_bytes(7, b"hello")[:-1]),
        ("bad_limit_behind", f.pipe_limit(7, 6, 5)),
        ("bad_limit_ahead", f.pipe_limit(7, 5, 6 + f.PIPE_AHEAD_MAX)),
        ("bad_end_short", f.pipe_end(7, 1)[:-1]),
        ("bad_reset_code", f.pipe_reset(7, f.PIPE_CODE_MAX + 1)),
        ("bad_move_taken", f.pipe_move(8, key, 2, 5, 6, 10)),
        ("bad_move_received", f.pipe_move(8, key, 2, 11, 6, 10)),
        ("bad_moved_code", f.pipe_moved(8, 1, 0, 0, 0)),
        ("bad_type_ff", b"\xff" + bytes(20)),
        ("bad_flag", data(0x40)),
        ("bad_resume_later", data(f.RESUME, body=b"")),
        ("bad_resume_bytes", data(first | f.RESUME, part)),
        ("bad_resume_whole", data(first | last | f.RESUME, f.start(message_id, 0, 16, 1), body=b"")),
        ("bad_resume_reply", data(first | f.REPLY | f.RESUME, part, f.u32(3), b"")),
        ("bad_held_short", f.held(7, 1)[:-1]),
        ("bad_channel_later", data(f.CHANNEL, reply=f.u16(1))),
        ("bad_channel_0", data(first | last | f.CHANNEL, whole, f.u16(0))),
        ("bad_channel_reply", data(first | last | f.REPLY | f.CHANNEL, whole, f.u32(3) + f.u16(1))),
        ("bad_signed_later", data(f.SIGNED)),
        ("bad_reply_later", data(f.REPLY)),
        ("bad_signed_reply", data(first | f.SIGNED | f.REPLY, f.start(
            message_id, f.SIGNED_BYTES, 16, 1), f.u32(3))),
        ("bad_length", data(0)[:-1]),
        ("bad_more_than_size", data(first, f.start(message_id, 4, 16, 1))),
        ("bad_last_too_early", data(first | last, part)),
        ("bad_last_is_missing", data(first, whole)),
        ("bad_priority", data(first | last, f.start(message_id, 5, 16, 3))),
        ("bad_ttl_short", data(first | last, f.start(message_id, 5, 9, 1))),
        ("bad_ttl_long", data(first | last, f.start(message_id, 5, 28, 1))),
        ("bad_size", data(first, f.start(message_id, f.MESSAGE_BYTES_MAX + 1, 16, 1))),
        ("bad_size_signed", data(first | f.SIGNED, f.start(
            message_id, f.SIGNED_BYTES - 1, 16, 1))),
        ("bad_size_signed_long", data(first | f.SIGNED, f.start(
            message_id, f.MESSAGE_BYTES_MAX + f.SIGNED_BYTES + 1, 16, 1))),
        ("bad_status", f.ack(0, f.STATUS_MAX + 1)),
        ("bad_second", f.close(0) + f.credit(1)[:-1]),
    ]
    check(good, bad, f.read_payload)
    for name, raw in good:  # what was read is written the same
        read = f.read_payload(raw)
        assert name.startswith("padding") or b"".join(f.write(one) for one in read) == raw, name
    seen = dict((raw, name) for name, raw in good + bad)
    changes = []
    for name, raw in good[2:-1]:
        for one in changed_payload(name, raw):
            if one not in seen:
                seen[one] = name
                verdict = f.u8(taken(f.read_payload, one))
                changes.append((f"changed_{len(changes):03}", verdict + one))
    assert 50 < sum(value[0] for _, value in changes) < len(changes) - 50
    return good + bad + changes


def changed_payload(name, raw):
    for i in range(CHANGES):
        a, b, how = chosen(f"{name} payload change {i}", 3)
        out = bytearray(raw)
        if how % 4:
            out[a % min(len(raw), 36)] ^= 1 << b % 8
        else:
            del out[len(raw) - 1 - a % min(len(raw), 8):]
            out += bytes([b])[:how // 4 % 2]
        yield bytes(out)


# ---- verdicts.txt: changed frames, and whether they are taken ------------------------------------------

CHANGES = 24


def changed(name, raw):
    """Copies of a frame: other bits, shorter, longer, with another length in its header."""
    for i in range(CHANGES):
        a, b, how = chosen(f"{name} change {i}", 3)
        out = bytearray(raw)
        if how % 4 < 2:
            at = a % min(len(raw), 16)  # the fields of a frame are at its front
            out[at] ^= 1 << b % 8
        elif how % 4 == 2:
            out[1:3] = f.u16(max(0, len(raw) - 3 + b % 5 - 2))
        else:
            del out[len(raw) - 1 - a % min(len(raw), 8):]
            out += bytes([b])[:how // 4 % 2]
        yield bytes(out)


def taken(read, raw):
    try:
        read(raw)
        return True
    except f.Refused:
        return False


def verdict_vectors(frames):
    """A verdict, 1 for what is taken, and the frame. Descriptors have their own vectors."""
    out, seen = [], set()
    for name, raw in frames:
        if name.startswith(("bad_", "descriptor_")) or len(raw) > 200:
            continue
        for one in changed(name, raw):
            if one in seen or one[:1] == f.u8(f.DESCRIPTOR):
                continue
            seen.add(one)
            out.append((f"frame_{len(out):03}", f.u8(taken(f.read_frame, one)) + one))
    verdicts = [value[0] for _, value in out]
    assert 50 < sum(verdicts) < len(verdicts) - 50
    return out


# ---- All --------------------------------------------------------------------------------------------


def check(good, bad, read):
    """What is good is read, and what is bad refused, by the reader that knows only the text."""
    for name, raw in good:
        assert (read(raw) is None) == name.startswith("ignored"), name
    for name, raw in bad:
        try:
            read(raw)
        except f.Refused:
            continue
        raise AssertionError(f"{name} was taken")


def check_descriptor_of_the_product():
    """descriptor.txt was made and signed by the product: the other direction."""
    lines = (HERE / "descriptor.txt").read_text().splitlines()
    values = dict(line.split(" = ") for line in lines if " = " in line)
    raw = bytes.fromhex(values["descriptor"])
    assert mldsa.Key(bytes.fromhex(values["identity seed"])).public == raw[1:1953]
    assert len(f.read_descriptor(raw, NOW)["onion_keys"]) == 2


def main():
    check_descriptor_of_the_product()
    control, gossip = control_vectors(), gossip_vectors()
    frames = control + [one for one in gossip if one[0].startswith(("digest_", "want_", "summary_", "ask_"))]
    files = {"control.txt": ("section 4", control), "gossip.txt": ("section 8", gossip),
             "verdicts.txt": ("sections 4 and 8", verdict_vectors(frames)),
             "payloads.txt": ("section 7", payload_vectors())}
    different = False
    for name, (where, values) in files.items():
        text = f"# docs/reference/protocol.md, {where}. Made by tests/vectors/frame_vectors.py; see README.md.\n"
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
