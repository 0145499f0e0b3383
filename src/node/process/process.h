// What belongs to the process and to no shard: what it holds beside the accounted memory, what the
// process allocator keeps after a burst, the files it has open. Looked at on workers, because it
// takes milliseconds; asked for by shards.
#pragma once

#include <qudag/error.h>
#include "base/time.h"
#include "memory/bound.h"
#include "node/process/app_pool.h"
#include "runtime/driver.h"

#include <qudag/options.h>

#include <atomic>
#include <cstdint>

namespace qudag::node {

class Process {
 public:
  Process(const Options& options, unsigned shards);

  /// What is there before any work: buffers of sockets and trains, and the process if it is ours.
  std::uint64_t floor() const { return floor_; }
  /// Whether limits.memory is enough to start with.
  Status check_memory() const;

  /// About so many bytes went to the process allocator. Any thread.
  void note_freed(std::uint64_t bytes) { freed_.fetch_add(bytes, std::memory_order_relaxed); }
  /// Gives back what lies free, when it is worth it. On a worker.
  void trim(AppPool& pool);

  /// True once in 50 ms: everybody is to give back what is free. Any thread.
  bool may_ask_all(TimePoint now);
  /// Has a worker look at what is resident, and give back first if memory is short. One look at a
  /// time. On a shard's thread.
  void look(bool short_of, memory::Bound& bound, AppPool& pool, runtime::WorkerPool& workers,
            runtime::Executor& executor);

  /// Share of the files that may be open; on shard 0's thread, which asks for the next count.
  double descriptors() const { return descriptors_.load(std::memory_order_relaxed); }
  void count_descriptors(TimePoint now, runtime::WorkerPool& workers, runtime::Executor& executor);

 private:
  void measure(memory::Bound& bound) const;

  const bool whole_process_;
  const std::uint64_t memory_max_;
  const unsigned shards_;
  const std::uint64_t floor_;
  std::atomic<std::uint64_t> freed_{0};    // since the process allocator was trimmed
  std::atomic<bool> measuring_{false};     // a worker has, or will have, a look
  std::atomic<std::int64_t> asked_at_{0};  // when everybody was last asked to give back
  std::atomic<double> descriptors_{0};
  std::atomic<bool> descriptors_asked_{false};
  TimePoint descriptors_due_{};  // of shard 0
};

}  // namespace qudag::node
