// Answers of applications to messages in hand, on their way to a shard: one task of its loop takes
// all that came meanwhile.
//
// Bounded by the messages in hand, 65,536 a shard. Threads: put() any, take() the shard's.
#pragma once

#include "message/messages.h"

#include <qudag/message.h>

#include <mutex>
#include <utility>
#include <vector>

namespace qudag::node {

class Settlements {
 public:
  struct One {
    message::Handed handed;
    Accept answer = Accept::taken;
  };

  /// True: it is the first, so the shard must be told that there is something.
  bool put(const One& one) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(one);
    return waiting_.size() == 1;
  }
  std::vector<One> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<One> waiting_;
};

}  // namespace qudag::node
