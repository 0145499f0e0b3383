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
      room_(waiting_max * limits::kDescriptorBytesMax),
      ledger_({std::max<std::size_t>(1, waiting_max),
               std::max<std::size_t>(1, waiting_max) * limits::kDescriptorBytesMax, kAgeMax,
               sync::WhenFull::drop_oldest}),
      lines_(waiting_max) {
  free_.reserve(waiting_max);
  for (std::size_t i = waiting_max; i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
}

void VerifyQueue::push(NodeLink link, Bytes raw, TimePoint now) {
  if (!takes_any_ || raw.size() > limits::kDescriptorBytesMax) {
    return ledger_.refuse(DropReason::too_large);
  }
  while (ledger_.refusal(raw.size())) {
    const Item oldest = lines_.drop_first(lines_.longest(link));
    ledger_.drop(oldest.bytes, DropReason::oldest);
    free_.push_back(oldest.place);
  }
  const std::uint32_t place = free_.back();
  free_.pop_back();
  std::ranges::copy(raw, room_.data() + place * limits::kDescriptorBytesMax);
  lines_.push(link, {place, static_cast<std::uint32_t>(raw.size()), now});
  ledger_.enter(raw.size());
}

std::optional<VerifyQueue::Waiting> VerifyQueue::pop(TimePoint now) {
  while (auto next = lines_.pop()) {
    const Item& item = next->item;
    free_.push_back(item.place);  // nothing overwrites it before the next push
    if (now - item.since >= kAgeMax) {
      ledger_.drop(item.bytes, DropReason::expired);
      continue;
    }
    ledger_.leave(item.bytes, now - item.since);
    return Waiting{next->key,
                   {room_.data() + item.place * limits::kDescriptorBytesMax, item.bytes}};
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
