// A node's signed description of itself: encode, parse, verify (docs/protocol.md, 8.1).
#pragma once

#include "base/limits.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/kem.h"

#include <qudag/address.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace qudag::netmap {

struct OnionKeyPublic {
  UnixSeconds not_before = 0;
  UnixSeconds not_after = 0;
  crypto::KemPublicBytes key{};
};

struct Descriptor {
  crypto::IdentityPublicBytes identity{};
  NodeId id;  // derived, not on the wire
  UnixSeconds published = 0;
  UnixSeconds expires = 0;
  bool relay = false;
  std::uint32_t capacity_kib_s = 0;
  std::uint16_t version_min = 1;
  std::uint16_t version_max = 1;
  std::vector<SocketAddress> addresses;
  std::vector<OnionKeyPublic> onion_keys;
};

/// Signs with the identity (1.2 ms). `invalid_argument` if the fields break a rule of 8.1.
Result<std::vector<std::byte>> encode_and_sign(const Descriptor& descriptor,
                                               const crypto::Identity& identity);
/// Form and times; not the signature. malformed, unsupported, expired, too_large.
Result<Descriptor> parse(Bytes raw, UnixSeconds now);
/// parse(), then the signature (0.2 ms): authentication_failed.
Result<Descriptor> parse_and_verify(Bytes raw, UnixSeconds now);

/// What the netmap holds of a node. Immutable; shared between the netmap, its views and routes.
struct Entry {
  Descriptor descriptor;
  std::vector<std::byte> raw;                                     // as received, for gossip
  std::vector<std::shared_ptr<const crypto::KemPublicKey>> keys;  // imported, same order
  /// The newest onion key valid now; null if none.
  std::shared_ptr<const crypto::KemPublicKey> onion_key(UnixSeconds now) const;
};

}  // namespace qudag::netmap
