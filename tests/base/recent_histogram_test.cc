#include "base/recent_histogram.h"

#include <gtest/gtest.h>

namespace qudag {
namespace {

using namespace std::chrono_literals;
constexpr TimePoint kStart{1'000h};

TEST(RecentHistogram, ForgetsAfterTwoWindowsAndKeepsEverythingApart) {
  RecentHistogram h;
  h.record(10, kStart);
  h.record(20, kStart + 30s);
  EXPECT_EQ(h.recent(kStart + 59s).count(), 2u);
  EXPECT_EQ(h.recent(kStart + 90s).count(), 2u) << "nothing came since";
  h.record(30, kStart + 70s);
  EXPECT_EQ(h.recent(kStart + 80s).count(), 3u);
  h.record(40, kStart + 140s);
  EXPECT_EQ(h.recent(kStart + 150s).count(), 2u) << "the first two are of the window before last";
  EXPECT_EQ(h.recent(kStart + 150s).max(), 40u);
  EXPECT_EQ(h.recent(kStart + 400s).count(), 0u);
  h.record(50, kStart + 400s);
  EXPECT_EQ(h.recent(kStart + 401s).count(), 1u);
  EXPECT_EQ(h.all().count(), 5u);
}

}  // namespace
}  // namespace qudag
