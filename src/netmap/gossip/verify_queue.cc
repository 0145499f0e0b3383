// One line per link that has something waiting, served in the order of their keys.
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

void VerifyQueue::push(std::uint64_t link, Bytes raw, TimePoint now) {
  if (!takes_any_ || raw.size() > ledger_.bounds().bytes_max) {
    return ledger_.refuse(DropReason::too_large);
  }
  while (ledger_.refusal(raw.size())) {
    // The new one counts as its link's already.
    const auto length = [link](const auto& line) {
      return line.second.size() + (line.first == link ? 1 : 0);
    };
    const Item oldest = take_front(std::ranges::max_element(lines_, {}, length));
    ledger_.drop(oldest.raw.size(), DropReason::oldest);
  }
  lines_[link].push_back({{raw.begin(), raw.end()}, now});
  ledger_.enter(raw.size());
}

std::optional<VerifyQueue::Waiting> VerifyQueue::pop(TimePoint now) {
  while (!empty()) {
    auto at = lines_.upper_bound(last_served_);
    if (at == lines_.end()) at = lines_.begin();
    last_served_ = at->first;
    Item item = take_front(at);
    if (now - item.since >= kAgeMax) {
      ledger_.drop(item.raw.size(), DropReason::expired);
      continue;
    }
    ledger_.leave(item.raw.size(), now - item.since);
    return Waiting{last_served_, std::move(item.raw)};
  }
  return std::nullopt;
}

std::uint64_t VerifyQueue::dropped() const {
  return ledger_.drops(DropReason::oldest) + ledger_.drops(DropReason::expired) +
         ledger_.drops(DropReason::too_large);
}

void VerifyQueue::report(BoundedList& out, TimePoint now) const {
  Duration oldest{};
  for (const auto& [link, line] : lines_) oldest = std::max(oldest, now - line.front().since);
  out.push_back(ledger_.report("descriptors to be verified", {}, oldest));
}

VerifyQueue::Item VerifyQueue::take_front(Lines::iterator at) {
  Item item = std::move(at->second.front());
  at->second.pop_front();
  if (at->second.empty()) lines_.erase(at);
  return item;
}

}  // namespace qudag::netmap
