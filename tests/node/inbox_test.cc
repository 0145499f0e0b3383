#include "node/inbox.h"

#include <gtest/gtest.h>

#include <vector>

namespace qudag::node {
namespace {

sync::Pushed put(Inbox& inbox, Priority priority) {
  shard::SendRequest request;
  request.options.priority = priority;
  return inbox.put(request, TimePoint{});
}

TEST(Inbox, HighPriorityHasPlacesOfItsOwnAndIsTakenFirst) {
  constexpr std::size_t kHigh = 64, kOthers = 128;
  Inbox inbox(kHigh, kOthers);
  std::size_t low = 0;
  while (put(inbox, Priority::low) != sync::Pushed::full) ASSERT_LE(++low, 2 * kOthers);
  EXPECT_EQ(put(inbox, Priority::normal), sync::Pushed::full);
  EXPECT_NE(put(inbox, Priority::high), sync::Pushed::full) << "a flood does not shut it out";
  EXPECT_NE(put(inbox, Priority::high), sync::Pushed::full);
  std::vector<Priority> taken;
  inbox.drain(TimePoint{},
              [&](shard::SendRequest&& request) { taken.push_back(request.options.priority); });
  ASSERT_EQ(taken.size(), low + 2);
  EXPECT_EQ(taken[0], Priority::high);
  EXPECT_EQ(taken[1], Priority::high);
  EXPECT_EQ(taken[2], Priority::low);
  EXPECT_TRUE(inbox.sleep());
  EXPECT_EQ(put(inbox, Priority::high), sync::Pushed::wake);
}

}  // namespace
}  // namespace qudag::node
