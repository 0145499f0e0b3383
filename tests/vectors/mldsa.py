"""ML-DSA-65 (FIPS 204) a second time: key pair from a seed, deterministic signature, verification.

Written from FIPS 204 with Python's standard library only; it shares nothing with src/crypto and does
not call OpenSSL. Not constant time, and slow. Numbers of algorithms are those of FIPS 204.
"""
import hashlib

Q, N, D = 8380417, 256, 13
K, L, ETA, TAU, OMEGA = 6, 5, 4, 49, 55
GAMMA1, GAMMA2, BETA = 1 << 19, (Q - 1) // 32, 196
PUBLIC_BYTES, SIGNATURE_BYTES, CHALLENGE_BYTES = 1952, 3309, 48

ZETAS = [pow(1753, int(f"{i:08b}"[::-1], 2), Q) for i in range(N)]


def h(data, size):
    return hashlib.shake_256(data).digest(size)


# ---- Polynomials ------------------------------------------------------------------------------------


def ntt(w):  # algorithm 41
    w, m, length = list(w), 0, 128
    while length >= 1:
        for start in range(0, N, 2 * length):
            m += 1
            z = ZETAS[m]
            for j in range(start, start + length):
                t = z * w[j + length] % Q
                w[j + length], w[j] = (w[j] - t) % Q, (w[j] + t) % Q
        length //= 2
    return w


def inverse_ntt(w):  # algorithm 42
    w, m, length = list(w), N, 1
    while length < N:
        for start in range(0, N, 2 * length):
            m -= 1
            z = -ZETAS[m]
            for j in range(start, start + length):
                t = w[j]
                w[j] = (t + w[j + length]) % Q
                w[j + length] = z * (t - w[j + length]) % Q
        length *= 2
    return [x * 8347681 % Q for x in w]


