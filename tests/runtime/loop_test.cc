// The loop of a shard with real threads, timers and a socket. Nothing sleeps; what must happen is
// waited for with a bound, and what must not happen is shown by what follows it.
#include "runtime/loop.h"
#include "runtime/clock.h"
#include "runtime/udp_socket.h"
#include "runtime/worker_pool.h"
#include "support/allocation_count.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace qudag::runtime {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 5s;

/// Counts what the loop asks for.
class Counting : public Driven {
 public:
  bool on_readable(Now now) override {
    ++reads;
    return when_readable ? when_readable(now) : false;
  }
  void on_writable(Now) override { wants = false; }
  void on_time(Now now) override {
    ++times;
    if (when_time) when_time(now);
  }
  void flush(Now now) override {
    ++flushes;
    if (when_flush) when_flush(now);
  }
  TimePoint next_deadline() const override { return deadline; }
  bool wants_writable() const override { return wants; }

  std::function<bool(Now)> when_readable;
  std::function<void(Now)> when_time;
  std::function<void(Now)> when_flush;
  TimePoint deadline = kNever;
  bool wants = false;
  std::atomic<int> reads{0};
  std::atomic<int> times{0};
  std::atomic<int> flushes{0};
};

/// Runs a loop on its own thread until the test ends.
class Running {
 public:
  Running(Loop& loop, Driven& driven) : loop_(loop), thread_([&] { loop.run(driven); }) {}
  ~Running() {
    loop_.stop();
    thread_.join();
  }

 private:
  Loop& loop_;
  std::thread thread_;
};

/// Packets that came meanwhile have later times than the turn's begin, and time does not go back.
TEST(Loop, WhatFollowsReadingHasATimeAfterIt) {
  Loop loop(-1);
  Counting driven;
  TimePoint read_at{}, flushed_at{};
  driven.when_readable = [&](Now now) {
    do read_at = system_now().mono;
    while (read_at - now.mono < 1ms);
    return false;
  };
  driven.when_flush = [&](Now now) {
    flushed_at = now.mono;
    loop.stop();
  };
  loop.run(driven);
  EXPECT_GE(flushed_at, read_at);
  EXPECT_GE(loop.stats().turn.sum(), 1'000.0);
}

TEST(Loop, PostedTasksRunInOrderOnTheLoopsThread) {
  Counting driven;
  Loop loop(-1);
  Running running(loop, driven);
  std::vector<int> order;
  std::promise<std::thread::id> done;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(loop.post([&order, i](Now) { order.push_back(i); }));
  }
  ASSERT_TRUE(loop.post([&](Now) { done.set_value(std::this_thread::get_id()); }));
  auto where = done.get_future();
  ASSERT_EQ(where.wait_for(kPatience), std::future_status::ready);
  EXPECT_NE(where.get(), std::this_thread::get_id());
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Loop, TasksOfManyThreadsAllRun) {
  Counting driven;
  Loop loop(-1, {.tasks_max = 100'000});
  Running running(loop, driven);
  int ran = 0;  // the loop's thread
  std::promise<void> last;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (!loop.post([&](Now) {
              if (++ran == 8000) last.set_value();
            })) {
          ADD_FAILURE();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(last.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST(Loop, TheMailboxIsBounded) {
  Loop loop(-1, {.tasks_max = 3});  // does not run: nothing empties the mailbox
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(loop.post([](Now) {}));
  EXPECT_FALSE(loop.post([](Now) {}));
}

TEST(Loop, AStoppedLoopTakesNothing) {
  Counting driven;
  Loop loop(-1);
  { Running running(loop, driven); }
  EXPECT_FALSE(loop.post([](Now) {}));
}

TEST(Loop, DeadlinesAreServedNotEarlyAndOnceEach) {
  Counting driven;
  Loop loop(-1);
  std::promise<void> done;
  const TimePoint start = system_now().mono;
  std::vector<TimePoint> served;
  driven.deadline = start + 5ms;
  driven.when_time = [&](Now now) {
    EXPECT_GE(now.mono, driven.deadline);
    served.push_back(now.mono);
    driven.deadline = served.size() < 3 ? now.mono + 5ms : kNever;
    if (served.size() == 3) done.set_value();
  };
  Running running(loop, driven);
  ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(driven.times, 3);
}

TEST(Loop, AnEarlierDeadlineReplacesALaterOne) {
  Counting driven;
  Loop loop(-1);
  driven.deadline = system_now().mono + 1h;
  std::promise<void> done;
  driven.when_time = [&](Now) {
    driven.deadline = kNever;
    done.set_value();
  };
  Running running(loop, driven);
  ASSERT_TRUE(loop.post([&](Now now) { driven.deadline = now.mono + 1ms; }));
  EXPECT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST(Loop, DatagramsWakeItAndEachTurnFlushesOnce) {
  auto socket = std::move(*UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}));
  auto peer = std::move(*UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}));
  Counting driven;
  std::size_t bytes = 0;
  std::promise<void> looked;
  std::promise<void> done;
  driven.when_readable = [&](Now) {
    if (driven.reads == 1) {  // the first turn looks unasked
      looked.set_value();
      return false;
    }
    const auto batch = socket->receive();
    for (const Received& one : batch) bytes += one.data.size();
    if (!batch.empty() && bytes == 3000) done.set_value();
    return !batch.empty();  // perhaps more
  };
  Loop loop(socket->native_handle());
  Running running(loop, driven);
  ASSERT_EQ(looked.get_future().wait_for(kPatience), std::future_status::ready);
  const std::vector<std::byte> data(1000);
  for (int i = 0; i < 3; ++i) {
    const Train train{socket->local(), peer->local(), data, data.size(), 0};
    ASSERT_EQ(peer->send({&train, 1}), 1u);
  }
  ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  std::promise<std::pair<LoopStats, int>> seen;  // in one turn
  ASSERT_TRUE(loop.post([&](Now) { seen.set_value({loop.stats(), driven.flushes}); }));
  const auto [stats, flushes] = seen.get_future().get();
  EXPECT_LE(static_cast<std::uint64_t>(flushes), stats.turns);
  EXPECT_GE(driven.reads, 2);
}

// Waits are the one thing that a loop itself keeps memory for.
TEST(Loop, SleepingAndWakingAllocatesNothing) {
  auto socket = std::move(*UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}));
  Counting driven;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::promise<void> done;
  driven.deadline = system_now().mono + 1ms;
  driven.when_time = [&](Now now) {  // a timer each time, beside the wait for datagrams
    const int turn = driven.times;
    if (turn == 10) before = test::allocations();
    if (turn == 60) after = test::allocations();
    driven.deadline = turn < 60 ? now.mono + 200us : kNever;
    if (turn == 60) done.set_value();
  };
  Loop loop(socket->native_handle());
  Running running(loop, driven);
  ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(after - before, 0u);
}

