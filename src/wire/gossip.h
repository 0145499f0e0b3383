// The bodies of gossip frames (docs/reference/protocol.md, 8.2), read in place.
//
//   DIGEST = lo u8 || hi u8 || count u16 || count * (id (32) || rank u64)
//   WANT   = count u16 || count * id (32)
//
// A view is made only from a body of exactly the right form, and lives as long as the body. The
// third body, DESCRIPTOR, is one descriptor: netmap/map/descriptor.h.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <qudag/address.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qudag::wire {

inline constexpr std::size_t kDigestEntriesMax = 400;
inline constexpr std::size_t kWantIdsMax = 400;
inline constexpr std::size_t kDigestHeaderBytes = 1 + 1 + 2;
inline constexpr std::size_t kDigestEntryBytes = NodeId::kSize + 8;
inline constexpr std::size_t kWantHeaderBytes = 2;
static_assert(kDigestHeaderBytes + kDigestEntriesMax * kDigestEntryBytes <=
              limits::kControlFrameBytesMax);
static_assert(kWantHeaderBytes + kWantIdsMax * NodeId::kSize <= limits::kControlFrameBytesMax);

/// Whose descriptor, and how new it is.
struct DigestEntry {
  NodeId id;
  std::uint64_t rank = 0;
  auto operator<=>(const DigestEntry&) const = default;
};

/// Every descriptor that the sender holds whose id's first byte is in [lo, hi].
class DigestView {
 public:
  /// Nothing unless lo <= hi, count <= 400, the length is exact and every id is in the range.
  static std::optional<DigestView> parse(Bytes body);

  std::uint8_t lo() const { return lo_; }
  std::uint8_t hi() const { return hi_; }
  std::size_t size() const { return entries_.size() / kDigestEntryBytes; }
  DigestEntry at(std::size_t index) const;

 private:
  std::uint8_t lo_ = 0;
  std::uint8_t hi_ = 0;
  Bytes entries_;
};

/// Whose descriptors the sender asks for.
class WantView {
 public:
  /// Nothing unless count <= 400 and the length is exact.
  static std::optional<WantView> parse(Bytes body);

  std::size_t size() const { return ids_.size() / NodeId::kSize; }
  NodeId at(std::size_t index) const;

 private:
  Bytes ids_;
};

/// At most kDigestEntriesMax entries, all inside [lo, hi].
std::vector<std::byte> encode_digest(std::uint8_t lo, std::uint8_t hi,
                                     std::span<const DigestEntry> entries);
/// At most kWantIdsMax ids; out.size() is want_bytes(ids.size()).
constexpr std::size_t want_bytes(std::size_t ids) { return kWantHeaderBytes + ids * NodeId::kSize; }
void write_want(std::span<const NodeId> ids, MutableBytes out);
std::vector<std::byte> encode_want(std::span<const NodeId> ids);

}  // namespace qudag::wire
