// What a shard needs from the process around it. Node implements it with threads and mailboxes, the
// simulator with its event queue: the shard cannot tell.
#pragma once

#include "base/time.h"
#include "netmap/netmap.h"
#include "runtime/driver.h"

#include <qudag/message.h>

#include <cstdint>
#include <span>
#include <vector>

namespace qudag::node {

class ShardHost {
 public:
  virtual ~ShardHost() = default;
  /// A message for the application. On the shard's thread.
  virtual Accept on_message(Message&& message) = 0;
  /// The shard has ended its links after stop(); its loop may end. On the shard's thread.
  virtual void on_stopped(unsigned shard) = 0;
  /// How to run something on a shard; index < shards.
  virtual runtime::Executor& executor(unsigned shard) = 0;
  virtual runtime::WorkerPool& workers() = 0;
};

}  // namespace qudag::node
