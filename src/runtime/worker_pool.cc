#include "runtime/worker_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace qudag::runtime {
namespace {

constexpr int kWorkerNice = 5;  // above the process: a third of a loop's weight

}  // namespace

ThreadWorkerPool::ThreadWorkerPool(unsigned threads, std::size_t waiting_max)
    : waiting_max_(waiting_max) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

ThreadWorkerPool::~ThreadWorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadWorkerPool::submit(std::function<void()> work, Executor& shard,
                              std::function<void(Now)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= waiting_max_) return false;
    jobs_.push_back({std::move(work), &shard, std::move(done)});
  }
  wake_.notify_one();
  return true;
}

void ThreadWorkerPool::run() {
  // Where cores are scarce, loops come first. On Linux a nice value is a thread's own.
  const auto self = static_cast<id_t>(::gettid());
  static_cast<void>(
      ::setpriority(PRIO_PROCESS, self, ::getpriority(PRIO_PROCESS, self) + kWorkerNice));
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.work();
    job.shard->post(std::move(job.done));  // a stopped shard drops it
  }
}

}  // namespace qudag::runtime
