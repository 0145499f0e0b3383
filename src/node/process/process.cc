#include "node/process/process.h"

#include "node/process/hardening.h"
#include "node/process/usage.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

namespace qudag::node {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kShardBytes = 1'400 * 1024;      // receive buffers, send queue, stack
constexpr std::uint64_t kTrimProcessAfter = 128 * 1024;  // freed bytes that are worth it
constexpr Duration kAskAllEvery = 50ms;
constexpr Duration kCountEvery = 1s;

}  // namespace

Process::Process(const Options& options, unsigned shards)
    : whole_process_(options.whole_process),
      memory_max_(options.limits.memory),
      shards_(shards),
      floor_((whole_process_ ? resident_bytes() : 0) + shards * kShardBytes) {}

Status Process::check_memory() const {
  const std::uint64_t needed = 2 * (floor_ + shards_ * kShardBytes / 2);
  if (memory_max_ >= needed) return {};
  return fail(Errc::config_invalid,
              fmt::format("limits.memory is {} MiB, but with {} shards this node needs {} MiB",
                          memory_max_ >> 20, shards_, (needed >> 20) + 1));
}

// What was freed lies in the process allocator, between what is in use, until its pages are given
// back.
void Process::trim(AppPool& pool) {
  if (whole_process_) exclude_from_dumps();  // heaps have grown since the last time
  note_freed(pool.trim());
  if (freed_.load(std::memory_order_relaxed) < kTrimProcessAfter) return;
  freed_.store(0, std::memory_order_relaxed);
  malloc_trim(0);
}

bool Process::may_ask_all(TimePoint now) {
  const std::int64_t at = now.time_since_epoch() / 1ms;
  std::int64_t last = asked_at_.load(std::memory_order_relaxed);
  return at - last >= kAskAllEvery / 1ms && asked_at_.compare_exchange_strong(last, at);
}

void Process::look(bool short_of, memory::Bound& bound, AppPool& pool, runtime::WorkerPool& workers,
                   runtime::Executor& executor) {
  if (!short_of && !whole_process_) return;
  if (measuring_.exchange(true, std::memory_order_relaxed)) return;
  const auto task = [this, short_of, &bound, &pool] {
    if (short_of) {
      pool.release_free();
      malloc_trim(0);
    }
    measure(bound);
  };
  const auto over = [this] { measuring_.store(false, std::memory_order_relaxed); };
  if (!workers.submit(task, executor, [over](WorkEnd, Now) { over(); })) over();
}

// What no part accounts for counts as the process's, so that the sum is what is resident: the bound
// holds for the whole, also for what nobody thought of.
void Process::measure(memory::Bound& bound) const {
  if (!whole_process_) return;
  const std::uint64_t resident = resident_bytes();
  const std::uint64_t accounted = bound.accounted();
  bound.set_process(std::max(floor_, resident - std::min(resident, accounted)));
}

void Process::count_descriptors(TimePoint now, runtime::WorkerPool& workers,
                                runtime::Executor& executor) {
  if (now < descriptors_due_) return;
  if (descriptors_asked_.exchange(true, std::memory_order_relaxed)) return;
  descriptors_due_ = now + kCountEvery;
  const bool taken = workers.submit(
      [this] { descriptors_.store(descriptors_used(), std::memory_order_relaxed); }, executor,
      [this](WorkEnd, Now) { descriptors_asked_.store(false, std::memory_order_relaxed); });
  if (!taken) descriptors_asked_.store(false, std::memory_order_relaxed);
}

}  // namespace qudag::node
