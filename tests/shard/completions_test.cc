#include "shard/completions.h"

#include "base/slot_map.h"

#include <gtest/gtest.h>

#include <vector>

namespace qudag::shard {
namespace {

message::SendId id_of(std::uint32_t place, std::uint32_t generation) {
  return {SlotHandle(place, generation).value};
}

TEST(Completions, EachIsTakenOnce) {
  Completions all(3);
  int told = 0;
  all.put(id_of(2, 1), {.done = [&](const Delivery&) { ++told; }, .bytes = 7});
  EXPECT_EQ(all.size(), 1u);
  EXPECT_EQ(all.find(id_of(0, 1)), nullptr);
  ASSERT_NE(all.find(id_of(2, 1)), nullptr);
  auto taken = all.take(id_of(2, 1));
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->bytes, 7u);
  taken->done({});
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(all.take(id_of(2, 1)).has_value());
  EXPECT_EQ(all.size(), 0u);
}

TEST(Completions, AnEndedSendIsNotTakenForTheOneInItsPlace) {
  Completions all(1);
  all.put(id_of(0, 1), {.bytes = 1});
  ASSERT_TRUE(all.take(id_of(0, 1)).has_value());
  all.put(id_of(0, 2), {.bytes = 2});
  EXPECT_FALSE(all.take(id_of(0, 1)).has_value());
  EXPECT_EQ(all.take(id_of(0, 2))->bytes, 2u);
}

TEST(Completions, WhatIsLeftEndsWithThem) {
  const auto owner = std::make_shared<int>(1);
  {
    Completions all(100);
    all.put(id_of(50, 1), {.done = [owner](const Delivery&) {}});
    EXPECT_EQ(owner.use_count(), 2);
  }
  EXPECT_EQ(owner.use_count(), 1);
}

}  // namespace
}  // namespace qudag::shard
