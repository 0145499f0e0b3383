// Ids of the messages that go to one shard, drawn on the threads of those who send.
#pragma once

#include "base/rng.h"
#include "message/id_stock.h"

#include <qudag/message.h>

#include <mutex>

namespace qudag::node {

/// Any thread. The lock is held for a copy, and once in 64 times for a draw.
class MessageIds {
 public:
  explicit MessageIds(Rng& rng) : rng_(rng) {}

  MessageId next() {
    const std::lock_guard lock(mutex_);
    return {stock_.next(rng_)};
  }

 private:
  std::mutex mutex_;
  Rng& rng_;
  message::IdStock stock_;
};

}  // namespace qudag::node
