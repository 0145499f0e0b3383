#include "memory/bound.h"

#include <algorithm>

namespace qudag::memory {

namespace {

constexpr std::uint64_t kHighOneIn = 16;
constexpr std::uint64_t kQuicOneIn = 16;
constexpr std::uint64_t kHandshakesOneIn = 32;
constexpr std::uint64_t kNetmapOneIn = 4;
constexpr std::uint64_t kNormalClaimOneIn = 16;

}  // namespace

std::uint64_t Bound::kept_bytes(std::uint64_t bytes_max) {
  return bytes_max / kQuicOneIn + bytes_max / kHandshakesOneIn;
}

std::uint64_t Bound::reserved_bytes(std::uint64_t bytes_max) {
  return kept_bytes(bytes_max) + bytes_max / kHighOneIn;
}

Bound::Bound(std::uint64_t bytes_max, std::uint64_t process)
    : node_("node", bytes_max),
      parts_{
          Budget{"process", bytes_max, &node_},
          Budget{"blocks", bytes_max, &node_},
          Budget{"high_blocks", bytes_max, &node_, bytes_max / kHighOneIn},
          Budget{"quic", bytes_max, &node_, bytes_max / kQuicOneIn},
          Budget{"handshakes", bytes_max / kHandshakesOneIn, &node_, bytes_max / kHandshakesOneIn},
          Budget{"links", bytes_max, &node_},
          Budget{"circuits", bytes_max, &node_},
          Budget{"netmap", bytes_max / kNetmapOneIn, &node_},
          Budget{"tables", bytes_max, &node_}},
      messages_("messages", bytes_max - std::min(bytes_max / 2, process + kept_bytes(bytes_max))),
      claims_{Budget{"high", bytes_max, &messages_, bytes_max / kHighOneIn},
              Budget{"normal", bytes_max, &messages_, bytes_max / kNormalClaimOneIn},
              Budget{"low", bytes_max, &messages_}} {
  set_process(process);
}

Bound::~Bound() { set_process(0); }

std::uint64_t Bound::accounted() const {
  std::uint64_t out = 0;
  for (std::size_t i = 1; i < kPartCount; ++i) out += parts_[i].used();
  return out;
}

std::uint64_t Bound::claimed() const {
  std::uint64_t out = 0;
  for (const Budget& claim : claims_) out += claim.used();
  return out;
}

void Bound::report(BoundedList& out) const {
  const auto add = [&out](std::string_view name, std::string_view level, const Budget& budget) {
    Bounded row;
    row.kind = Bounded::Kind::budget;
    row.name = name;
    row.level = level;
    row.when_full = "refuse";
    row.bytes = budget.used();
    row.bytes_max = budget.bytes_max();
    out.push_back(row);
  };
  add("memory of the node", {}, node_);
  for (const Budget& part : parts_) add("memory, by part", part.name(), part);
  for (const Budget& claim : claims_) add("claims of messages", claim.name(), claim);
}

void Bound::set_process(std::uint64_t bytes) {
  Budget& process = part(Part::process);
  const std::uint64_t before = process.used();
  if (bytes > before) process.reserve_anyway(bytes - before);
  if (bytes < before) process.release(before - bytes);
}

}  // namespace qudag::memory
