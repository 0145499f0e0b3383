// The bodies of gossip frames (docs/reference/protocol.md, 8.2), read in place.
//
//   range   = prefix u64 || depth u8             ids that begin with the first `depth` nibbles
//   DIGEST  = range || count u16 || count * (id (32) || rank u64)
//   WANT    = count u16 || count * id (32)
//   SUMMARY = range || nonce u64 || 16 * (count u16 || fingerprint u64)
//   ASK     = count u8 || count * (prefix u64 || depth u8, its highest bit: as DIGESTs)
//
// A view is made only from a body of exactly the right form, and lives as long as the body. The
// body of DESCRIPTOR is one descriptor: netmap/map/descriptor.h.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <qudag/address.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qudag::wire {

/// The ids that begin with the same `depth` nibbles; all of them without any. Its sixteen parts
/// have one nibble more.
struct IdRange {
  std::uint64_t prefix = 0;  // as the first 8 bytes of an id; 0 behind the nibbles
  std::uint8_t depth = 0;    // at most kDepthMax

  static constexpr std::uint8_t kDepthMax = 16;
  static constexpr std::size_t kParts = 16;

  bool contains(const NodeId& id) const {
    return ((load_be<std::uint64_t>(id.bytes.data()) ^ prefix) & mask()) == 0;
  }
  /// The lowest id in it.
  NodeId first() const {
    NodeId id{};
    store_be(id.bytes.data(), prefix);
    return id;
  }
  /// depth < kDepthMax.
  IdRange part(std::size_t index) const {
    QUDAG_ASSERT(depth < kDepthMax && index < kParts);
    return {prefix | std::uint64_t{index} << (60 - 4 * depth),
            static_cast<std::uint8_t>(depth + 1)};
  }
  /// Of that depth, around an id.
  static IdRange around(const NodeId& id, std::uint8_t depth) {
    IdRange range{load_be<std::uint64_t>(id.bytes.data()), depth};
    range.prefix &= range.mask();
    return range;
  }
  bool valid() const { return depth <= kDepthMax && (prefix & ~mask()) == 0; }
  auto operator<=>(const IdRange&) const = default;

 private:
  std::uint64_t mask() const { return depth == 0 ? 0 : ~std::uint64_t{0} << (64 - 4 * depth); }
};

inline constexpr std::size_t kDigestEntriesMax = 400;
inline constexpr std::size_t kWantIdsMax = 400;
inline constexpr std::size_t kAskRangesMax = 16;
inline constexpr std::size_t kRangeBytes = 8 + 1;
inline constexpr std::size_t kDigestHeaderBytes = kRangeBytes + 2;
inline constexpr std::size_t kDigestEntryBytes = NodeId::kSize + 8;
inline constexpr std::size_t kWantHeaderBytes = 2;
inline constexpr std::size_t kSummaryBytes = kRangeBytes + 8 + IdRange::kParts * (2 + 8);
static_assert(kDigestHeaderBytes + kDigestEntriesMax * kDigestEntryBytes <=
              limits::kControlFrameBytesMax);
static_assert(kWantHeaderBytes + kWantIdsMax * NodeId::kSize <= limits::kControlFrameBytesMax);

/// Whose descriptor, and how new it is.
struct DigestEntry {
  NodeId id;
  std::uint64_t rank = 0;
  auto operator<=>(const DigestEntry&) const = default;
};

/// Every descriptor that the sender shows whose id is in the range.
class DigestView {
 public:
  /// Nothing unless the range is valid, count <= 400, the length is exact, every id is in the
  /// range, and ids ascend.
  static std::optional<DigestView> parse(Bytes body);

  const IdRange& range() const { return range_; }
  std::size_t size() const { return entries_.size() / kDigestEntryBytes; }
  DigestEntry at(std::size_t index) const;

 private:
  IdRange range_;
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

/// What the sender shows of each part of a range.
struct Summary {
  struct Part {
    std::uint16_t count = 0;  // 65535: that many, or more
    std::uint64_t fingerprint = 0;
    bool operator==(const Part&) const = default;
  };
  IdRange range;
  std::uint64_t nonce = 0;
  std::array<Part, IdRange::kParts> parts{};
  bool operator==(const Summary&) const = default;
};

/// Nothing unless the range is valid and can be parted, and the length is exact.
std::optional<Summary> parse_summary(Bytes body);
std::array<std::byte, kSummaryBytes> encode_summary(const Summary& summary);

/// What the sender asks to be told of a range: the entries, or else the summary.
struct Ask {
  IdRange range;
  bool entries = false;
  bool operator==(const Ask&) const = default;
};

/// At most kAskRangesMax of them, none where a range is wrong, or a summary is asked of a range
/// that has no parts.
std::optional<std::vector<Ask>> parse_ask(Bytes body);
std::vector<std::byte> encode_ask(std::span<const Ask> asks);

/// At most kDigestEntriesMax entries, all inside the range, ascending.
std::vector<std::byte> encode_digest(const IdRange& range, std::span<const DigestEntry> entries);
/// At most kWantIdsMax ids; out.size() is want_bytes(ids.size()).
constexpr std::size_t want_bytes(std::size_t ids) { return kWantHeaderBytes + ids * NodeId::kSize; }
void write_want(std::span<const NodeId> ids, MutableBytes out);
std::vector<std::byte> encode_want(std::span<const NodeId> ids);

}  // namespace qudag::wire