def add(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def subtract(a, b):
    return [(x - y) % Q for x, y in zip(a, b)]


def multiply(a, b):  # in the NTT domain
    return [x * y % Q for x, y in zip(a, b)]


def matrix_times(a, v):
    out = []
    for row in a:
        total = [0] * N
        for x, y in zip(row, v):
            total = add(total, multiply(x, y))
        out.append(total)
    return out


def centered(x, m=Q):
    x %= m
    return x - m if x > m // 2 else x


def norm(vector):
    return max(abs(centered(x)) for poly in vector for x in poly)


# ---- Bits (algorithms 16 to 21) ---------------------------------------------------------------------


def pack(values, bits):
    return sum(x << (bits * i) for i, x in enumerate(values)).to_bytes(N * bits // 8, "little")


def unpack(raw, bits):
    value = int.from_bytes(raw, "little")
    return [value >> (bits * i) & ((1 << bits) - 1) for i in range(N)]


def pieces(raw, size):
    return [raw[at:at + size] for at in range(0, len(raw), size)]


def pack_hint(hints):
    out, index = bytearray(OMEGA + K), 0
    for i, poly in enumerate(hints):
        for j, bit in enumerate(poly):
            if bit:
                out[index] = j
                index += 1
        out[OMEGA + i] = index
    return bytes(out)


def unpack_hint(raw):
    """None for anything but the one encoding."""
    hints, index = [[0] * N for _ in range(K)], 0
    for i in range(K):
        end = raw[OMEGA + i]
        if end < index or end > OMEGA:
            return None
        places = raw[index:end]
        if any(a >= b for a, b in zip(places, places[1:])):
            return None
        for j in places:
            hints[i][j] = 1
        index = end
    return None if any(raw[index:OMEGA]) else hints


# ---- Sampling (algorithms 29 to 34) -----------------------------------------------------------------


def sample_ntt(seed):
    stream, out = hashlib.shake_128(seed).digest(3 * 512), []
    for b in pieces(stream, 3):
        z = b[0] | b[1] << 8 | (b[2] & 127) << 16
        if z < Q:
            out.append(z)
    return out[:N]


def sample_bounded(seed):
    out = [ETA - x for b in h(seed, 1024) for x in (b & 15, b >> 4) if x < 9]
    return out[:N]


def sample_in_ball(seed):
    stream = iter(h(seed, 1024))
    signs = int.from_bytes(bytes(next(stream) for _ in range(8)), "little")
    c = [0] * N
    for i in range(N - TAU, N):
        j = next(stream)
        while j > i:
            j = next(stream)
        c[i] = c[j]
        c[j] = -1 if signs >> (i + TAU - N) & 1 else 1
    return c


def expand_a(rho):
    return [[sample_ntt(rho + bytes([s, r])) for s in range(L)] for r in range(K)]


def expand_mask(seed, kappa):
    return [[GAMMA1 - x for x in unpack(h(seed + (kappa + r).to_bytes(2, "little"), 640), 20)]
            for r in range(L)]


# ---- Rounding (algorithms 35 to 40) -----------------------------------------------------------------


def power2round(r):
    r0 = centered(r, 1 << D)
    return (r - r0) >> D, r0


def decompose(r):
    r %= Q
    r0 = centered(r, 2 * GAMMA2)
    return (0, r0 - 1) if r - r0 == Q - 1 else ((r - r0) // (2 * GAMMA2), r0)


def high_bits(poly):
    return [decompose(x)[0] for x in poly]


def use_hint(hint, r):
    r1, r0 = decompose(r)
    return (r1 + (1 if r0 > 0 else -1)) % 16 if hint else r1


# ---- The scheme (algorithms 1 to 8) -----------------------------------------------------------------


class Key:

    def __init__(self, seed):
        expanded = h(seed + bytes([K, L]), 128)
        rho, rho1, self.key = expanded[:32], expanded[32:96], expanded[96:]
        self.a = expand_a(rho)
        self.s1 = [sample_bounded(rho1 + r.to_bytes(2, "little")) for r in range(L)]
        self.s2 = [sample_bounded(rho1 + (L + r).to_bytes(2, "little")) for r in range(K)]
        product = matrix_times(self.a, [ntt(s) for s in self.s1])
        t = [add(inverse_ntt(x), s) for x, s in zip(product, self.s2)]
        split = [[power2round(x) for x in poly] for poly in t]
        self.t0 = [[x[1] for x in poly] for poly in split]
        self.public = rho + b"".join(pack([x[0] for x in poly], 10) for poly in split)
        self.tr = h(self.public, 64)

    def sign(self, context, message, rnd=bytes(32)):
        """Deterministic (FIPS 204, 3.4) unless `rnd` is drawn."""
        mu = h(self.tr + framed(context, message), 64)
        seed = h(self.key + rnd + mu, 64)
        s1, s2, t0 = ([ntt(x) for x in v] for v in (self.s1, self.s2, self.t0))
        kappa = 0
        while True:
            y = expand_mask(seed, kappa)
            kappa += L
            w = [inverse_ntt(x) for x in matrix_times(self.a, [ntt(x) for x in y])]
            challenge = h(mu + b"".join(pack(high_bits(x), 4) for x in w), CHALLENGE_BYTES)
            c = ntt(sample_in_ball(challenge))
            z = [add(a, inverse_ntt(multiply(c, b))) for a, b in zip(y, s1)]
            rest = [subtract(a, inverse_ntt(multiply(c, b))) for a, b in zip(w, s2)]
            low = [[decompose(x)[1] for x in poly] for poly in rest]
            if norm(z) >= GAMMA1 - BETA or max(abs(x) for p in low for x in p) >= GAMMA2 - BETA:
                continue
            ct0 = [inverse_ntt(multiply(c, x)) for x in t0]
            hints = [[int(decompose(r + x)[0] != decompose(r)[0]) for r, x in zip(a, b)]
                     for a, b in zip(rest, ct0)]
            if norm(ct0) >= GAMMA2 or sum(map(sum, hints)) > OMEGA:
                continue
            packed = b"".join(pack([GAMMA1 - centered(x) for x in poly], 20) for poly in z)
            return challenge + packed + pack_hint(hints)


def framed(context, message):  # algorithm 2, step 10: pure, not pre-hashed
    return bytes([0, len(context)]) + context + message


def verify(public, context, message, signature):
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    challenge, rest = signature[:CHALLENGE_BYTES], signature[CHALLENGE_BYTES:]
    z = [[GAMMA1 - x for x in unpack(raw, 20)] for raw in pieces(rest[:640 * L], 640)]
    hints = unpack_hint(rest[640 * L:])
    if hints is None or norm(z) >= GAMMA1 - BETA:
        return False
    t1 = [[x << D for x in unpack(raw, 10)] for raw in pieces(public[32:], 320)]
    mu = h(h(public, 64) + framed(context, message), 64)
    c = ntt(sample_in_ball(challenge))
    product = matrix_times(expand_a(public[:32]), [ntt(x) for x in z])
    w = [inverse_ntt(subtract(x, multiply(c, ntt(t)))) for x, t in zip(product, t1)]
    w1 = [[use_hint(bit, x) for bit, x in zip(a, b)] for a, b in zip(hints, w)]
    return h(mu + b"".join(pack(x, 4) for x in w1), CHALLENGE_BYTES) == challenge
