// The one fair queue: frames of gossip, descriptors to be verified and builds wait in it.
#include "sync/fair_lines.h"

#include <gmock/gmock.h>

#include <random>
#include <vector>

namespace qudag::sync {
namespace {

std::vector<int> drain(FairLines<int>& lines) {
  std::vector<int> out;
  while (const auto next = lines.pop()) out.push_back(next->item);
  return out;
}

TEST(FairLines, LinesTakeTurnsAndEachKeepsItsOrder) {
  FairLines<int> lines(12);
  for (const int item : {11, 12, 13}) lines.push(1, item);
  for (const int item : {21, 22}) lines.push(2, item);
  lines.push(3, 31);
  EXPECT_EQ(lines.size(), 6u);
  EXPECT_THAT(drain(lines), ::testing::ElementsAre(11, 21, 31, 12, 22, 13));
  EXPECT_TRUE(lines.empty());
}

TEST(FairLines, TheTurnGoesOnWhereItWas) {
  FairLines<int> lines(12);
  lines.push(1, 11);
  lines.push(2, 21);
  EXPECT_EQ(lines.pop()->item, 11);
  lines.push(1, 12);
  EXPECT_EQ(lines.pop()->item, 21) << "1 had its turn";
  EXPECT_EQ(lines.pop()->item, 12);
}

TEST(FairLines, TheLongestGivesWayAndTheNewcomerCounts) {
  FairLines<int> lines(12);
  for (const int item : {1, 2, 3}) lines.push(7, item);
  for (const int item : {4, 5, 6}) lines.push(8, item);
  EXPECT_EQ(lines.longest(8), 8u);
  EXPECT_EQ(lines.longest(7), 7u);
  EXPECT_EQ(lines.drop_first(7), 1);
  EXPECT_EQ(lines.drop_last(8), 6);
  EXPECT_THAT(drain(lines), ::testing::ElementsAre(2, 4, 3, 5));
}

TEST(FairLines, ForgettingAndErasingKeepTheCount) {
  FairLines<int> lines(12);
  for (int i = 0; i < 12; ++i) lines.push(static_cast<std::uint64_t>(i % 3), i);
  lines.forget(1);
  lines.forget(99);
  EXPECT_EQ(lines.size(), 8u);
  lines.erase_if([](int item) { return item % 2 == 0; });
  EXPECT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines.length(0), 2u);
  EXPECT_THAT(drain(lines), ::testing::UnorderedElementsAre(3, 5, 9, 11));
}

// However the traffic falls: the count is right, nothing is lost, and a line that keeps one item
// waiting is served at every round of the others.
TEST(FairLines, AgreesWithItsPromiseUnderRandomTraffic) {
  std::mt19937 draw(7);
  FairLines<int> lines(20'001);
  std::size_t in = 0, out = 0;
  int waited = 0;
  lines.push(1'000, -1);
  ++in;
  for (int i = 0; i < 20'000; ++i) {
    if (draw() % 2 == 0) {
      lines.push(draw() % 20, i);
      ++in;
    } else if (const auto next = lines.pop()) {
      ++out;
      waited = next->key == 1'000 ? 0 : waited + 1;
      ASSERT_LE(waited, 20);
      if (next->key == 1'000) {
        lines.push(1'000, -1);
        ++in;
      }
    }
    ASSERT_EQ(lines.size(), in - out);
  }
}

}  // namespace
}  // namespace qudag::sync
