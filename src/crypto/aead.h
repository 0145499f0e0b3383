// AES-256-GCM with the key set up once: seal and open in place, and the raw keystream of a nonce.
//
// One object per key. Not thread-safe; owned by the shard that owns the circuit or link. After
// construction nothing allocates. Source: NIST SP 800-38D; 96-bit nonces, 128-bit tags.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"

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

class Aead {
 public:
  /// What an object can be asked for; each use costs a context (see README.md), so an owner of many
  /// circuits names what it needs. Asking for another is an assertion.
  using Uses = unsigned;
  static constexpr Uses kSeal = 1, kOpen = 2, kKeystream = 4, kAllUses = 7;

  explicit Aead(const Key256& key, Uses uses = kAllUses);

  /// Encrypts `text` in place and writes its tag.
  void seal(const Nonce& nonce, Bytes aad, MutableBytes text, std::span<std::byte, kTagSize> tag);
  /// Decrypts `text` in place. On false the contents of `text` are unspecified and must be dropped.
  [[nodiscard]] bool open(const Nonce& nonce, Bytes aad, MutableBytes text,
                          std::span<const std::byte, kTagSize> tag);
  /// Writes the bytes that seal() with this nonce XORs onto text[offset .. offset + out.size()).
  /// GCM is CTR mode from counter block 2 (SP 800-38D, 7.1), so this is AES of those blocks.
  /// `offset` and `out.size()` must be multiples of 16.
  void keystream(const Nonce& nonce, std::size_t offset, MutableBytes out);
  /// The same piece, `bytes` long, for the nonces counter_nonce(first) .. counter_nonce(first +
  /// count - 1), one after the other in out (count * bytes, at most 4096), in one pass of AES.
  void keystream_run(std::uint64_t first, std::size_t count, std::size_t offset, std::size_t bytes,
                     MutableBytes out);

 private:
  CipherContext seal_;
  CipherContext open_;
  CipherContext block_;  // AES-256-ECB of counter blocks, for keystream()
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
