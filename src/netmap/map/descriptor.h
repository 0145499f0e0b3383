// A node's signed description of itself: encode, parse, verify (docs/reference/protocol.md, 8.1).
//
// The form is exact: one byte string per descriptor, every field inside its bounds, nothing after
// the signature. parse() checks form and times, which is cheap; parse_and_verify() adds the
// signature; make_entry() adds the import of the onion keys.
#pragma once

#include "base/limits.h"
#include "base/reach.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/kem.h"

#include <qudag/address.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace qudag::netmap {

/// How far in the future a descriptor may be published: for clocks that differ.
inline constexpr UnixSeconds kPublishedAheadMax = 600;

struct OnionKeyPublic {
  UnixSeconds not_before = 0;
  UnixSeconds not_after = 0;
  crypto::KemPublicBytes key{};
};

/// What a descriptor says, but for its keys and its signature.
struct DescriptorFacts {
  NodeId id;               // derived, not on the wire
  std::uint64_t rank = 0;  // the same; of two descriptors of an id the one with the higher stands
  UnixSeconds published = 0;
  UnixSeconds expires = 0;
  bool relay = false;
  bool keeper = false;  // a relay at which receivers wait
  /// The node has stopped: no addresses, no keys, and no relay. It keeps the place of what it
  /// withdraws until that would have ended.
  bool withdrawn = false;
  std::uint32_t capacity_kib_s = 0;
  std::uint16_t version_min = 1;
  std::uint16_t version_max = 1;
  std::vector<SocketAddress> addresses;

  bool names(const SocketAddress& address) const {
    return std::ranges::find(addresses, address) != addresses.end();
  }
};

struct Descriptor : DescriptorFacts {
  crypto::IdentityPublicBytes identity{};
  std::vector<OnionKeyPublic> onion_keys;
};

/// `published`, and then the beginning of the SHA-256 of the whole descriptor: so of two that are
/// equally old every node keeps the same one (8.1).
inline constexpr int kRankHashBits = 24;
constexpr std::uint64_t rank_of(UnixSeconds published, std::uint32_t hash) {
  return published << kRankHashBits | hash >> (32 - kRankHashBits);
}

/// Everything before the signature. The fields must keep the rules of 8.1.
std::vector<std::byte> encode_unsigned(const Descriptor& descriptor);

/// Signs with the identity (1.2 ms), whose public key is written; `descriptor.identity` and `.id`
/// are not read. `invalid_argument` if the fields break a rule of 8.1.
Result<std::vector<std::byte>> encode_and_sign(const Descriptor& descriptor,
                                               const crypto::Identity& identity);
/// Form and times; not the signature. malformed, unsupported, expired, too_large.
Result<Descriptor> parse(Bytes raw, UnixSeconds now);
/// parse(), then the signature (0.2 ms): authentication_failed.
Result<Descriptor> parse_and_verify(Bytes raw, UnixSeconds now);

/// What the netmap holds of a node. Immutable; shared between the netmap, its views and routes.
/// Keys are imported when they are used: as OpenSSL holds them they are several times as large.
struct Entry {
  DescriptorFacts descriptor;
  std::vector<std::byte> raw;  // as received, for gossip; empty: let go of, it is passed on nowhere
  std::vector<std::byte> keys;  // then: the onion keys, as they stood there
  /// Of the path by which it came. An address that reaches less far is not dialed.
  Reach told_over = Reach::machine;
  bool dialable(const SocketAddress& address) const { return may_dial(address, told_over); }
  /// True if a receiver over a path of that reach would dial no address that we would not.
  bool may_go_over(Reach path) const;
  bool has_onion_key(UnixSeconds now) const { return !newest_key(now).empty(); }
  /// The newest onion key valid now, imported (25 us); null if none.
  std::shared_ptr<const crypto::KemPublicKey> onion_key(UnixSeconds now) const;
  /// The same as it stands in the descriptor; empty if none.
  Bytes newest_key(UnixSeconds now) const;
};
using EntryPtr = std::shared_ptr<const Entry>;  // owners: netmap, views, nobody longer than a turn

/// Of a descriptor that nobody verified.
std::shared_ptr<Entry> unverified_entry(const DescriptorFacts& facts, std::vector<std::byte> raw);
/// The same without what only gossip needs of it: identity and signature.
EntryPtr without_raw(const Entry& entry);
/// parse_and_verify(), then the keys (25 us each): `malformed` for a key that does not import.
Result<EntryPtr> make_entry(Bytes raw, UnixSeconds now, Reach told_over = Reach::machine);

}  // namespace qudag::netmap
