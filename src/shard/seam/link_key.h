// A link as one number, for modules that may not know link/ and for the hub.
#pragma once

#include "link/endpoint.h"

#include <cstdint>

namespace qudag::shard {

constexpr std::uint64_t pack(link::LinkId id) {
  return (std::uint64_t{id.generation} << 32) | id.slot;
}
constexpr link::LinkId unpack_link(std::uint64_t key) {
  return {.slot = static_cast<std::uint32_t>(key),
          .generation = static_cast<std::uint32_t>(key >> 32)};
}

/// A link of some shard as the netmap's key: shard in the top byte.
constexpr std::uint64_t gossip_key(unsigned shard, link::LinkId link) {
  return (std::uint64_t{shard} << 56) | (std::uint64_t{link.generation} << 24) |
         (link.slot & 0xff'ffffu);
}

}  // namespace qudag::shard