// A task that posts the next one is done in the turn that it was posted in, or one that follows
// without a sleep: work is never left to a timer.
TEST(Loop, WhatATurnPostsIsDoneWithoutASleep) {
  Counting driven;
  Loop loop(-1);
  std::promise<std::uint64_t> slept;
  std::uint64_t before = 0;
  std::function<void(int)> next = [&](int left) {
    if (left == 0) return slept.set_value(loop.stats().sleeps - before);
    EXPECT_TRUE(loop.post([&next, left](Now) { next(left - 1); }));
  };
  Running running(loop, driven);
  ASSERT_TRUE(loop.post([&](Now) {
    before = loop.stats().sleeps;
    next(100);
  }));
  EXPECT_EQ(slept.get_future().get(), 0u);
}

TEST(Loop, WhatReadingPostsIsDoneBeforeTheFlush) {
  Counting driven;
  Loop loop(-1);
  std::promise<int> flushes;
  driven.when_readable = [&](Now) {
    EXPECT_TRUE(loop.post([&](Now) { flushes.set_value(driven.flushes); }));
    return false;
  };
  Running running(loop, driven);  // the first turn looks unasked
  EXPECT_EQ(flushes.get_future().get(), 0);
}

/// Rests of a loop whose deadlines are `apart`, counted over 50 of them.
LoopStats rests_with_deadlines(Duration apart, Duration awake_max) {
  Counting driven;
  Loop loop(-1, {.awake_max = awake_max});
  std::promise<LoopStats> done;
  driven.deadline = system_now().mono + apart;
  driven.when_time = [&](Now now) {
    driven.deadline = driven.times < 50 ? now.mono + apart : kNever;
    if (driven.times == 50) done.set_value(loop.stats());
  };
  Running running(loop, driven);
  return done.get_future().get();
}

TEST(Loop, LongRestsAreSleeps) {
  const LoopStats stats = rests_with_deadlines(2ms, 100us);
  EXPECT_EQ(stats.rests_awake, 0u);
  EXPECT_GE(stats.sleeps, 1u);
}

