// The first hops of a node: one list of guards for all of its shards, and their circuits counted.
//
// If every shard had its own guards a node would show itself to so many times more first hops.
// Threads: any shard's; a short lock for each circuit that is built or ends.
#pragma once

#include "netmap/routes/route.h"

#include <mutex>
#include <utility>

namespace qudag::shard {

class NodeGuards {
 public:
  NodeGuards() = default;
  /// As they were before a restart.
  explicit NodeGuards(netmap::Guards guards) : guards_(std::move(guards)) {}

  template <class F>
  auto with(F&& use) {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(use)(guards_);
  }

 private:
  std::mutex mutex_;
  netmap::Guards guards_;
};

}  // namespace qudag::shard
