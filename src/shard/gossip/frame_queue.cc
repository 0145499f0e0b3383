#include "shard/gossip/frame_queue.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

bool FrameQueue::make_place(std::uint64_t link) {
  const auto own = lines_.find(link);
  const std::size_t has = own == lines_.end() ? 0 : own->second.size();
  if (has >= kPerLink) return false;
  if (size_ < kMax) return true;
  const auto most =
      std::ranges::max_element(lines_, {}, [](const auto& line) { return line.second.size(); });
  if (most->second.size() <= has + 1) return false;
  most->second.pop_back();
  --size_;
  ++gave_way_;
  return true;
}

void FrameQueue::push(WaitingFrame frame) {
  lines_[frame.link].push_back(std::move(frame));
  ++size_;
}

std::optional<WaitingFrame> FrameQueue::pop() {
  if (size_ == 0) return std::nullopt;
  auto line = lines_.upper_bound(last_served_);
  if (line == lines_.end()) line = lines_.begin();
  last_served_ = line->first;
  WaitingFrame out = std::move(line->second.front());
  line->second.pop_front();
  --size_;
  if (line->second.empty()) lines_.erase(line);
  return out;
}

void FrameQueue::forget(std::uint64_t link) {
  const auto line = lines_.find(link);
  if (line == lines_.end()) return;
  size_ -= line->second.size();
  lines_.erase(line);
}

}  // namespace qudag::shard
