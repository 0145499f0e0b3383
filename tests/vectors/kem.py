#!/usr/bin/env python3
"""Makes tests/vectors/kem.txt: the hybrid KEM of docs/reference/protocol.md, section 2.1, a second time.

Written from FIPS 203, RFC 7748, RFC 5869 and docs/reference/protocol.md with Python's standard library only;
it shares nothing with src/crypto and does not call OpenSSL's ML-KEM or X25519. Not constant time.

    python3 tests/vectors/kem.py > tests/vectors/kem.txt
"""
import hashlib
import hmac

# ---- ML-KEM-768 (FIPS 203) --------------------------------------------------------------------------
Q, N, K, DU, DV = 3329, 256, 3, 10, 4


def bit_reverse7(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, bit_reverse7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * bit_reverse7(i) + 1, Q) for i in range(128)]


def ntt(f):  # algorithm 9
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def inverse_ntt(f):  # algorithm 10
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(a, b):  # algorithm 11
    c = [0] * N
    for i in range(128):
        a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        c[2 * i] = (a0 * b0 + a1 * b1 * GAMMAS[i]) % Q
        c[2 * i + 1] = (a0 * b1 + a1 * b0) % Q
    return c


def add(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def encode(f, d):  # algorithm 5
    return sum(x << (d * i) for i, x in enumerate(f)).to_bytes(32 * d, "little")


def decode(raw, d):  # algorithm 6
    value = int.from_bytes(raw, "little")
    return [(value >> (d * i)) & ((1 << d) - 1) for i in range(N)]


def compress(f, d):
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def sample_ntt(seed):  # algorithm 7
    stream, out, i = hashlib.shake_128(seed).digest(3 * 1024), [], 0
    while len(out) < N:
        b = stream[i:i + 3]
        for d in (b[0] + 256 * (b[1] % 16), b[1] // 16 + 16 * b[2]):
            if d < Q and len(out) < N:
                out.append(d)
        i += 3
    return out


def sample_cbd2(seed, n):  # algorithm 8 with eta = 2
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([n])).digest(128), "little")
    bit = lambda i: (bits >> i) & 1
    return [(bit(4 * i) + bit(4 * i + 1) - bit(4 * i + 2) - bit(4 * i + 3)) % Q for i in range(N)]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def dot(row, column):
    out = [0] * N
    for a, b in zip(row, column):
        out = add(out, multiply(a, b))
    return out


def mlkem_keygen(d, z):  # algorithms 13 and 16; z belongs to implicit rejection
    g = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = g[:32], g[32:]
    a = matrix(rho)
    s = [ntt(sample_cbd2(sigma, i)) for i in range(K)]
    e = [ntt(sample_cbd2(sigma, K + i)) for i in range(K)]
    t = [add(dot(a[i], s), e[i]) for i in range(K)]
    return b"".join(encode(x, 12) for x in t) + rho


def mlkem_encapsulate(ek, m):  # algorithms 14 and 17
    g = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    secret, r = g[:32], g[32:]
    t = [decode(ek[384 * i:384 * (i + 1)], 12) for i in range(K)]
    a = matrix(ek[384 * K:])
    y = [ntt(sample_cbd2(r, i)) for i in range(K)]
    e1 = [sample_cbd2(r, K + i) for i in range(K)]
    e2 = sample_cbd2(r, 2 * K)
    u = [add(inverse_ntt(dot([a[j][i] for j in range(K)], y)), e1[i]) for i in range(K)]
    mu = [bit * ((Q + 1) // 2) for bit in decode(m, 1)]  # Decompress with d = 1
    v = add(add(inverse_ntt(dot(t, y)), e2), mu)
    return (b"".join(encode(compress(x, DU), DU) for x in u) + encode(compress(v, DV), DV), secret)


# ---- X25519 (RFC 7748, section 5) -------------------------------------------------------------------
P = 2**255 - 19


def x25519(scalar, point):
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = (k >> t) & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb)**2 % P, x1 * (da - cb)**2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


BASE = (9).to_bytes(32, "little")

# ---- The combination (protocol.md, 2.1) -------------------------------------------------------------


def extract(salt, ikm):
    return hmac.new(salt, ikm, hashlib.sha256).digest()


def expand(prk, info, n):
    out, block = b"", b""
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([len(out) // 32 + 1]), hashlib.sha256).digest()
        out += block
    return out[:n]


def combine(mlkem_ss, x25519_ss, ciphertext, public_key):
    prk = extract(b"qudag/1 hybrid kem", mlkem_ss + x25519_ss)
    return expand(prk, b"secret" + hashlib.sha256(ciphertext + public_key).digest(), 32)


def main():
    key_seed = hashlib.shake_256(b"qudag/1 vector: kem key seed").digest(96)
    encapsulation_seed = hashlib.shake_256(b"qudag/1 vector: kem encapsulation seed").digest(64)
    x_private, d, z = key_seed[:32], key_seed[32:64], key_seed[64:]
    e_private, m = encapsulation_seed[:32], encapsulation_seed[32:]

    x_public, ek = x25519(x_private, BASE), mlkem_keygen(d, z)
    public_key = x_public + ek
    mlkem_ct, mlkem_ss = mlkem_encapsulate(ek, m)
    ciphertext = x25519(e_private, BASE) + mlkem_ct
    x25519_ss = x25519(e_private, x_public)
    assert x25519_ss == x25519(x_private, ciphertext[:32])

    # One bit of the ML-KEM part changed: implicit rejection (FIPS 203, algorithm 18, step 7).
    rejected = bytearray(ciphertext)
    rejected[32] ^= 1
    rejected = bytes(rejected)
    rejected_ss = hashlib.shake_256(z + rejected[32:]).digest(32)

    print("# Hybrid KEM, docs/reference/protocol.md section 2.1. Made by tests/vectors/kem.py; see README.md.")
    for name, value in [
        ("key_seed", key_seed), ("encapsulation_seed", encapsulation_seed),
        ("public_key", public_key), ("ciphertext", ciphertext),
        ("mlkem_ss", mlkem_ss), ("x25519_ss", x25519_ss),
        ("secret", combine(mlkem_ss, x25519_ss, ciphertext, public_key)),
        ("rejected_ciphertext", rejected),
        ("rejected_secret", combine(rejected_ss, x25519_ss, rejected, public_key)),
    ]:
        print(f"{name} = {value.hex()}")


if __name__ == "__main__":
    main()
