// A node's identity: an ML-DSA-65 key pair (FIPS 204), its id, signing and verifying.
//
// Signatures carry a context string (FIPS 204, 5.2), so that a signature made for one purpose
// never verifies for another: kDescriptorContext, kMessageContext.
#pragma once

#include "crypto/kem.h"

#include <qudag/address.h>

#include <array>
#include <string_view>

namespace qudag::crypto {

inline constexpr std::size_t kIdentityPublicSize = 1952;
inline constexpr std::size_t kSignatureSize = 3309;
inline constexpr std::size_t kIdentitySeedSize = 32;

inline constexpr std::string_view kDescriptorContext = "qudag/1 descriptor";
inline constexpr std::string_view kMessageContext = "qudag/1 message";

using IdentityPublicBytes = std::array<std::byte, kIdentityPublicSize>;
using Signature = std::array<std::byte, kSignatureSize>;

/// SHA-256 of the raw public key.
NodeId id_of(std::span<const std::byte, kIdentityPublicSize> public_key);

/// False for a wrong signature and for a key that does not parse. 0.2 ms.
bool verify(std::span<const std::byte, kIdentityPublicSize> public_key, std::string_view context,
            Bytes message, std::span<const std::byte, kSignatureSize> signature);

class Identity {
 public:
  static Result<Identity> generate();
  static Result<Identity> from_seed(std::span<const std::byte, kIdentitySeedSize> seed);

  Secret<kIdentitySeedSize> seed() const;
  const NodeId& id() const { return id_; }
  const IdentityPublicBytes& public_bytes() const { return public_; }

  /// Hedged signature (fresh randomness from OpenSSL). 1.2 ms: not for a loop thread under load.
  Result<Signature> sign(std::string_view context, Bytes message) const;

  /// For TLS in link/: the key itself. Owned by this object.
  evp_pkey_st* pkey() const { return key_.get(); }

 private:
  Identity() = default;
  NodeId id_{};
  IdentityPublicBytes public_{};
  Pkey key_;
};

}  // namespace qudag::crypto
