#include "base/time_histogram.h"
#include "base/crowd_times.h"

#include <gtest/gtest.h>

namespace qudag {
namespace {

using namespace std::chrono_literals;

TEST(TimeHistogram, IsExactAtPowersOfTwoAndInItsSum) {
  TimeHistogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.percentile(99), 0ns);
  h.record(63us);
  h.record(64us, 2);
  h.record(-1ns);  // a clock that was read in another order
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(h.below(64), 2u);
  EXPECT_EQ(h.below(128), 4u);
  EXPECT_DOUBLE_EQ(h.sum(), 63 + 2 * 64);
  EXPECT_EQ(h.max(), 64us);
  EXPECT_EQ(h.percentile(50), 64us - 1ns);

  TimeHistogram other;
  other.record(24h);
  h.merge(other);
  EXPECT_EQ(h.count(), 5u);
  EXPECT_EQ(h.below(std::uint64_t{1} << 26), 4u);
  EXPECT_EQ(h.max(), 24h);
}

TEST(CrowdTimes, AreShownWhenSoManyDifferentOnesGaveSome) {
  CrowdTimes times(3);
  std::array<std::uint8_t, 4> marks{};
  const auto give = [&](std::size_t who) { marks[who] = times.record(1ms, marks[who]); };
  for (int i = 0; i < 100; ++i) give(0);
  give(1);
  EXPECT_EQ(times.shown().count(), 0u) << "of two";
  give(2);
  EXPECT_EQ(times.shown().count(), 102u);
  give(3);
  give(3);
  EXPECT_EQ(times.shown().count(), 102u) << "the next ones are of one again";
  give(0);
  give(1);
  EXPECT_EQ(times.shown().count(), 106u);
  // However old a mark is, it never makes two of one.
  for (int i = 0; i < 100; ++i) {
    give(2);
    give(3);
  }
  EXPECT_LE(times.shown().count(), 106u) << "of two";
}

TEST(CrowdTimes, OfOneAreShownAtOnce) {
  CrowdTimes times(1);
  std::uint8_t mark = 0;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    mark = times.record(1ms, mark);
    EXPECT_EQ(times.shown().count(), i);
  }
}

TEST(CrowdTimes, OfALookAreShownWhereEnoughHavePart) {
  CrowdTimes times(3);
  TimeHistogram look;
  look.record(5ms);
  times.record_all(look, 2);
  EXPECT_EQ(times.shown().count(), 0u);
  times.record_all(look, 3);
  EXPECT_EQ(times.shown().count(), 1u);
}

}  // namespace
}  // namespace qudag
