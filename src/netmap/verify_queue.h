// Descriptors that wait for their signature to be verified: bounded, and fair between links.
//
// Links take turns. When the queue is full, the link that has most in it loses its oldest, so a
// link that floods loses its own.
#pragma once

#include "base/bytes.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace qudag::netmap {

class VerifyQueue {
 public:
  struct Waiting {
    std::uint64_t link = 0;
    std::vector<std::byte> raw;
  };

  explicit VerifyQueue(std::size_t waiting_max) : waiting_max_(waiting_max) {}

  void push(std::uint64_t link, Bytes raw);
  /// The oldest of the link whose turn it is.
  std::optional<Waiting> pop();

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  using Queues = std::map<std::uint64_t, std::deque<std::vector<std::byte>>>;
  std::vector<std::byte> take_front(Queues::iterator at);

  std::size_t waiting_max_;
  Queues queues_;  // none is empty
  std::size_t size_ = 0;
  std::uint64_t last_served_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace qudag::netmap
