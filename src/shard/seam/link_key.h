// A link of some shard as one number: the netmap serves the links of all shards.
#pragma once

#include "base/link_id.h"

#include <cstdint>

namespace qudag::shard {

/// The netmap's key: shard in the top byte.
constexpr std::uint64_t gossip_key(unsigned shard, LinkId link) {
  return (std::uint64_t{shard} << 56) | (std::uint64_t{link.generation} << 24) |
         (link.slot & 0xff'ffffu);
}
/// The same link for its own shard.
constexpr LinkId link_of(std::uint64_t gossip_key) {
  return {.slot = static_cast<std::uint32_t>(gossip_key & 0xff'ffff),
          .generation = static_cast<std::uint32_t>(gossip_key >> 24)};
}

}  // namespace qudag::shard
