// What a shard needs from the process around it. Node implements it with threads and mailboxes, the
// simulator with its event queue: the shard cannot tell.
#pragma once

#include "base/time.h"
#include "netmap/netmap.h"
#include "runtime/driver.h"

#include <qudag/message.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace qudag::node {

class ShardHost {
 public:
  virtual ~ShardHost() = default;
  /// So many sends of each class have had their completion since the last call; once for each turn
  /// in which there were any. On the shard's thread.
  virtual void on_ended(unsigned shard, const std::array<std::uint64_t, kClassCount>& count) {
    static_cast<void>(shard), static_cast<void>(count);
  }
  /// A message for the application. On the shard's thread.
  virtual Accept on_message(Message&& message) = 0;
  /// The shard has ended its links after stop(); its loop may end. On the shard's thread.
  virtual void on_stopped(unsigned shard) = 0;
  /// How to run something on a shard; index < shards.
  virtual runtime::Executor& executor(unsigned shard) = 0;
  virtual runtime::WorkerPool& workers() = 0;
  /// A shard has done its maintenance and freed about so many bytes: time for that of the process.
  /// On the shard's thread, every few seconds.
  virtual void on_maintained(unsigned shard, std::uint64_t freed) {
    static_cast<void>(shard), static_cast<void>(freed);
  }
  /// Time to look at what the process holds; `short_of` says that the memory bound is near, and
  /// that everybody shall give back what is free. On the shard's thread, some times a second at
  /// most.
  virtual void on_memory_watch(unsigned shard, bool short_of) {
    static_cast<void>(shard), static_cast<void>(short_of);
  }
};

}  // namespace qudag::node
