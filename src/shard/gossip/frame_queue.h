// Gossip frames that wait for their turn, by link.
//
// Links take turns, so one that floods waits for itself. When all places are taken, the newest
// frame of the link with most gives way; nobody else's does. What is dropped, the next digest
// repeats. One owner.
#pragma once

#include "base/link_id.h"
#include "sync/fair_lines.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qudag::shard {

struct WaitingFrame {
  std::uint8_t type = 0;
  std::vector<std::byte> body;
};

class FrameQueue {
 public:
  static constexpr std::size_t kPerLink = 512;
  static constexpr std::size_t kMax = 2'048;

  /// Whether there is a place for one more of that link; then push() takes it.
  bool make_place(NodeLink link);
  void push(NodeLink link, WaitingFrame frame) { lines_.push(link, std::move(frame)); }
  using Lines = sync::FairLines<WaitingFrame, NodeLink>;
  std::optional<Lines::Popped> pop() { return lines_.pop(); }
  void forget(NodeLink link) { lines_.forget(link); }

  bool empty() const { return lines_.empty(); }
  std::size_t size() const { return lines_.size(); }
  std::uint64_t gave_way() const { return gave_way_; }

 private:
  Lines lines_{kMax};
  std::uint64_t gave_way_ = 0;
};

}  // namespace qudag::shard
