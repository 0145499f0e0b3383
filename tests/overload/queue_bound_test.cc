// The bound of a queue by what it drains, in virtual time: a model of one queue, a drain that
// changes, and senders that fill what they are let and come again some time after they were told.
#include "overload/queue_bound.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace qudag::overload {
namespace {

using namespace std::chrono_literals;

constexpr QueueBoundOptions kBulk{.floor = 64 << 10, .ceiling = 256 << 20, .target = 100ms};
static_assert(is_valid(kBulk));
static_assert(QueueBound{}.of(kBulk) == kFirstQueue);

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

struct Model {
  Duration turn = 1ms;           // of the loop that drains
  Duration again_after = 2ms;    // a sender that is told sends
  std::uint64_t message = 4096;  // bytes
  double offered = 0;            // bytes a second; 0: as many as it is let
  double drain = 0;              // bytes a second
  Duration drains_every = 0ms;   // all of it at once, as credit comes in round trips

  QueueBoundOptions options = kBulk;
  QueueBound state{};
  std::uint64_t standing = 0;
  std::uint64_t drained = 0, refused = 0;
  TimePoint now{1h};
  TimePoint told{};  // when the sender goes on
  TimePoint burst_at{1h};
  bool kept_out = false;
  double may = 0, comes = 0;

