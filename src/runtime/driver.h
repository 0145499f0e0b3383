// What a shard looks like to whoever drives it: a real loop (runtime/loop.h) or the simulator.
//
// One turn: read datagrams, run what is due, flush. The shard never blocks and never asks for the
// time; it is told. Everything is called on one thread.
#pragma once

#include "base/time.h"
#include "base/work_end.h"

#include <functional>
#include <optional>
#include <utility>

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
  [[nodiscard]] virtual bool post(std::function<void(Now)> task) = 0;

  /// A place for one task that must not be lost: kept beside those of post(), so that a full
  /// mailbox does not refuse it. It is used once, or given back unused.
  class Place {
   public:
    explicit Place(Executor& of) : of_(&of) {}
    ~Place() {
      if (of_ != nullptr) of_->give_back();
    }
    Place(Place&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(of_, other.of_);
      return *this;
    }
    /// Any thread. The task runs exactly once, unless the shard has stopped.
    void post(std::function<void(Now)> task) && {
      std::exchange(of_, nullptr)->post_kept(std::move(task));
    }

   private:
    Executor* of_;  // outlives this
  };
  /// Any thread. Nothing: all are in use.
  std::optional<Place> keep_place() { return keep() ? std::optional<Place>(*this) : std::nullopt; }
  /// For what nobody says again: by post(), or, when the mailbox is full, by a kept place. Then it
  /// may run after what was posted later. False: the shard has stopped, or neither has room.
  [[nodiscard]] bool post_or_keep(const std::function<void(Now)>& task) {
    if (post(task)) return true;
    auto place = keep_place();
    if (place) std::move(*place).post(task);
    return place.has_value();
  }

 private:
  virtual bool keep() = 0;
  virtual void give_back() = 0;
  virtual void post_kept(std::function<void(Now)> task) = 0;
};

/// Slow work (signatures, key generation, files) off the loop. `done` runs on the shard.
class WorkerPool {
 public:
  virtual ~WorkerPool() = default;
  /// False if the pool or the shard has no room; then neither function runs. Else `done` runs
  /// exactly once, unless the shard stops first, and is told whether the work was done.
  [[nodiscard]] virtual bool submit(std::function<void()> work, Executor& shard,
                                    std::function<void(WorkEnd, Now)> done) = 0;
};

}  // namespace qudag::runtime
