#include "netmap/gossip/verify_queue.h"

#include "base/limits.h"

#include <algorithm>
#include <utility>

namespace qudag::netmap {
namespace {

/// A turn verifies 16: what stood so long was in a node that did not turn.
constexpr auto kAgeMax = std::chrono::minutes(1);

}  // namespace

VerifyQueue::VerifyQueue(std::size_t waiting_max)
    : takes_any_(waiting_max > 0),
      ledger_({std::max<std::size_t>(1, waiting_max),
               std::max<std::size_t>(1, waiting_max) * limits::kDescriptorBytesMax, kAgeMax,
               sync::WhenFull::drop_oldest}) {}

void VerifyQueue::push(NodeLink link, Bytes raw, TimePoint now) {
  if (!takes_any_ || raw.size() > ledger_.bounds().bytes_max) {
    return ledger_.refuse(DropReason::too_large);
  }
  while (ledger_.refusal(raw.size())) {
    const Item oldest = lines_.drop_first(lines_.longest(link));
    ledger_.drop(oldest.raw.size(), DropReason::oldest);
  }
  lines_.push(link, {{raw.begin(), raw.end()}, now});
  ledger_.enter(raw.size());
}

std::optional<VerifyQueue::Waiting> VerifyQueue::pop(TimePoint now) {
  while (auto next = lines_.pop()) {
    Item& item = next->item;
    if (now - item.since >= kAgeMax) {
      ledger_.drop(item.raw.size(), DropReason::expired);
      continue;
    }
    ledger_.leave(item.raw.size(), now - item.since);
    return Waiting{next->key, std::move(item.raw)};
  }
  return std::nullopt;
}

std::uint64_t VerifyQueue::dropped() const {
  return ledger_.drops(DropReason::oldest) + ledger_.drops(DropReason::expired) +
         ledger_.drops(DropReason::too_large);
}

void VerifyQueue::report(BoundedList& out, TimePoint now) const {
  Duration oldest{};
  lines_.for_each_first([&](const Item& first) { oldest = std::max(oldest, now - first.since); });
  out.push_back(ledger_.report("descriptors to be verified", {}, oldest));
}

}  // namespace qudag::netmap
