// The loop of one shard: turns of one Driven over one socket, on the thread that calls run().
//
// One turn, in order: run posted tasks and what else a turn begins with; read, and look again at
// the latter, so that what is answered at once leaves with this turn; on_time if a deadline passed;
// flush, once. Then a rest: none if something is left to do; awake, for at most `awake_max`, if the
// last rests were shorter than that; asleep otherwise.
//
// Threads: run() on one thread; post(), wake() and stop() from any. Limits: `tasks_max` waiting
// tasks, and beside them `kept_max` places for ends of work, which are kept before the work begins.
#pragma once

#include "base/bounded.h"
#include "base/histogram.h"
#include "base/limits.h"
#include "base/time.h"
#include "base/time_histogram.h"
#include "runtime/driver.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace qudag::runtime {

struct LoopStats {
  std::uint64_t turns = 0;
  std::uint64_t tasks = 0;
  std::uint64_t sleeps = 0;
  std::uint64_t rests_awake = 0;
  Histogram lag_us;    // how late a deadline or a posted task was served
  TimeHistogram turn;  // from a turn's begin to its end: what comes meanwhile waits for the next
};

/// Places for the ends of work: of jobs that wait or are done by workers, and as many that were
/// done.
inline constexpr std::size_t kLoopKeptMax = 2 * limits::kWorkerJobsMax;

struct LoopOptions {
  std::size_t tasks_max = limits::kLoopTasksMax;
  std::size_t kept_max = kLoopKeptMax;
  /// Rests shorter than this are spent awake: going to sleep and being woken takes about as long,
  /// and the core of whoever wakes us. 0: always asleep.
  Duration awake_max{};
};

class Loop final : public Executor {
 public:
  /// `fd` is the socket's descriptor, watched and never read or closed here; -1: no socket.
  explicit Loop(int fd, const LoopOptions& options = {});
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// One more descriptor: `readable` runs in a turn, on the loop's thread, when it can be read. Not
  /// owned; before run().
  void watch(int fd, std::function<void(Now)> readable);
  /// Turns until stop(). Tasks that are still waiting then are dropped unrun.
  void run(Driven& driven);
  void stop() noexcept;
  /// Tasks of one thread run in the order of its posts.
  [[nodiscard]] bool post(std::function<void(Now)> task) override;

  /// What else every turn begins with, and what is asked before the loop sleeps; before run(). For
  /// a mailbox of the owner's (sync/mailbox.h): who puts something into it while it sleeps calls
  /// wake(); if sleep() is false there is another turn at once.
  void at_each_turn(std::function<void(Now)> task, std::function<bool()> sleep);
  /// There will be a turn, soon.
  void wake() noexcept;

  /// How long turns took, all together: what the loop did not wait. Any thread.
  Duration busy() const noexcept;

  /// On the loop's thread, or after run() has returned.
  const LoopStats& stats() const;
  void report(BoundedList& out) const;

 private:
  bool keep() override;
  void give_back() override;
  void post_kept(std::function<void(Now)> task) override;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::runtime
