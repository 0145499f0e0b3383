#include "memory/scratch.h"

#include "support/allocation_count.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace qudag::memory {
namespace {

TEST(Scratch, GivesAlignedZeroedPlacesThatDoNotOverlap) {
  Scratch scratch(1024, 4096);
  const auto bytes = scratch.make<std::byte>(3);
  const auto words = scratch.make<std::uint64_t>(4);
  ASSERT_EQ(words.size(), 4u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(words.data()) % alignof(std::uint64_t), 0u);
  for (const auto w : words) EXPECT_EQ(w, 0u);
  for (auto& w : words) w = UINT64_MAX;
  for (const auto b : bytes) EXPECT_EQ(b, std::byte{0});
  EXPECT_TRUE(scratch.make<int>(0).empty());
}

TEST(Scratch, BoundsATurn) {
  Scratch scratch(64, 256);
  EXPECT_EQ(scratch.make<std::byte>(200).size(), 200u);
  EXPECT_TRUE(scratch.make<std::byte>(200).empty());
  EXPECT_TRUE(scratch.make<std::uint64_t>(SIZE_MAX / 2).empty()) << "no overflow";
  EXPECT_EQ(scratch.refused(), 1u);
  EXPECT_EQ(scratch.make<std::byte>(40).size(), 40u);
  scratch.reset();
  EXPECT_EQ(scratch.make<std::byte>(200).size(), 200u);
}

TEST(Scratch, LearnsItsHighWaterAndThenAllocatesNothing) {
  Scratch scratch(64, 1 << 20);
  const auto turn = [&scratch] {
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(scratch.make<std::uint64_t>(10).empty());
    scratch.reset();
  };
  turn();
  EXPECT_GE(scratch.high_water_bytes(), 8000u);
  turn();
  const std::uint64_t before = test::allocations();
  const std::size_t pieces = scratch.system_allocations();
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_EQ(test::allocations() - before, 0u);
  EXPECT_EQ(scratch.system_allocations(), pieces);
}

}  // namespace
}  // namespace qudag::memory
