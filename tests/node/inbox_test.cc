#include "node/inbox.h"

#include <gtest/gtest.h>

#include <vector>

namespace qudag::node {
namespace {

sync::Pushed put(Inbox& inbox, Class cls) {
  shard::SendRequest request;
  request.options.cls = cls;
  return inbox.put(request, TimePoint{});
}

TEST(Inbox, ClassHighHasPlacesOfItsOwnAndIsTakenFirst) {
  constexpr std::size_t kHigh = 64, kOthers = 128;
  Inbox inbox(kHigh, kOthers);
  std::size_t low = 0;
  while (put(inbox, Class::low) != sync::Pushed::full) ASSERT_LE(++low, 2 * kOthers);
  EXPECT_EQ(put(inbox, Class::normal), sync::Pushed::full);
  EXPECT_NE(put(inbox, Class::high), sync::Pushed::full) << "a flood does not shut it out";
  EXPECT_NE(put(inbox, Class::high), sync::Pushed::full);
  std::vector<Class> taken;
  inbox.drain(TimePoint{},
              [&](shard::SendRequest&& request) { taken.push_back(request.options.cls); });
  ASSERT_EQ(taken.size(), low + 2);
  EXPECT_EQ(taken[0], Class::high);
  EXPECT_EQ(taken[1], Class::high);
  EXPECT_EQ(taken[2], Class::low);
  EXPECT_TRUE(inbox.sleep());
  EXPECT_EQ(put(inbox, Class::high), sync::Pushed::wake);
}

}  // namespace
}  // namespace qudag::node
