// Frames out: whole into as many payloads as they need, at once. They are few and short, and who
// does not read them is ended by the caller (Circuits::queued).
#pragma once

#include "circuit/circuits.h"
#include "wire/keeper_frames.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace qudag::keeper {

/// False: the pool has no block. Something may have left all the same; the circuit has to end.
[[nodiscard]] inline bool say(circuit::Circuits& circuits, circuit::CircuitId circuit,
                              Priority priority, const wire::KeeperFrame& frame, Now now) {
  std::vector<std::byte> raw;
  wire::append(raw, frame);
  for (Bytes rest(raw); !rest.empty();) {
    memory::Block block = circuits.payload_block(priority);
    if (!block) return false;
    const MutableBytes payload = block.bytes();
    const std::size_t n = std::min(rest.size(), payload.size() - 1);
    payload.front() = static_cast<std::byte>(wire::KeeperPayload::frames);
    std::memcpy(payload.data() + 1, rest.data(), n);
    std::ranges::fill(payload.subspan(1 + n), std::byte{0});
    rest = rest.subspan(n);
    circuits.send(circuit, std::move(block), now);
  }
  return true;
}

/// The same as what rides in a build: all of `out` is written.
inline void write_rider(const wire::KeeperFrame& frame, MutableBytes out) {
  std::vector<std::byte> raw;
  wire::append(raw, frame);
  QUDAG_ASSERT(raw.size() <= out.size());
  std::ranges::copy(raw, out.begin());
  std::ranges::fill(out.subspan(raw.size()), std::byte{0});
}

}  // namespace qudag::keeper
