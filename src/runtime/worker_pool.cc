#include "runtime/worker_pool.h"

#include "runtime/clock.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace qudag::runtime {
namespace {

constexpr int kWorkerNice = 5;  // above the process: a third of a loop's weight
/// By then whoever wanted it has given up.
constexpr auto kJobAgeMax = std::chrono::minutes(1);

}  // namespace

void ThreadWorkerPool::Job::end(WorkEnd how) && {
  std::move(home).post([done = std::move(done), how](Now now) { done(how, now); });
}

ThreadWorkerPool::ThreadWorkerPool(unsigned threads, std::size_t waiting_max, Clock clock)
    : clock_(clock ? std::move(clock) : [] { return system_now().mono; }),
      jobs_("work for the worker pool",
            {waiting_max, waiting_max * sizeof(Job), kJobAgeMax, sync::WhenFull::drop_expired},
            [](Job&& job) { std::move(job).end(WorkEnd::expired); }) {
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
                              std::function<void(WorkEnd, Now)> done) {
  auto home = shard.keep_place();
  if (!home) return false;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    Job job{std::move(work), std::move(*home), std::move(done)};
    if (jobs_.push(std::move(job), sizeof(Job), clock_())) return false;
  }
  wake_.notify_one();
  return true;
}

void ThreadWorkerPool::report(BoundedList& out) const {
  const std::lock_guard lock(mutex_);
  jobs_.report(out, clock_());
}

void ThreadWorkerPool::run() {
  // Where cores are scarce, loops come first. On Linux a nice value is a thread's own.
  const auto self = static_cast<id_t>(::gettid());
  static_cast<void>(
      ::setpriority(PRIO_PROCESS, self, ::getpriority(PRIO_PROCESS, self) + kWorkerNice));
  for (;;) {
    std::optional<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = jobs_.pop(clock_());
    }
    if (!job) continue;
    job->work();
    std::move(*job).end(WorkEnd::ran);  // a stopped shard drops it
  }
}

}  // namespace qudag::runtime
