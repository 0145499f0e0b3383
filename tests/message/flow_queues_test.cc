// Queues of flows at the door: a bound for each that follows what it drains, and nobody waits who
// could go on.
#include "message/queue/flow_queues.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kCeiling = 64 << 20;
constexpr FlowQueuesOptions kOptions{.ceiling = {kCeiling, kCeiling, kCeiling}, .key = 0x1234'5679};
constexpr std::uint32_t kBytes = 1'024;

/// One flow, of which `drain` bytes go on in each turn of a millisecond.
struct Drained {
  explicit Drained(FlowQueues& r, Priority priority = Priority::normal, std::size_t hash = 1)
      : queues(r), id(r.of(hash, priority)) {}
  bool offer() {
    if (!queues.enter(id, kBytes)) return false;
    queues.arrived(id);
    return true;
  }
  bool turn(std::uint32_t drain) {
    now += 1ms;
    queues.sent(id,
                static_cast<std::uint32_t>(std::min<std::uint64_t>(drain, queues.standing(id))));
    const auto goes_on = queues.turn(now);
    return goes_on[0] || goes_on[1] || goes_on[2];
  }
  /// As much as it is let, for so long.
  void flood(std::uint32_t drain, int turns) {
    for (int i = 0; i < turns; ++i) {
      while (offer()) continue;
      turn(drain);
    }
  }

  FlowQueues& queues;
  const FlowQueues::Id id;
  TimePoint now{1h};
};

TEST(FlowQueues, AFlowsBoundFollowsItsDrainAndKeepsNoOtherOut) {
  FlowQueues queues(kOptions);
  Drained slow(queues, Priority::normal, 1);
  const FlowQueues::Id other = queues.of(2, Priority::normal);
  ASSERT_NE(slow.id, other);
  slow.flood(1'024, 17'000);  // a mebibyte a second
  EXPECT_NEAR(static_cast<double>(queues.bound(slow.id)), 102'400, 5'000);
  EXPECT_LE(queues.standing(slow.id), queues.bound(slow.id) + kBytes);
  while (slow.offer()) continue;
  EXPECT_TRUE(queues.paused(slow.id));
  EXPECT_TRUE(queues.enter(other, kBytes));
  EXPECT_FALSE(queues.paused(other));
  const FlowQueues::Stats stats = queues.stats(Priority::normal);
  EXPECT_EQ(stats.flows, 1u);
  EXPECT_EQ(stats.bound, queues.bound(slow.id));
  EXPECT_NEAR(stats.rate, 1'024'000, 50'000);
  EXPECT_GE(stats.pauses, 1u);
}

TEST(FlowQueues, HighHasAQuarterOfTheTargetAndLowFourTimes) {
  for (const auto& [priority, bound] : {std::pair{Priority::high, 256'000.0},
                                        {Priority::normal, 1'024'000.0},
                                        {Priority::low, 4'096'000.0}}) {
    FlowQueues queues(kOptions);
    Drained flow(queues, priority);
    flow.flood(10'240, 4'000);
    EXPECT_NEAR(static_cast<double>(queues.bound(flow.id)), bound, bound / 20);
  }
}

TEST(FlowQueues, WhatWasLetInIsNeverTakenBack) {
  FlowQueues queues(kOptions);
  Drained flow(queues);
  std::uint64_t in = 0;
  while (flow.offer()) in += kBytes;
  EXPECT_EQ(in, overload::kFirstQueue) << "a burst";
  for (int i = 0; i < 500; ++i) flow.turn(1'024);
  EXPECT_LT(queues.bound(flow.id), std::uint64_t{200'000});
  EXPECT_EQ(queues.standing(flow.id), in - 500 * 1'024) << "and drains as it can";
  EXPECT_FALSE(flow.offer());
}

TEST(FlowQueues, TheTurnSaysWhenAPausedFlowGoesOn) {
  FlowQueues queues(kOptions);
  Drained flow(queues);
  flow.flood(10'240, 3'000);
  while (flow.offer()) continue;
  ASSERT_TRUE(queues.paused(flow.id));
  int turns = 0;
  while (!flow.turn(10'240)) ASSERT_LT(++turns, 20);
  EXPECT_LE(queues.standing(flow.id), overload::resume_at(queues.bound(flow.id)));
  EXPECT_FALSE(queues.paused(flow.id));
  EXPECT_TRUE(flow.offer());
  EXPECT_FALSE(flow.turn(0)) << "said once";
}

// Nothing of it came to the shard, so no turn would end the pause.
TEST(FlowQueues, WhoLeavesBeforeTheShardEndsThePause) {
  FlowQueues queues(kOptions);
  const FlowQueues::Id id = queues.of(5, Priority::low);
  std::uint32_t in = 0;
  while (queues.enter(id, kBytes)) ++in;
  ASSERT_TRUE(queues.paused(id));
  bool opened = false;
  for (; in > 0; --in) opened = queues.leave(id, kBytes) || opened;
  EXPECT_TRUE(opened);
  EXPECT_FALSE(queues.paused(id));
  EXPECT_EQ(queues.standing(id), 0u);
}

TEST(FlowQueues, AMessageCountsItsBytesUpToWhatTakesTurns) {
  EXPECT_EQ(FlowQueues::counted(0), 64u);
  EXPECT_EQ(FlowQueues::counted(1'000), 1'064u);
  EXPECT_EQ(FlowQueues::counted(std::size_t{64} << 20), 64u * 1'024);
}

TEST(FlowQueues, FlowsSpreadAndTheKeyDecidesWhere) {
  FlowQueues one({.ceiling = {1, 1, 1}, .key = 3}), two({.ceiling = {1, 1, 1}, .key = 77});
  std::vector<int> met(FlowQueues::kPerPriority);
  int same = 0;
  for (std::size_t hash = 0; hash < 10 * FlowQueues::kPerPriority; ++hash) {
    const FlowQueues::Id id = one.of(hash * 0x1'0000'0001, Priority::low);
    ASSERT_EQ(id / FlowQueues::kPerPriority, 2u);
    ++met[id % FlowQueues::kPerPriority];
    same += id == two.of(hash * 0x1'0000'0001, Priority::low);
  }
  EXPECT_LE(*std::ranges::max_element(met), 40);
  EXPECT_LE(same, 40) << "of 10,240";
}

// No wake-up is lost, and the count ends at nothing, whatever the order.
TEST(FlowQueues, SendersWhoWaitAllGetThrough) {
  FlowQueues queues({.target = 1ms, .ceiling = {4'096, 4'096, 4'096}, .key = 1});
  constexpr int kThreads = 3, kEach = 2'000;
  const FlowQueues::Id id = queues.of(9, Priority::normal);
  std::atomic<int> in{0};
  std::vector<std::thread> senders;
  for (int i = 0; i < kThreads; ++i) {
    senders.emplace_back([&] {
      for (int n = 0; n < kEach;) {
        if (queues.enter(id, kBytes)) {
          ++n;
          ++in;
        } else {
          ASSERT_TRUE(queues.wait(id, FlowQueues::Clock::now() + 1min));
        }
      }
    });
  }
  TimePoint now(1h);
  for (int out = 0; out < kThreads * kEach;) {
    const int came = in.load();
    queues.arrived(id);
    if (came > out) queues.sent(id, static_cast<std::uint32_t>(came - out) * kBytes);
    out = came;
    now += 1ms;
    static_cast<void>(queues.turn(now));
    std::this_thread::yield();
  }
  for (std::thread& sender : senders) sender.join();
  static_cast<void>(queues.turn(now));
  EXPECT_EQ(queues.standing(id), 0u);
}

TEST(FlowQueues, WaitEndsByTimeAndByClosing) {
  FlowQueues queues(kOptions);
  const FlowQueues::Id id = queues.of(5, Priority::high);
  EXPECT_TRUE(queues.wait(id, FlowQueues::Clock::now()));
  while (queues.enter(id, 64 * 1'024)) continue;
  EXPECT_FALSE(queues.wait(id, FlowQueues::Clock::now()));
  std::thread waits([&] { EXPECT_TRUE(queues.wait(id, FlowQueues::Clock::now() + 1min)); });
  queues.close();
  waits.join();
}

}  // namespace
}  // namespace qudag::message