TEST(Loop, ShortRestsAreSpentAwakeWhereThatIsAllowed) {
  Counting driven;
  Loop loop(-1, {.awake_max = 1s});  // any rest is short, whatever else the machine does
  Running running(loop, driven);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::uint64_t awake = 0;
  while (awake == 0 && std::chrono::steady_clock::now() < until) {
    std::promise<std::uint64_t> seen;
    ASSERT_TRUE(loop.post([&](Now) { seen.set_value(loop.stats().rests_awake); }));
    awake = seen.get_future().get();
  }
  EXPECT_GT(awake, 0u);
}

TEST(Loop, WithoutLeaveItNeverRestsAwake) {
  Counting driven;
  Loop loop(-1);
  Running running(loop, driven);
  std::promise<LoopStats> seen;
  for (int i = 0; i < 20; ++i) {
    std::promise<void> done;
    ASSERT_TRUE(loop.post([&](Now) { done.set_value(); }));
    done.get_future().get();
  }
  ASSERT_TRUE(loop.post([&](Now) { seen.set_value(loop.stats()); }));
  EXPECT_EQ(seen.get_future().get().rests_awake, 0u);
}

TEST(Loop, WritableIsAskedForOnlyWhenWanted) {
  auto socket = std::move(*UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}));
  Counting driven;
  Loop loop(socket->native_handle());
  Running running(loop, driven);
  std::promise<void> asked;
  ASSERT_TRUE(loop.post([&](Now) {
    driven.wants = true;
    asked.set_value();
  }));
  asked.get_future().wait();
  // on_writable clears the wish; each question is a posted task, so the loop turns meanwhile.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  bool wants = true;
  while (wants && std::chrono::steady_clock::now() < until) {
    std::promise<bool> answer;
    ASSERT_TRUE(loop.post([&](Now) { answer.set_value(driven.wants); }));
    wants = answer.get_future().get();
  }
  EXPECT_FALSE(wants);
}

TEST(WorkerPool, WorkRunsElsewhereAndDoneComesHome) {
  Counting driven;
  Loop loop(-1);
  Running running(loop, driven);
  ThreadWorkerPool pool(2);
  std::promise<std::thread::id> home;
  ASSERT_TRUE(loop.post([&](Now) { home.set_value(std::this_thread::get_id()); }));
  std::promise<std::pair<std::thread::id, std::thread::id>> where;
  auto worked = std::make_shared<std::thread::id>();
  ASSERT_TRUE(pool.submit([worked] { *worked = std::this_thread::get_id(); }, loop,
                          [&, worked](WorkEnd, Now) {
                            where.set_value({*worked, std::this_thread::get_id()});
                          }));
  auto result = where.get_future();
  ASSERT_EQ(result.wait_for(kPatience), std::future_status::ready);
  const auto [work_thread, done_thread] = result.get();
  EXPECT_EQ(done_thread, home.get_future().get());
  EXPECT_NE(work_thread, done_thread);
}

TEST(WorkerPool, IsBounded) {
  Counting driven;
  Loop loop(-1);
  std::promise<void> release;
  auto released = release.get_future().share();
  std::promise<void> started;
  ThreadWorkerPool pool(1, 2);
  ASSERT_TRUE(pool.submit(
      [&, released] {
        started.set_value();
        released.wait();
      },
      loop, [](WorkEnd, Now) {}));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([] {}, loop, [](WorkEnd, Now) {}));
  EXPECT_TRUE(pool.submit([] {}, loop, [](WorkEnd, Now) {}));
  EXPECT_FALSE(pool.submit([] {}, loop, [](WorkEnd, Now) {}));
  release.set_value();
}

/// A thread that is held until it is let go.
class Held {
 public:
  std::function<void()> work() {
    return [this] {
      started_.set_value();
      released_.get_future().wait();
    };
  }
  void wait_until_begun() { started_.get_future().wait(); }
  void release() { released_.set_value(); }

 private:
  std::promise<void> started_;
  std::promise<void> released_;
};

