// What a shard looks like to whoever drives it: a real loop (runtime/loop.h) or the simulator.
//
// One turn: read datagrams, run what is due, flush. The shard never blocks and never asks for the
// time; it is told. Everything is called on one thread.
#pragma once

#include "base/time.h"

#include <functional>

namespace qudag::runtime {

class Driven {
 public:
  virtual ~Driven() = default;
  /// The socket may have datagrams. Reads at most one turn's budget; true if more may be waiting.
  virtual bool on_readable(Now now) = 0;
  /// The socket took fewer trains than offered and now has room again.
  virtual void on_writable(Now now) = 0;
  /// A deadline passed, or a posted task ran.
  virtual void on_time(Now now) = 0;
  /// Ends the turn: everything that became ready in this turn is written, once.
  virtual void flush(Now now) = 0;
  /// When on_time must run next; kNever if nothing is pending.
  virtual TimePoint next_deadline() const = 0;
  /// True while the socket refused trains and on_writable is wanted.
  virtual bool wants_writable() const = 0;
};

/// How work reaches a shard from another thread: bounded, run in order on the shard's thread.
class Executor {
 public:
  virtual ~Executor() = default;
  /// False if the mailbox is full or the shard has stopped; the task then does not run.
  virtual bool post(std::function<void(Now)> task) = 0;
};

/// Slow work (signatures, key generation, files) off the loop. `done` runs on the shard.
class WorkerPool {
 public:
  virtual ~WorkerPool() = default;
  /// False if the pool's queue is full; then neither function runs.
  virtual bool submit(std::function<void()> work, Executor& shard,
                      std::function<void(Now)> done) = 0;
};

}  // namespace qudag::runtime
