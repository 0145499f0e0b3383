// One queue per link that has something waiting, served in the order of their keys.
#include "netmap/verify_queue.h"

#include <algorithm>
#include <utility>

namespace qudag::netmap {

void VerifyQueue::push(std::uint64_t link, Bytes raw) {
  if (waiting_max_ == 0) {
    ++dropped_;
    return;
  }
  queues_[link].emplace_back(raw.begin(), raw.end());
  if (++size_ <= waiting_max_) return;
  take_front(
      std::ranges::max_element(queues_, {}, [](const auto& queue) { return queue.second.size(); }));
  ++dropped_;
}

std::optional<VerifyQueue::Waiting> VerifyQueue::pop() {
  if (size_ == 0) return std::nullopt;
  auto at = queues_.upper_bound(last_served_);
  if (at == queues_.end()) at = queues_.begin();
  last_served_ = at->first;
  return Waiting{last_served_, take_front(at)};
}

std::vector<std::byte> VerifyQueue::take_front(Queues::iterator at) {
  std::vector<std::byte> raw = std::move(at->second.front());
  at->second.pop_front();
  --size_;
  if (at->second.empty()) queues_.erase(at);
  return raw;
}

}  // namespace qudag::netmap
