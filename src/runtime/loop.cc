#include "runtime/loop.h"

#include "queue/mailbox.h"
#include "runtime/clock.h"
#include "runtime/handler_memory.h"

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace qudag::runtime {

namespace asio = boost::asio;

namespace {

struct Task {
  std::function<void(Now)> run;
  TimePoint posted;
};

/// A deadline this near is waited for by turning, not by a timer: arming one costs more, and paced
/// links have such deadlines all the time.
constexpr auto kSoon = std::chrono::microseconds(50);

std::uint64_t microseconds(Duration d) {
  return static_cast<std::uint64_t>(std::max<Duration>(d, Duration::zero()) /
                                    std::chrono::microseconds(1));
}

}  // namespace

struct Loop::Impl {
  Impl(int fd, std::size_t tasks_max)
      : socket(io), watched(io), timer(io), mailbox("tasks of a loop", tasks_max) {
    if (fd >= 0) socket.assign(fd);
  }
  ~Impl() {
    for (auto* each : {&socket, &watched}) {
      if (each->is_open()) each->release();  // the descriptor is not ours
    }
  }

  void turn(Driven& driven);
  void run_tasks(const Now& now);
  bool may_sleep() { return !readable && !soon && mailbox.sleep() && sleep(); }
  void wait_readable();
  void wait_writable();
  void wait_watched();
  void arm_timer(TimePoint due);
  template <class Handler>
  auto placed(Handler handler) {
    return asio::bind_allocator(HandlerAllocator<>(waits), std::move(handler));
  }

  HandlerMemory waits;  // of io; ends after it
  asio::io_context io{1};
  asio::posix::stream_descriptor socket;
  asio::posix::stream_descriptor watched;
  asio::steady_timer timer;

  bool readable = true;  // the first turn looks
  bool soon = false;     // the next turn is due at once, or nearly
  bool reading = false;  // a wait for readability is under way
  bool writable = false;
  bool writing = false;
  std::function<void(Now)> when_watched;
  bool watched_ready = false;
  TimePoint timer_due = kNever;  // of the wait under way
  LoopStats stats;
  TimePoint turn_began = system_now().mono;  // the turn before
  std::atomic<Duration::rep> busy{0};        // written by the loop's thread only

  std::atomic<bool> stopping{false};
  queue::Mailbox<Task> mailbox;
  std::function<void(Now)> each_turn;
  std::function<bool()> sleep = [] { return true; };
};

Loop::Loop(int fd, std::size_t mailbox_max) : impl_(std::make_unique<Impl>(fd, mailbox_max)) {}
Loop::~Loop() = default;

Duration Loop::busy() const noexcept {
  return Duration(impl_->busy.load(std::memory_order_relaxed));
}

const LoopStats& Loop::stats() const { return impl_->stats; }

bool Loop::post(std::function<void(Now)> task) {
  if (impl_->stopping.load(std::memory_order_acquire)) return false;
  switch (impl_->mailbox.push({std::move(task), system_now().mono})) {
    case queue::Pushed::wake:
      wake();
      return true;
    case queue::Pushed::queued:
      return true;
    case queue::Pushed::full:
    case queue::Pushed::closed:
      break;
  }
  return false;
}

void Loop::watch(int fd, std::function<void(Now)> readable) {
  impl_->watched.assign(fd);
  impl_->when_watched = std::move(readable);
  impl_->wait_watched();
}

void Loop::wake() {
  asio::post(impl_->io, impl_->placed([] {}));
}

void Loop::at_each_turn(std::function<void(Now)> task, std::function<bool()> sleep) {
  impl_->each_turn = std::move(task);
  impl_->sleep = std::move(sleep);
}

void Loop::report(BoundedList& out) const { out.push_back(impl_->mailbox.report()); }

void Loop::stop() noexcept {
  impl_->stopping.store(true, std::memory_order_release);
  impl_->io.stop();
}

void Loop::run(Driven& driven) {
  const auto work = asio::make_work_guard(impl_->io);
  while (!impl_->stopping.load(std::memory_order_acquire)) {
    impl_->turn(driven);
    if (impl_->stopping.load(std::memory_order_acquire)) break;
    if (impl_->may_sleep()) impl_->io.run_one();
    impl_->io.poll();
  }
  impl_->mailbox.close();
  impl_->mailbox.drain([](Task&&) {});
}

void Loop::Impl::turn(Driven& driven) {
  ++stats.turns;
  const Now now = system_now();
  run_tasks(now);
  if (watched_ready) {
    watched_ready = false;
    when_watched(now);
    wait_watched();
  }
  if (writable) {
    writable = false;
    driven.on_writable(now);
  }
  if (readable) readable = driven.on_readable(now);
  if (const TimePoint due = driven.next_deadline(); due <= now.mono) {
    // A deadline older than the last turn was set in that turn: it is not later than the turn was
    // long.
    stats.lag_us.record(microseconds(now.mono - std::max(due, turn_began)));
    driven.on_time(now);
  }
  driven.flush(now);

  if (!readable) wait_readable();
  if (driven.wants_writable()) wait_writable();
  const TimePoint next = driven.next_deadline();
  const TimePoint end = system_now().mono;
  busy.store(busy.load(std::memory_order_relaxed) + (end - now.mono).count(),
             std::memory_order_relaxed);
  soon = next <= end + kSoon;
  turn_began = now.mono;
  if (!soon && !readable) arm_timer(next);
}

void Loop::Impl::run_tasks(const Now& now) {
  stats.tasks += mailbox.drain([&](Task&& task) {
    const Duration waited = std::max(Duration{0}, now.mono - task.posted);
    stats.lag_us.record(microseconds(waited));
    mailbox.record_wait(waited, 1);
    task.run(now);
  });
  if (each_turn) each_turn(now);
}

void Loop::Impl::wait_readable() {
  if (reading || !socket.is_open()) return;
  reading = true;
  socket.async_wait(asio::posix::stream_descriptor::wait_read,
                    placed([this](const boost::system::error_code& error) {
                      reading = false;
                      readable = !error;
                    }));
}

void Loop::Impl::wait_writable() {
  if (writing || !socket.is_open()) return;
  writing = true;
  socket.async_wait(asio::posix::stream_descriptor::wait_write,
                    placed([this](const boost::system::error_code& error) {
                      writing = false;
                      writable = !error;
                    }));
}

void Loop::Impl::wait_watched() {
  watched.async_wait(
      asio::posix::stream_descriptor::wait_read,
      placed([this](const boost::system::error_code& error) { watched_ready = !error; }));
}

void Loop::Impl::arm_timer(TimePoint due) {
  // A wait that ends too early only costs an idle turn; one that ends too late is replaced.
  if (due >= timer_due) return;
  timer_due = due;
  timer.expires_at(std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(due.time_since_epoch())));
  timer.async_wait(placed([this](const boost::system::error_code& error) {
    if (error) return;  // replaced by an earlier one
    timer_due = kNever;
  }));
}

}  // namespace qudag::runtime
