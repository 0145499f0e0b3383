#include "runtime/worker_pool.h"

#include "runtime/clock.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace qudag::runtime {
namespace {

constexpr int kWorkerNice = 5;  // above the process: a third of a loop's weight
/// By then whoever wanted it has given up. Its end is told as if it had been done: what it should
/// have made is not there.
constexpr auto kJobAgeMax = std::chrono::minutes(1);

}  // namespace

ThreadWorkerPool::ThreadWorkerPool(unsigned threads, std::size_t waiting_max)
    : jobs_({"work for the worker pool",
             {queue::LevelBounds(waiting_max, waiting_max * sizeof(Job), kJobAgeMax,
                                 queue::WhenFull::drop_expired)}},
            [](Job&& job, std::size_t, DropReason) { job.shard->post(std::move(job.done)); }) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

ThreadWorkerPool::~ThreadWorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadWorkerPool::submit(std::function<void()> work, Executor& shard,
                              std::function<void(Now)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    const auto refused =
        jobs_.push(0, {std::move(work), &shard, std::move(done)}, sizeof(Job), system_now().mono);
    if (refused) return false;
  }
  wake_.notify_one();
  return true;
}

void ThreadWorkerPool::report(BoundedList& out) const {
  const std::lock_guard lock(mutex_);
  jobs_.report(out, system_now().mono);
}

void ThreadWorkerPool::run() {
  // Where cores are scarce, loops come first. On Linux a nice value is a thread's own.
  const auto self = static_cast<id_t>(::gettid());
  static_cast<void>(
      ::setpriority(PRIO_PROCESS, self, ::getpriority(PRIO_PROCESS, self) + kWorkerNice));
  for (;;) {
    std::optional<queue::Queue<Job, 1>::Popped> popped;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      popped = jobs_.pop(system_now().mono);
    }
    if (!popped) continue;
    Job& job = popped->item;
    job.work();
    job.shard->post(std::move(job.done));  // a stopped shard drops it
  }
}

}  // namespace qudag::runtime
