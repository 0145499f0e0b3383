// The names of links and of their streams, for every module: who has one need not know what a link
// is.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace qudag {

/// Names a link of one shard; never reused within a process (slot and generation). The default
/// names none. In order: those of a later generation come last.
struct LinkId {
  std::uint32_t slot = UINT32_MAX;
  std::uint32_t generation = 0;
  bool operator==(const LinkId&) const = default;
  std::strong_ordering operator<=>(const LinkId& other) const {
    if (const auto by = generation <=> other.generation; by != 0) return by;
    return slot <=> other.slot;
  }
};

/// Names a link of the node: a shard, and one of its links. In order: by shard, then as its links.
struct NodeLink {
  std::uint32_t shard = 0;
  LinkId link;
  auto operator<=>(const NodeLink&) const = default;
};

/// Names a stream on a link. `index` is the QUIC stream id, below 0 for none.
struct StreamId {
  LinkId link;
  std::int64_t index = -1;
  auto operator<=>(const StreamId&) const = default;
};

}  // namespace qudag

template <>
struct std::hash<qudag::LinkId> {
  std::size_t operator()(qudag::LinkId link) const noexcept {
    return std::hash<std::uint64_t>{}((std::uint64_t{link.generation} << 32) | link.slot);
  }
};
