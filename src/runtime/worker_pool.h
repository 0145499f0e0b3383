// Threads for slow work: signatures, key generation, files. Bounded in threads and in waiting work.
//
// The place in the shard's mailbox for the end of a job is kept before the job is taken, so that a
// full mailbox loses none. A job that waited for a minute is not begun any more, and its end says
// so.
#pragma once

#include "base/limits.h"
#include "runtime/driver.h"
#include "sync/queue.h"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qudag::runtime {

class ThreadWorkerPool final : public WorkerPool {
 public:
  /// By this a job's age is known; for tests another than the system's.
  using Clock = std::function<TimePoint()>;

  explicit ThreadWorkerPool(unsigned threads = 1, std::size_t waiting_max = limits::kWorkerJobsMax,
                            Clock clock = {});
  /// Work under way is finished; work that waits is dropped.
  ~ThreadWorkerPool() override;

  /// Any thread. `shard` must outlive the pool.
  [[nodiscard]] bool submit(std::function<void()> work, Executor& shard,
                            std::function<void(WorkEnd, Now)> done) override;
  /// Any thread.
  void report(BoundedList& out) const;

 private:
  struct Job {
    void end(WorkEnd how) &&;

    std::function<void()> work;
    Executor::Place home;
    std::function<void(WorkEnd, Now)> done;
  };

  void run();

  const Clock clock_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  sync::Queue<Job> jobs_;  // under the mutex
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qudag::runtime
