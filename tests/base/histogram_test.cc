#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace qudag {
namespace {

TEST(Histogram, EmptyIsZeroEverywhere) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.min(), 0u);
  EXPECT_EQ(h.max(), 0u);
  EXPECT_EQ(h.percentile(50), 0u);
  EXPECT_EQ(h.mean(), 0.0);
}

TEST(Histogram, BucketsCoverAllValuesWithoutGapsOrOverlaps) {
  std::uint64_t expected_low = 0;
  for (std::size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    EXPECT_EQ(Histogram::bucket_of(expected_low), bucket);
    const std::uint64_t high = Histogram::upper_end(bucket);
    EXPECT_EQ(Histogram::bucket_of(high), bucket);
    EXPECT_LE(high - expected_low, expected_low / 32);
    expected_low = high + 1;  // wraps to 0 after the last
  }
  EXPECT_EQ(expected_low, 0u);
  EXPECT_EQ(Histogram::upper_end(Histogram::kBuckets - 1), UINT64_MAX);
}

TEST(Histogram, PercentilesAreWithinThreePercentOfTheExactOnes) {
  std::mt19937_64 random(1);  // seed: fixed
  std::lognormal_distribution<double> latency(12.0, 2.0);
  Histogram h;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<std::uint64_t>(latency(random));
    all.push_back(value);
    h.record(value);
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(h.count(), all.size());
  EXPECT_EQ(h.min(), all.front());
  EXPECT_EQ(h.max(), all.back());
  for (const double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
    const auto rank = static_cast<std::size_t>(
        std::max(1.0, std::ceil(percent / 100.0 * static_cast<double>(all.size()))));
    const auto exact = all[rank - 1];
    EXPECT_GE(h.percentile(percent), exact) << percent;
    EXPECT_LE(static_cast<double>(h.percentile(percent)), 1.033 * static_cast<double>(exact))
        << percent;
  }
  EXPECT_EQ(h.percentile(100), all.back());
  EXPECT_EQ(h.percentile(0), all.front());
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram h;
  for (std::uint64_t v = 0; v < 10; ++v) h.record(v);
  EXPECT_EQ(h.percentile(10), 0u);
  EXPECT_EQ(h.percentile(50), 4u);
  EXPECT_EQ(h.percentile(100), 9u);
  EXPECT_DOUBLE_EQ(h.mean(), 4.5);
}

TEST(Histogram, MergeEqualsRecordingIntoOne) {
  Histogram a, b, both;
  for (std::uint64_t v = 1; v < 1000; v += 7) {
    a.record(v);
    both.record(v);
  }
  b.record(5'000'000, 3);
  both.record(5'000'000, 3);
  a.merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  EXPECT_DOUBLE_EQ(a.mean(), both.mean());
  for (double p = 0; p <= 100; p += 0.5) EXPECT_EQ(a.percentile(p), both.percentile(p));
  a.clear();
  EXPECT_EQ(a.count(), 0u);
}

}  // namespace
}  // namespace qudag
