// Gossip frames that wait for their turn, by link.
//
// Links take turns, so one that floods waits for itself. When all places are taken, the newest
// frame of the link with most gives way; nobody else's does. What is dropped, the next digest
// repeats. One owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace qudag::shard {

struct WaitingFrame {
  std::uint64_t link = 0;  // gossip_key()
  std::uint8_t type = 0;
  std::vector<std::byte> body;
};

class FrameQueue {
 public:
  static constexpr std::size_t kPerLink = 512;
  static constexpr std::size_t kMax = 2'048;

  /// Whether there is a place for one more of that link; then push() takes it.
  bool make_place(std::uint64_t link);
  void push(WaitingFrame frame);
  std::optional<WaitingFrame> pop();
  void forget(std::uint64_t link);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::uint64_t gave_way() const { return gave_way_; }

 private:
  std::map<std::uint64_t, std::deque<WaitingFrame>> lines_;  // none is empty
  std::size_t size_ = 0;
  std::uint64_t last_served_ = 0;  // link
  std::uint64_t gave_way_ = 0;
};

}  // namespace qudag::shard
