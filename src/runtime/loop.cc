// A turn, then a rest: none if there is something to do already, a short wait awake if waits have
// been short, a sleep otherwise.
#include "runtime/loop.h"

#include "runtime/clock.h"
#include "runtime/poller.h"
#include "sync/mailbox.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace qudag::runtime {
namespace {

struct Task {
  std::function<void(Now)> run;
  TimePoint posted;
};

/// A deadline this near is waited for by turning: paced links have such deadlines all the time.
constexpr auto kSoon = std::chrono::microseconds(50);
/// A timeout of a wait may be that much late (and a thousandth of its length, says Linux).
constexpr unsigned long kTimerSlackNs = 1'000;
/// Turns without a rest, until what is not the socket's reading is looked at again.
constexpr unsigned kLookEvery = 16;
/// So many rests in a row that were short make the next one a wait awake.
constexpr unsigned kShortRests = 4;

std::uint64_t microseconds(Duration d) {
  return static_cast<std::uint64_t>(std::max<Duration>(d, Duration::zero()) /
                                    std::chrono::microseconds(1));
}

}  // namespace

struct Loop::Impl {
  Impl(int fd, const LoopOptions& with)
      : options(with), poller(fd), mailbox("tasks of a loop", with.tasks_max) {}

  void turn(Driven& driven);
  void run_tasks(const Now& now);
  void run_kept(const Now& now);
  void rest(const Driven& driven);
  bool stay_awake(TimePoint due);
  void take(const Poller::Ready& found);

  const LoopOptions options;
  Poller poller;

  bool readable = true;  // the first turn looks
  bool writable = false;
  bool watched = false;
  std::function<void(Now)> when_watched;
  LoopStats stats;
  TimePoint turn_began = system_now().mono;  // the turn before
  TimePoint turn_ended{};
  std::atomic<Duration::rep> busy{0};  // written by the loop's thread only
  unsigned without_rest = 0;           // turns in a row
  unsigned short_rests = 0;            // in a row

  std::atomic<bool> stopping{false};
  sync::Mailbox<Task> mailbox;
  // Tasks that must not be lost: ends of work, some thousands a second at most.
  std::atomic<std::size_t> kept{0};  // places in use
  std::atomic<bool> any_kept{false};
  std::mutex kept_mutex;
  std::vector<Task> kept_tasks;  // under it; at most one for each place
  std::function<void(Now)> each_turn;
  std::function<bool()> sleep = [] { return true; };  // another mailbox's
};

Loop::Loop(int fd, const LoopOptions& options) : impl_(std::make_unique<Impl>(fd, options)) {}
Loop::~Loop() = default;

Duration Loop::busy() const noexcept {
  return Duration(impl_->busy.load(std::memory_order_relaxed));
}

const LoopStats& Loop::stats() const { return impl_->stats; }

bool Loop::post(std::function<void(Now)> task) {
  if (impl_->stopping.load(std::memory_order_acquire)) return false;
  switch (impl_->mailbox.push({std::move(task), system_now().mono})) {
    case sync::Pushed::wake:
      wake();
      return true;
    case sync::Pushed::queued:
      return true;
    case sync::Pushed::full:
    case sync::Pushed::closed:
      break;
  }
  return false;
}

void Loop::watch(int fd, std::function<void(Now)> readable) {
  impl_->poller.watch(fd);
  impl_->when_watched = std::move(readable);
}

void Loop::wake() noexcept { impl_->poller.wake(); }

void Loop::at_each_turn(std::function<void(Now)> task, std::function<bool()> sleep) {
  impl_->each_turn = std::move(task);
  impl_->sleep = std::move(sleep);
}

void Loop::report(BoundedList& out) const {
  out.push_back(impl_->mailbox.report());
  out.push_back(bounded(Bounded::Kind::queue, "ends of work, under way or waiting", "refuse new",
                        impl_->kept.load(std::memory_order_relaxed), impl_->options.kept_max,
                        sizeof(Task)));
}

// ---- Tasks that must not be lost ----------------------------------------------------------------

bool Loop::keep() {
  std::size_t in_use = impl_->kept.load(std::memory_order_relaxed);
  do {
    if (in_use >= impl_->options.kept_max) return false;
  } while (!impl_->kept.compare_exchange_weak(in_use, in_use + 1, std::memory_order_relaxed));
  return true;
}

void Loop::give_back() { impl_->kept.fetch_sub(1, std::memory_order_relaxed); }

