// Who gets what pipes may hold together (limits.pipe_bytes), when it is short: beyond half of it
// only what each pipe needs to go on, so that pipes which stand still and hold much stop no other.
#pragma once

#include "message/pipe/events.h"
#include "message/pipe/incoming.h"

#include <cstdint>

namespace qudag::message {

/// What a pipe always may hold and be promised, each way, while there is any.
inline constexpr std::uint64_t kPipeShareFirst = kPipeWindowFirst;

/// For what goes beyond that.
[[nodiscard]] inline bool reserve_more(PipesOfNode& node, memory::Budget& claim,
                                       std::uint64_t bytes) {
  return node.bytes().used() + bytes <= node.bytes().bytes_max() / 2 && node.reserve(claim, bytes);
}

/// How many of so many bytes a program may write, which are reserved then; 0: none.
[[nodiscard]] inline std::uint64_t reserve_written(PipesOfNode& node, memory::Budget& claim,
                                                   std::uint64_t held, std::uint64_t bytes) {
  if (reserve_more(node, claim, bytes)) return bytes;
  const std::uint64_t first = held < kPipeShareFirst ? kPipeShareFirst - held : 0;
  if (first == 0) return 0;
  bytes = bytes < first ? bytes : first;
  return node.reserve(claim, bytes) ? bytes : 0;
}

}  // namespace qudag::message
