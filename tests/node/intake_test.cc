#include "node/intake.h"

#include <gtest/gtest.h>

#include <vector>

namespace qudag::node {
namespace {

sync::Pushed put(Intake& intake, Priority priority) {
  shard::SendRequest request;
  request.options.priority = priority;
  return intake.put(request, TimePoint{});
}

TEST(Intake, HighPriorityHasPlacesOfItsOwnAndIsTakenFirst) {
  constexpr std::size_t kHigh = 64, kOthers = 128;
  Intake intake(kHigh, kOthers);
  std::size_t low = 0;
  while (put(intake, Priority::low) != sync::Pushed::full) ASSERT_LE(++low, 2 * kOthers);
  EXPECT_EQ(put(intake, Priority::normal), sync::Pushed::full);
  EXPECT_NE(put(intake, Priority::high), sync::Pushed::full) << "a flood does not shut it out";
  EXPECT_NE(put(intake, Priority::high), sync::Pushed::full);
  std::vector<Priority> taken;
  intake.drain(TimePoint{},
               [&](shard::SendRequest&& request) { taken.push_back(request.options.priority); });
  ASSERT_EQ(taken.size(), low + 2);
  EXPECT_EQ(taken[0], Priority::high);
  EXPECT_EQ(taken[1], Priority::high);
  EXPECT_EQ(taken[2], Priority::low);
  EXPECT_TRUE(intake.sleep());
  EXPECT_EQ(put(intake, Priority::high), sync::Pushed::wake);
}

}  // namespace
}  // namespace qudag::node