TEST(WorkerPool, AJobThatWaitedForAMinuteIsNotBegunAndItsEndSaysSo) {
  Counting driven;
  Loop loop(-1);
  const Running running(loop, driven);
  std::atomic<std::int64_t> minutes{0};  // as if the process had been stopped
  Held first;
  std::promise<WorkEnd> second;
  std::promise<WorkEnd> third;
  std::atomic<bool> begun{false};
  ThreadWorkerPool pool(1, 8, [&] { return TimePoint(std::chrono::minutes(minutes.load())); });
  ASSERT_TRUE(pool.submit(first.work(), loop, [](WorkEnd, Now) {}));
  first.wait_until_begun();
  ASSERT_TRUE(
      pool.submit([&] { begun = true; }, loop, [&](WorkEnd how, Now) { second.set_value(how); }));
  minutes = 2;
  ASSERT_TRUE(pool.submit([] {}, loop, [&](WorkEnd how, Now) { third.set_value(how); }));
  first.release();
  EXPECT_EQ(second.get_future().get(), WorkEnd::expired);
  EXPECT_EQ(third.get_future().get(), WorkEnd::ran);
  EXPECT_FALSE(begun);
}

/// Sixteen ends of work that a full mailbox refused stopped signing for good.
TEST(WorkerPool, AFullMailboxLosesNoEndOfWork) {
  constexpr int kJobs = 64;
  Counting driven;
  Loop loop(-1, {.tasks_max = 4});
  std::atomic<int> worked{0};
  std::array<std::atomic<int>, kJobs> ended{};
  std::promise<void> all;
  std::atomic<int> left{kJobs};
  ThreadWorkerPool pool(2, kJobs);
  while (loop.post([](Now) {})) {
  }
  std::promise<void> all_worked;
  for (int i = 0; i < kJobs; ++i) {
    ASSERT_TRUE(pool.submit(
        [&] {
          if (++worked == kJobs) all_worked.set_value();
        },
        loop,
        [&, i](WorkEnd how, Now) {
          EXPECT_EQ(how, WorkEnd::ran);
          ++ended[static_cast<std::size_t>(i)];
          if (--left == 0) all.set_value();
        }));
  }
  all_worked.get_future().wait();
  EXPECT_FALSE(loop.post([](Now) {})) << "full all the time";
  const Running running(loop, driven);
  ASSERT_EQ(all.get_future().wait_for(kPatience), std::future_status::ready);
  for (const auto& times : ended) EXPECT_EQ(times, 1);
}

TEST(WorkerPool, TakesNoMoreThanTheLoopHasPlacesForTheirEnds) {
  Counting driven;
  Loop loop(-1, {.kept_max = 2});
  std::promise<void> both;
  std::atomic<int> ended{0};
  ThreadWorkerPool pool(1, 8);
  const auto end = [&](WorkEnd, Now) {
    if (++ended == 2) both.set_value();
  };
  ASSERT_TRUE(pool.submit([] {}, loop, end));
  ASSERT_TRUE(pool.submit([] {}, loop, end));
  EXPECT_FALSE(pool.submit([] {}, loop, end)) << "the loop has taken neither";
  const Running running(loop, driven);
  ASSERT_EQ(both.get_future().wait_for(kPatience), std::future_status::ready);
  std::promise<void> third;
  ASSERT_TRUE(pool.submit([] {}, loop, [&](WorkEnd, Now) { third.set_value(); }));
  EXPECT_EQ(third.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST(Loop, APlaceThatIsNotUsedIsGivenBack) {
  Loop loop(-1, {.kept_max = 1});
  for (int i = 0; i < 3; ++i) {
    auto place = loop.keep_place();
    EXPECT_TRUE(place);
    EXPECT_FALSE(loop.keep_place());
    auto moved = std::move(place);
    EXPECT_FALSE(loop.keep_place());
  }
  EXPECT_TRUE(loop.keep_place());
}

TEST(Clock, BothClocksAreReal) {
  const Now first = system_now();
  const Now second = system_now();
  EXPECT_LE(first.mono, second.mono);
  EXPECT_GT(first.unix_seconds, 1'600'000'000u);
}

TEST(Loop, WatchesOneMoreDescriptor) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  Loop loop(-1);
  Counting driven;
  std::promise<void> twice;
  int read = 0;
  loop.watch(pipe[0], [&](Now) {
    char byte = 0;
    if (::read(pipe[0], &byte, 1) == 1 && ++read == 2) twice.set_value();
  });
  auto done = twice.get_future();
  {
    const Running running(loop, driven);
    ASSERT_EQ(::write(pipe[1], "ab", 2), 2);  // what is left is told again
    EXPECT_EQ(done.wait_for(kPatience), std::future_status::ready);
  }
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace qudag::runtime
