// Threads for slow work: signatures, key generation, files. Bounded in threads and in waiting work.
#pragma once

#include "base/limits.h"
#include "queue/queue.h"
#include "runtime/driver.h"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace qudag::runtime {

class ThreadWorkerPool final : public WorkerPool {
 public:
  explicit ThreadWorkerPool(unsigned threads = 1, std::size_t waiting_max = limits::kWorkerJobsMax);
  /// Work under way is finished; work that waits is dropped.
  ~ThreadWorkerPool() override;

  /// Any thread. `shard` must outlive the pool.
  bool submit(std::function<void()> work, Executor& shard, std::function<void(Now)> done) override;
  /// Any thread.
  void report(BoundedList& out) const;

 private:
  struct Job {
    std::function<void()> work;
    Executor* shard;
    std::function<void(Now)> done;
  };

  void run();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  queue::Queue<Job, 1> jobs_;  // under the mutex
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qudag::runtime