void Loop::post_kept(std::function<void(Now)> task) {
  if (impl_->stopping.load(std::memory_order_acquire)) return give_back();
  {
    const std::lock_guard lock(impl_->kept_mutex);
    impl_->kept_tasks.push_back({std::move(task), system_now().mono});
  }
  impl_->any_kept.store(true);
  wake();
}

/// Whoever kept a place has it back when its task is over, so that tasks cannot pile up.
void Loop::Impl::run_kept(const Now& now) {
  if (!any_kept.exchange(false)) return;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(kept_mutex);
    tasks.swap(kept_tasks);
  }
  for (const Task& task : tasks) {
    stats.lag_us.record(microseconds(now.mono - task.posted));
    kept.fetch_sub(1, std::memory_order_relaxed);
    task.run(now);
  }
  stats.tasks += tasks.size();
}

void Loop::stop() noexcept {
  impl_->stopping.store(true, std::memory_order_release);
  wake();
}

void Loop::run(Driven& driven) {
  ::prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  while (!impl_->stopping.load(std::memory_order_acquire)) {
    impl_->turn(driven);
    if (impl_->stopping.load(std::memory_order_acquire)) break;
    impl_->rest(driven);
  }
  impl_->mailbox.close();
  impl_->mailbox.drain([](Task&&) {});
  const std::lock_guard lock(impl_->kept_mutex);
  impl_->kept_tasks.clear();
}

// ---- A turn -------------------------------------------------------------------------------------

void Loop::Impl::turn(Driven& driven) {
  ++stats.turns;
  Now now = system_now();
  const TimePoint began = now.mono;
  run_tasks(now);
  if (std::exchange(watched, false)) when_watched(now);
  if (std::exchange(writable, false)) driven.on_writable(now);
  if (readable) {
    readable = driven.on_readable(now);
    now = system_now();  // reading may have taken a while, and packets have their time by then
    run_tasks(now);      // what was answered at once leaves with this turn
  }
  if (const TimePoint due = driven.next_deadline(); due <= now.mono) {
    // A deadline older than the last turn was set in that turn: it is not later than the turn was
    // long.
    stats.lag_us.record(microseconds(now.mono - std::max(due, turn_began)));
    driven.on_time(now);
  }
  driven.flush(now);
  poller.want_writable(driven.wants_writable());
  turn_began = began;
  turn_ended = system_now().mono;
  stats.turn.record(turn_ended - began);
  busy.store(busy.load(std::memory_order_relaxed) + (turn_ended - began).count(),
             std::memory_order_relaxed);
}

void Loop::Impl::run_tasks(const Now& now) {
  poller.begin();
  stats.tasks += mailbox.drain([&](Task&& task) {
    const Duration waited = std::max(Duration{0}, now.mono - task.posted);
    stats.lag_us.record(microseconds(waited));
    mailbox.record_wait(waited, 1);
    task.run(now);
  });
  run_kept(now);
  if (each_turn) each_turn(now);
}

// ---- A rest -------------------------------------------------------------------------------------

void Loop::Impl::rest(const Driven& driven) {
  const TimePoint due = driven.next_deadline();
  if (readable || due <= turn_ended + kSoon || poller.woken() || !mailbox.sleep() || !sleep()) {
    if (++without_rest % kLookEvery == 0 || driven.wants_writable()) take(poller.look());
    readable = poller.has_socket();  // asking the socket itself costs as much as asking about it
    return;
  }
  without_rest = 0;
  // Much work comes by itself in the time of going to sleep, and is done together then.
  if (turn_ended - turn_began > options.awake_max / 2) short_rests = 0;
  if (short_rests < kShortRests || !stay_awake(due)) {
    take(poller.sleep(due == kNever ? Duration::max() : due - turn_ended));
    ++stats.sleeps;
  }
  const bool is_short = system_now().mono - turn_ended <= options.awake_max;
  short_rests = is_short ? short_rests + 1 : 0;
}

/// True if something came. Whoever rests for longer than `awake_max` now and then sleeps at once.
bool Loop::Impl::stay_awake(TimePoint due) {
  const TimePoint until = std::min(turn_ended + options.awake_max, due);
  do {
    const Poller::Ready found = poller.look();
    if (found.any() || poller.woken()) {
      take(found);
      ++stats.rests_awake;
      return true;
    }
    std::this_thread::yield();  // whoever else wants this core works meanwhile
  } while (system_now().mono < until);
  short_rests = 0;
  return false;
}

void Loop::Impl::take(const Poller::Ready& found) {
  readable |= found.readable;
  writable |= found.writable;
  watched |= found.watched;
}

}  // namespace qudag::runtime
