#include "sync/token_bucket.h"

#include <gtest/gtest.h>

#include <random>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(d); }

TEST(TokenBucket, StartsFullAndRefillsAtItsRate) {
  TokenBucket bucket(10, 5, at(0ns));
  EXPECT_TRUE(bucket.take(5, at(0ns)));
  EXPECT_FALSE(bucket.take(1, at(0ns)));
  EXPECT_FALSE(bucket.take(1, at(100ms - 1ns)));
  EXPECT_TRUE(bucket.take(1, at(100ms)));
  EXPECT_FALSE(bucket.take(1, at(100ms)));
  EXPECT_EQ(bucket.available(at(10h)), 5u) << "never more than the burst";
  EXPECT_EQ(bucket.refused(), 3u);
}

TEST(TokenBucket, TakesAllOrNothing) {
  TokenBucket bucket(1, 10, at(0ns));
  EXPECT_FALSE(bucket.take(11, at(0ns)));
  EXPECT_FALSE(bucket.take(UINT64_MAX, at(0ns)));
  EXPECT_EQ(bucket.available(at(0ns)), 10u);
  EXPECT_TRUE(bucket.take(0, at(0ns)));
}

TEST(TokenBucket, ReadyAtIsTheFirstMomentThatWorks) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t rate = 1 + random() % 1'000'000'000, burst = 1 + random() % 100'000;
    TokenBucket bucket(rate, burst, at(0ns));
    ASSERT_TRUE(bucket.take(random() % (burst + 1), at(0ns)));
    const std::uint64_t wanted = random() % (burst + 1);
    const TimePoint ready = bucket.ready_at(wanted, at(0ns));
    TokenBucket early = bucket;
    ASSERT_TRUE(ready == at(0ns) || !early.take(wanted, ready - 1ns));
    ASSERT_TRUE(bucket.take(wanted, ready));
  }
  TokenBucket bucket(10, 5, at(0ns));
  EXPECT_EQ(bucket.ready_at(6, at(0ns)), kNever);
}

TEST(TokenBucket, AskingOftenLosesNothing) {
  TokenBucket often(3, 1000, at(0ns)), once(3, 1000, at(0ns));
  ASSERT_TRUE(often.take(1000, at(0ns)) && once.take(1000, at(0ns)));
  for (Duration t = 0ns; t <= 100s; t += 1ms) often.available(at(t));
  EXPECT_EQ(often.available(at(100s)), 300u);
  EXPECT_EQ(once.available(at(100s)), 300u);
}

TEST(TokenBucket, LargestRateAndLongestTimeDoNotOverflow) {
  TokenBucket bucket(TokenBucket::kBurstMax, TokenBucket::kBurstMax, at(0ns));
  ASSERT_TRUE(bucket.take(TokenBucket::kBurstMax, at(0ns)));
  EXPECT_EQ(bucket.available(at(500ms)), TokenBucket::kBurstMax / 2);
  EXPECT_EQ(bucket.available(kNever - 1ns), TokenBucket::kBurstMax);
}

TEST(TokenBucket, RateZeroGivesItsBurstOnce) {
  TokenBucket bucket(0, 2, at(0ns));
  EXPECT_TRUE(bucket.take(2, at(0ns)));
  EXPECT_FALSE(bucket.take(1, at(1000h)));
  EXPECT_EQ(bucket.ready_at(1, at(1000h)), kNever);
}

TEST(TokenBucket, TimeThatGoesBackGainsNothing) {
  TokenBucket bucket(10, 5, at(10s));
  ASSERT_TRUE(bucket.take(5, at(10s)));
  EXPECT_EQ(bucket.available(at(0s)), 0u);
  EXPECT_EQ(bucket.available(at(10s + 100ms)), 1u);
}

TEST(TokenBucket, NewRateCountsFromNow) {
  TokenBucket bucket(10, 100, at(0s));
  ASSERT_TRUE(bucket.take(100, at(0s)));
  bucket.set_rate(100, 50, at(1s));
  EXPECT_EQ(bucket.available(at(1s)), 10u);
  EXPECT_EQ(bucket.available(at(1s + 100ms)), 20u);
  EXPECT_EQ(bucket.available(at(1h)), 50u);
  bucket.set_rate(100, 5, at(1h));
  EXPECT_EQ(bucket.available(at(1h)), 5u);
}

}  // namespace
}  // namespace qudag::sync
