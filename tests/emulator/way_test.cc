// One way in virtual time: what is dropped and when the rest arrives, exactly.
#include "way.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace qudag::emulator {
namespace {

using namespace std::chrono_literals;

Way way_with(const WaySettings& settings, std::uint64_t seed = 1) {
  Way way(seed);
  way.set(settings);
  return way;
}

std::vector<bool> losses(Way way, int packets) {
  std::vector<bool> out;
  for (int i = 0; i < packets; ++i) out.push_back(way.offer(0ns, 100).drop == Drop::loss);
  return out;
}

TEST(Way, DelayIsExact) {
  Way way = way_with({.delay = 25ms});
  EXPECT_EQ(way.offer(3ms, 1'500).due, 28ms);
  EXPECT_EQ(way.offer(3ms, 40).due, 28ms);
}

TEST(Way, JitterStaysInItsRangeAndKeepsTheOrder) {
  Way way = way_with({.delay = 10ms, .jitter = 4ms});
  Nanos last{}, low = 1h, high{};
  for (int i = 0; i < 1'000; ++i) {
    const Nanos now = i * 10ms;
    const Nanos took = way.offer(now, 100).due - now;
    EXPECT_GE(now + took, last);
    last = now + took;
    low = std::min(low, took);
    high = std::max(high, took);
  }
  EXPECT_GE(low, 10ms);
  EXPECT_LT(low, 10'100us);
  EXPECT_LE(high, 14ms);
  EXPECT_GT(high, 13'900us);
}

TEST(Way, JitterDoesNotLetAPacketOvertake) {
  Way way = way_with({.jitter = 4ms});
  Nanos last{};
  for (int i = 0; i < 1'000; ++i) {
    const Nanos due = way.offer(i * 1us, 100).due;
    EXPECT_GE(due, last);
    last = due;
  }
}

TEST(Way, ReorderedPacketsAreOvertaken) {
  Way way = way_with({.delay = 10ms, .reorder = 0.1, .reorder_by = 7ms});
  int late = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Nanos due = way.offer(0ns, 100).due;
    EXPECT_TRUE(due == 10ms || due == 17ms);
    late += due == 17ms ? 1 : 0;
  }
  EXPECT_EQ(way.counters().reordered, static_cast<std::uint64_t>(late));
  EXPECT_NEAR(late, 100, 40);
}

TEST(Way, TheSeedDecidesWhichPacketsAreLost) {
  const WaySettings settings{.loss = 0.02};
  const auto first = losses(way_with(settings, 5), 20'000);
  EXPECT_EQ(first, losses(way_with(settings, 5), 20'000));
  EXPECT_NE(first, losses(way_with(settings, 6), 20'000));
  EXPECT_NEAR(static_cast<double>(std::ranges::count(first, true)), 400, 100);
}

TEST(Way, ADieDoesNotMoveAnother) {
  EXPECT_EQ(losses(way_with({.loss = 0.1}), 1'000),
            losses(way_with({.jitter = 9ms, .loss = 0.1, .dup = 0.5, .reorder = 0.3}), 1'000));
}

TEST(Way, LossInBurstsHasTheSameShareAndLongerRuns) {
  const auto lost = losses(way_with({.loss = 0.05, .burst = 8}), 100'000);
  std::size_t runs = 0;
  for (std::size_t i = 1; i < lost.size(); ++i) runs += lost[i] && !lost[i - 1] ? 1U : 0U;
  const auto total = static_cast<double>(std::ranges::count(lost, true));
  EXPECT_NEAR(total, 5'000, 1'000);
  EXPECT_NEAR(total / static_cast<double>(runs), 8, 1);
}

TEST(Way, EverythingOrNothing) {
  EXPECT_EQ(std::ranges::count(losses(way_with({.loss = 1}), 500), true), 500);
  EXPECT_EQ(std::ranges::count(losses(way_with({.loss = 1, .burst = 4}), 500), false), 0);
  EXPECT_EQ(std::ranges::count(losses(way_with({.loss = 0, .burst = 4}), 500), true), 0);
}

TEST(Way, APacketTakesItsTimeOnTheWireAndWaitsForThoseBefore) {
  Way way = way_with({.delay = 5ms, .rate = 12e6});  // 1,500 bytes: 1 ms
  EXPECT_EQ(way.offer(0ns, 1'500).due, 6ms);
  const Fate second = way.offer(0ns, 1'500);
  EXPECT_EQ(second.due, 7ms);
  EXPECT_EQ(second.waited, 1ms);
  EXPECT_EQ(way.offer(10ms, 750).due, 15'500us);  // the wire was idle meanwhile
}

TEST(Way, AFullQueueDropsTheNewest) {
  Way way = way_with({.rate = 12e6, .queue_bytes = 3'000});
  std::vector<Drop> fates;
  for (int i = 0; i < 5; ++i) fates.push_back(way.offer(0ns, 1'500).drop);
  const std::vector<Drop> expected{Drop::none, Drop::none, Drop::none, Drop::queue, Drop::queue};
  EXPECT_EQ(fates, expected);  // one on the wire, two in the queue
  EXPECT_EQ(way.offer(1ms, 1'500).drop, Drop::none);
  EXPECT_EQ(way.offer(1ms, 1'500).drop, Drop::queue);
}

TEST(Way, AQueueMayBeBoundedInPackets) {
  Way way = way_with({.rate = 12e6, .queue_packets = 1});
  EXPECT_EQ(way.offer(0ns, 100).drop, Drop::none);
  EXPECT_EQ(way.offer(0ns, 100).drop, Drop::none);
  EXPECT_EQ(way.offer(0ns, 100).drop, Drop::queue);
}

TEST(Way, TwoTimesTheRateLosesHalf) {
  Way way = way_with({.rate = 12e6, .queue_bytes = 15'000});
  for (int i = 0; i < 10'000; ++i) way.offer(i * 500us, 1'500);
  EXPECT_NEAR(static_cast<double>(way.counters().delivered), 5'010, 2);
  EXPECT_NEAR(static_cast<double>(way.counters().waited_ns.percentile(50)), 10e6, 0.7e6);
}

TEST(Way, ACutWireTakesNothing) {
  Way way = way_with({});
  way.cut(true);
  EXPECT_EQ(way.offer(0ns, 100).drop, Drop::partition);
  way.cut(false);
  EXPECT_EQ(way.offer(0ns, 100).drop, Drop::none);
  EXPECT_EQ(way.counters().dropped_partition, 1U);
}

}  // namespace
}  // namespace qudag::emulator
