#include "sync/shared_rate.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(1s + d); }

TEST(SharedRate, WithoutARateEverythingMayBeTaken) {
  SharedRate rate;
  EXPECT_EQ(rate.take(0, UINT64_MAX / 2, at(0s)), UINT64_MAX / 2);
  EXPECT_EQ(rate.ready_at(0, 1, at(0s)), at(0s));
}

TEST(SharedRate, BeginsFullAndRefillsToTheBurst) {
  SharedRate rate;
  rate.set(100, 50, at(0s));
  EXPECT_EQ(rate.take(3, 80, at(0s)), 50u) << "as much as there is";
  EXPECT_EQ(rate.take(3, 80, at(0s)), 0u);
  EXPECT_EQ(rate.take(3, 80, at(100ms)), 10u);
  EXPECT_EQ(rate.take(5, 80, at(1h)), 50u) << "any part, and never more than the burst";
  EXPECT_EQ(rate.taken(), 110u);
}

/// However many ask, and whenever: what is taken is burst + rate * time, and not a token more.
TEST(SharedRate, TheSumOfAllPartsIsTheRate) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 50; ++round) {
    const std::uint64_t per_second = 1 + random() % 1'000'000, burst = 1 + random() % 1'000'000;
    SharedRate rate;
    rate.set(per_second, burst, at(0s));
    Duration now{};
    std::uint64_t all = 0;
    for (int i = 0; i < 2'000; ++i) {
      now += Duration(random() % 20'000'000);
      const auto part = static_cast<unsigned>(random() % 4);
      if (random() % 8 == 0) rate.wait(part, random() % 3, at(now));
      const std::uint64_t got = rate.take(part, random() % 100'000, at(now));
      all += got;
      if (random() % 8 == 0) {
        rate.give_back(part, got / 2, at(now));
        all -= got / 2;
      }
      const double bound =
          static_cast<double>(burst) +
          static_cast<double>(per_second) * std::chrono::duration<double>(now).count();
      ASSERT_LE(static_cast<double>(all), bound + 1);
    }
    EXPECT_EQ(rate.taken(), all);
  }
}

/// A shard that asks a hundred times as often, and first, has no more.
TEST(SharedRate, PartsThatWaitShareByTheirWeights) {
  SharedRate rate;
  rate.set(100'000, 1'000, at(0s));
  static_cast<void>(rate.take(0, 1'000, at(0s)));
  rate.wait(0, 1, at(0s));
  rate.wait(1, 1, at(0s));
  rate.wait(2, 2, at(0s));
  std::array<std::uint64_t, 3> got{};
  for (int ms = 1; ms <= 10'000; ++ms) {
    got[0] += rate.take(0, 100'000, at(ms * 1ms));
    if (ms % 10 == 0) got[1] += rate.take(1, 100'000, at(ms * 1ms));
    if (ms % 5 == 0) got[2] += rate.take(2, 100'000, at(ms * 1ms));
  }
  EXPECT_NEAR(static_cast<double>(got[0]), 250'000, 2'500);
  EXPECT_NEAR(static_cast<double>(got[1]), 250'000, 2'500);
  EXPECT_NEAR(static_cast<double>(got[2]), 500'000, 2'500);
}

TEST(SharedRate, WhoWaitsNoMoreLeavesTheRestToTheOthers) {
  SharedRate rate;
  rate.set(1'000, 1'000, at(0s));
  EXPECT_EQ(rate.take(0, 1'000, at(0s)), 1'000u);
  rate.wait(0, 1, at(0s));
  rate.wait(1, 1, at(0s));
  EXPECT_EQ(rate.take(1, 1'000, at(100ms)), 50u);
  rate.wait(0, 0, at(100ms));
  EXPECT_EQ(rate.take(1, 1'000, at(100ms)), 50u) << "what the other one had";
  EXPECT_EQ(rate.take(1, 1'000, at(200ms)), 100u) << "and from now on all";
}

TEST(SharedRate, ReadyAtIsWhenThereIsSoMuch) {
  SharedRate rate;
  rate.set(1'000, 500, at(0s));
  static_cast<void>(rate.take(0, 500, at(0s)));
  EXPECT_EQ(rate.ready_at(0, 100, at(0s)), at(100ms));
  EXPECT_EQ(rate.ready_at(0, 501, at(0s)), kNever);
  rate.wait(0, 1, at(0s));
  rate.wait(1, 3, at(0s));
  EXPECT_EQ(rate.ready_at(0, 100, at(0s)), at(400ms));
  EXPECT_EQ(rate.take(0, 100, at(399ms)), 99u);
  EXPECT_EQ(rate.take(0, 100, at(404ms)), 2u);
}

TEST(SharedRate, ASmallerBurstCountsAtOnceAndALargerRateFromNowOn) {
  SharedRate rate;
  rate.set(1'000, 1'000, at(0s));
  rate.set(1'000, 10, at(0s));
  EXPECT_EQ(rate.take(0, 100, at(0s)), 10u);
  rate.set(100'000, 1'000, at(0s));
  EXPECT_EQ(rate.take(0, 100, at(0s)), 0u) << "what is not there does not come by setting it";
  EXPECT_EQ(rate.take(0, 2'000, at(10ms)), 1'000u);
  rate.set(0, 0, at(10ms));
  EXPECT_EQ(rate.take(0, 2'000, at(10ms)), 2'000u);
}

/// Times that would not fit in 64 bits when multiplied.
TEST(SharedRate, ALongRestAtTheHighestRateFits) {
  SharedRate rate;
  rate.set(SharedRate::kMost, SharedRate::kMost, at(0s));
  EXPECT_EQ(rate.take(0, UINT64_MAX, at(0s)), SharedRate::kMost);
  rate.wait(0, 60'000, at(0s));
  rate.wait(63, 1, at(0s));
  EXPECT_LE(rate.take(0, UINT64_MAX, at(24h * 365 * 100)), SharedRate::kMost);
  EXPECT_GE(rate.taken(), 2 * SharedRate::kMost - SharedRate::kMost / 1'000);
}

}  // namespace
}  // namespace qudag::sync
