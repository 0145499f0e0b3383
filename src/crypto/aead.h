// An AEAD with the key set up once: seal and open in place, and the raw keystream of a nonce.
//
// One object per key. Not thread-safe; owned by the shard that owns the circuit or link. After
// construction nothing allocates. Sources: NIST SP 800-38D (AES-256-GCM), RFC 8439
// (ChaCha20-Poly1305); 96-bit nonces, 128-bit tags, text and ciphertext of one length for both.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/gcm.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>

struct evp_cipher_ctx_st;

namespace qudag::crypto {

inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kNonceSize = 12;
using Nonce = std::array<std::byte, kNonceSize>;

/// 4 zero bytes, then the counter big-endian.
Nonce counter_nonce(std::uint64_t counter);

struct CipherContextDeleter {
  void operator()(evp_cipher_ctx_st* ctx) const noexcept;
};
using CipherContext = std::unique_ptr<evp_cipher_ctx_st, CipherContextDeleter>;

/// The values are those of a build record (docs/reference/protocol.md, 5.2).
enum class Cipher : std::uint8_t { aes_256_gcm = 0, chacha20_poly1305 = 1 };
inline constexpr std::size_t kCipherCount = 2;

/// What this machine does fastest: AES if the CPU has instructions for it and for GCM's carry-less
/// product, as OpenSSL sees it (OPENSSL_ia32cap can hide them), ChaCha20 otherwise.
Cipher fastest_cipher();

class Aead {
 public:
  /// What an object can be asked for; each use costs a context (see README.md), so an owner of many
  /// circuits names what it needs. Asking for another is an assertion.
  using Uses = unsigned;
  static constexpr Uses kSeal = 1, kOpen = 2, kKeystream = 4, kAllUses = 7;

  explicit Aead(const Key256& key, Uses uses = kAllUses, Cipher cipher = Cipher::aes_256_gcm);

  /// Encrypts `text` in place and writes its tag.
  void seal(const Nonce& nonce, Bytes aad, MutableBytes text, std::span<std::byte, kTagSize> tag);
  /// Decrypts `text` in place. On false the contents of `text` are unspecified and must be dropped.
  [[nodiscard]] bool open(const Nonce& nonce, Bytes aad, MutableBytes text,
                          std::span<const std::byte, kTagSize> tag);
  /// Writes the bytes that seal() with this nonce XORs onto text[offset .. offset + out.size()).
  /// GCM is CTR mode from counter block 2 (SP 800-38D, 7.1), so this is AES of those blocks; with
  /// ChaCha20 it is the stream from block 1 (RFC 8439, 2.8).
  /// `offset` and `out.size()` must be multiples of 16.
  void keystream(const Nonce& nonce, std::size_t offset, MutableBytes out);
  /// The same piece, `bytes` long, for the nonces counter_nonce(first) .. counter_nonce(first +
  /// count - 1), one after the other in out (count * bytes, at most 4096), in one pass of AES.
  void keystream_run(std::uint64_t first, std::size_t count, std::size_t offset, std::size_t bytes,
                     MutableBytes out);

 private:
  Gcm gcm_;  // for seal() and open(), in place of the next two
  CipherContext seal_;
  CipherContext open_;
  CipherContext block_;  // AES-256-ECB of counter blocks, or ChaCha20: for keystream()
  Uses uses_;
  Cipher cipher_;
};

/// A keyed stream that both ends advance together: AES-256-CTR from an all-zero counter block.
class KeyStream {
 public:
  explicit KeyStream(const Key256& key);
  /// The next out.size() bytes of the stream.
  void next(MutableBytes out);

 private:
  CipherContext ctx_;
};

}  // namespace qudag::crypto