  void fill() {
    if (kept_out || now < told) {
      if (offered > 0) refused += static_cast<std::uint64_t>(comes), comes = 0;
      return;
    }
    while (offered == 0 || comes >= static_cast<double>(message)) {
      if (standing != 0 && standing >= state.of(options)) {
        kept_out = true;
        if (offered > 0) refused += static_cast<std::uint64_t>(comes), comes = 0;
        return;
      }
      standing += message;
      comes -= static_cast<double>(message);
    }
  }
  void drain_some() {
    if (drains_every > 0ms) {
      if (now < burst_at) return;
      burst_at = now + drains_every;
      may += drain * seconds(drains_every);
    } else {
      may += drain * seconds(turn);
    }
  }
  void one_turn() {
    now += turn;
    if (offered > 0) comes += offered * seconds(turn);
    fill();
    drain_some();
    const auto out = std::min(static_cast<std::uint64_t>(std::max(0.0, may)), standing);
    // What the way would take and nobody sends may be sent for a round trip, as a window has it.
    may = std::min(may - static_cast<double>(out),
                   drain * seconds(std::max<Duration>(turn, drains_every)));
    standing -= out;
    drained += out;
    state = step(options, state, {.drained = out, .standing = standing, .kept_out = kept_out}, now);
    ASSERT_GE(state.of(options), options.floor);
    ASSERT_LE(state.of(options), options.ceiling);
    if (kept_out && standing <= resume_at(state.of(options))) {
      kept_out = false;
      told = now + again_after;
    }
  }
  void run(Duration time) {
    for (const TimePoint end = now + time; now < end;) one_turn();
  }
  double goodput(Duration time) {
    const std::uint64_t before = drained;
    run(time);
    return static_cast<double>(drained - before) / seconds(time);
  }
  Duration delay() const {
    return Duration(static_cast<Duration::rep>(static_cast<double>(standing) / drain * 1e9));
  }
};

TEST(QueueBound, StepLoadAndThreeRatesStandAtTheTargetAndLoseNothing) {
  for (const double drain : {1e6, 10e6, 100e6}) {
    SCOPED_TRACE(drain);
    Model queue{.offered = drain * 0.99, .drain = drain};
    queue.run(5s);
    EXPECT_EQ(queue.refused, 0u) << "at what it drains nobody is kept out";
    queue.offered = 4 * drain;
    queue.run(5s);
    for (int i = 0; i < 50; ++i) {  // from then on, always
      queue.run(20ms);
      EXPECT_NEAR(seconds(queue.delay()), 0.1, 0.0275);
    }
    EXPECT_GE(queue.goodput(1s), 0.95 * drain);
    queue.offered = drain * 0.9;
    queue.run(5s);
    EXPECT_LE(queue.delay(), 20ms);
  }
}

TEST(QueueBound, ATenfoldFallShortensItWithinRoundsAndARiseOpensItWithoutALoss) {
  Model queue{.drain = 50e6};
  queue.run(3s);
  EXPECT_NEAR(static_cast<double>(queue.state.of(kBulk)), 5e6, 0.5e6);
  queue.drain = 5e6;
  queue.run(8 * queue_round(kBulk));
  EXPECT_LE(queue.state.of(kBulk), std::uint64_t{800'000});
  queue.run(2s);
  EXPECT_NEAR(static_cast<double>(queue.state.of(kBulk)), 0.5e6, 0.05e6);
  EXPECT_NEAR(seconds(queue.delay()), 0.1, 0.025);
  queue.drain = 50e6;
  EXPECT_GE(queue.goodput(200ms), 0.95 * 50e6);
  EXPECT_GE(queue.goodput(1s), 0.99 * 50e6);
}

// Credit that comes in round trips, senders that take their time: the queue is deeper then, and the
// rate is kept.
TEST(QueueBound, BurstsAndSlowSendersKeepTheirRate) {
  for (const Duration every : {10ms, 100ms, 400ms}) {
    for (const Duration again : {0ms, 5ms, 20ms}) {
      Model queue{.again_after = again, .drain = 10e6, .drains_every = every};
      queue.run(5s);
      EXPECT_GE(queue.goodput(4s), 0.95 * 10e6) << every.count() << " " << again.count();
    }
  }
}

TEST(QueueBound, ItSwingsNoMoreThanItsDrainDoes) {
  std::mt19937 rng(7);
  std::uniform_real_distribution<double> noise(0.5, 1.5);
  Model queue{.drain = 10e6};
  queue.run(2s);
  std::uint64_t least = UINT64_MAX, most = 0;
  for (int i = 0; i < 2'000; ++i) {
    queue.drain = 10e6 * noise(rng);
    queue.one_turn();
    least = std::min(least, queue.state.of(kBulk));
    most = std::max(most, queue.state.of(kBulk));
  }
  EXPECT_LE(static_cast<double>(most) / static_cast<double>(least), 1.5);
}

TEST(QueueBound, NoDrainLeavesTheFloorAndNothingIsKnownBeforeTheFirstByte) {
  Model queue{};
  queue.run(5s);
  EXPECT_EQ(queue.state.of(kBulk), kFirstQueue) << "it has not begun";
  Model stopped{.drain = 10e6};
  stopped.run(1s);
  stopped.drain = 0;
  stopped.run(2s);
  EXPECT_EQ(stopped.state.of(kBulk), kBulk.floor);
  stopped.run(30s);
  EXPECT_EQ(stopped.state.of(kBulk), kBulk.floor);
  stopped.drain = 10e6;
  EXPECT_GE(stopped.goodput(1s), 0.95 * 10e6) << "it comes back";
}

TEST(QueueBound, WhatRunsEmptySaysNothingAndIsForgotten) {
  Model queue{.offered = 2e6, .drain = 1e6};
  queue.run(2s);
  const std::uint64_t bound = queue.state.of(kBulk);
  EXPECT_NEAR(static_cast<double>(bound), 1e5, 2e4);
  queue.offered = 1e4;  // far below what drains: now and then one that is gone in its turn
  queue.run(1s);
  EXPECT_GE(queue.state.of(kBulk), bound * 9 / 10);
  queue.offered = 1;
  queue.run(3s);
  EXPECT_EQ(queue.state.of(kBulk), kFirstQueue);
}

// Whatever the clock does and whatever is said to have drained.
TEST(QueueBound, HostileClocksAndSamplesStayInside) {
  std::mt19937_64 rng(11);
  constexpr auto kFar = TimePoint::max().time_since_epoch() / 4;
  for (int run = 0; run < 200; ++run) {
    QueueBound state;
    TimePoint now(1h);
    for (int i = 0; i < 500; ++i) {
      switch (rng() % 8) {
        case 0:
          now -= Duration(static_cast<Duration::rep>(rng() % 10'000'000'000'000));
          break;
        case 1:
          now = TimePoint(kFar);
          break;
        case 2:
          now = TimePoint{};
          break;
        case 3:
          break;
        default:
          now += Duration(static_cast<Duration::rep>(rng() % 100'000'000));
      }
      const std::uint64_t drained = rng() % 4 == 0 ? UINT64_MAX : rng() >> (rng() % 64);
      const std::uint64_t standing = rng() % 3 == 0 ? 0 : rng() >> (rng() % 64);
      state = step(kBulk, state, {drained, standing, rng() % 2 == 0}, now);
      ASSERT_GE(state.of(kBulk), kBulk.floor);
      ASSERT_LE(state.of(kBulk), kBulk.ceiling);
      ASSERT_TRUE(std::isfinite(state.rate));
      ASSERT_GE(state.rate, 0);
      ASSERT_LE(state.spare, kSpareMax);
    }
    // And is right again soon.
    Model after{.drain = 10e6, .state = state, .now = now, .told = now};
    after.run(5s);
    ASSERT_NEAR(static_cast<double>(after.state.of(kBulk)), 1e6, 2e5);
  }
}

}  // namespace
}  // namespace qudag::overload
