// The hybrid KEM of a hop: X25519 (RFC 7748) and ML-KEM-768 (FIPS 203), both secrets into HKDF.
//
//   public key  = x25519_pk (32) || mlkem_ek (1184)                        1216 bytes
//   ciphertext  = x25519_ephemeral_pk (32) || mlkem_ct (1088)              1120 bytes
//   prk         = HKDF-Extract(salt "qudag/1 hybrid kem", mlkem_ss || x25519_ss)
//   secret      = HKDF-Expand(prk, "secret" || SHA-256(ciphertext || public key), 32)
//
// A wrong ML-KEM ciphertext yields a wrong secret, not an error (implicit rejection); the caller
// finds out when the first tag under that secret does not verify. The only error of decapsulate is
// an X25519 point of low order, and callers must answer it exactly like a failed tag.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"

#include <qudag/error.h>

#include <array>
#include <memory>
#include <span>

struct evp_pkey_st;

namespace qudag::crypto {

inline constexpr std::size_t kX25519Size = 32;
inline constexpr std::size_t kMlKemPublicSize = 1184;
inline constexpr std::size_t kMlKemCiphertextSize = 1088;
inline constexpr std::size_t kKemPublicSize = kX25519Size + kMlKemPublicSize;          // 1216
inline constexpr std::size_t kKemCiphertextSize = kX25519Size + kMlKemCiphertextSize;  // 1120
inline constexpr std::size_t kKemSeedSize = 32 + 64;  // X25519 private key, ML-KEM seed d || z

inline constexpr std::size_t kKemEncapsulationSeedSize = 32 + 32;  // X25519 private key, ML-KEM m

using KemPublicBytes = std::array<std::byte, kKemPublicSize>;
using KemCiphertext = std::array<std::byte, kKemCiphertextSize>;

struct PkeyDeleter {
  void operator()(evp_pkey_st* key) const noexcept;
};
using Pkey = std::unique_ptr<evp_pkey_st, PkeyDeleter>;

/// A peer's public key, imported once (the import expands ML-KEM's matrix) and used many times.
/// Immutable: encapsulate() may run on several threads at once.
class KemPublicKey {
 public:
  static Result<KemPublicKey> import(Bytes raw);  // 1216 bytes

  struct Encapsulation {
    KemCiphertext ciphertext;
    Key256 secret;
  };
  /// `authentication_failed` if the key's X25519 point is of low order.
  Result<Encapsulation> encapsulate() const;
  /// Deterministic, for golden vectors only: the seed must never be used twice or kept.
  Result<Encapsulation> encapsulate_from(
      std::span<const std::byte, kKemEncapsulationSeedSize> seed) const;

  const KemPublicBytes& bytes() const { return raw_; }

 private:
  KemPublicKey() = default;
  KemPublicBytes raw_{};
  Pkey x25519_;
  Pkey mlkem_;
};

/// A key pair: a node's onion key, or a source's ephemeral key for one hop's reply.
class KemKeyPair {
 public:
  static Result<KemKeyPair> generate();
  /// Deterministic, for golden vectors and for keys stored on disk.
  static Result<KemKeyPair> from_seed(std::span<const std::byte, kKemSeedSize> seed);
  Secret<kKemSeedSize> seed() const;

  const KemPublicBytes& public_bytes() const { return public_; }
  Result<Key256> decapsulate(Bytes ciphertext) const;  // 1120 bytes

 private:
  KemKeyPair() = default;
  KemPublicBytes public_{};
  Pkey x25519_;
  Pkey mlkem_;
};

}  // namespace qudag::crypto
