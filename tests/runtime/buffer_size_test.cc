// Buffers of a socket follow what stands in them, and go back.
#include "runtime/buffer_size.h"

#include <gtest/gtest.h>

namespace qudag::runtime {
namespace {

constexpr std::uint64_t kKib = 1024, kMib = 1024 * kKib;
constexpr BufferRules kRules{.least = 512 * kKib, .first = 2 * kMib, .most = 8 * kMib};

TEST(BufferSize, GrowsToFourTimesWhatStoodAtOnce) {
  BufferSize size(kRules);
  EXPECT_EQ(size.bytes(), 2 * kMib);
  EXPECT_FALSE(size.stood(512 * kKib));
  EXPECT_TRUE(size.stood(600 * kKib));
  EXPECT_EQ(size.bytes(), 4 * kMib) << "and is doubled at least";
  EXPECT_TRUE(size.stood(5 * kMib));
  EXPECT_EQ(size.bytes(), 8 * kMib);
  EXPECT_FALSE(size.stood(50 * kMib)) << "no more than the system gives";
}

TEST(BufferSize, DoublesWhenSomethingWasLost) {
  BufferSize size(kRules);
  size.look_in(true, false);
  EXPECT_EQ(size.bytes(), 4 * kMib);
}

TEST(BufferSize, GoesBackWhenItWasNotNeededAndWhenMemoryIsShort) {
  BufferSize size(kRules);
  size.stood(5 * kMib);
  for (unsigned i = 0; i < BufferSize::kLooksUntilLess; ++i) {
    size.stood(2 * kMib);
    size.look_in(false, false);
  }
  EXPECT_EQ(size.bytes(), 8 * kMib) << "in use";
  for (unsigned i = 0; i <= 2 * BufferSize::kLooksUntilLess; ++i) size.look_in(false, false);
  EXPECT_EQ(size.bytes(), 2 * kMib);
  for (int i = 0; i < 5; ++i) size.look_in(false, true);
  EXPECT_EQ(size.bytes(), 512 * kKib);
  for (unsigned i = 0; i <= BufferSize::kLooksUntilLess; ++i) size.look_in(false, false);
  EXPECT_EQ(size.bytes(), 2 * kMib) << "the first size is there again";
}

TEST(BufferSize, WhatFillsOnItsWayOutHoldsATenthOfASecond) {
  BufferSize size(kRules);
  size.look_out(false, 100 * kMib, false);
  EXPECT_EQ(size.bytes(), 2 * kMib) << "it never filled";
  size.look_out(true, 12 * kMib, false);
  EXPECT_EQ(size.bytes(), 12 * kMib / 10);
  size.look_out(true, 1 * kMib, false);
  EXPECT_EQ(size.bytes(), 512 * kKib);
  size.look_out(true, 500 * kMib, false);
  EXPECT_EQ(size.bytes(), 8 * kMib);
  for (unsigned i = 0; i <= 2 * BufferSize::kLooksUntilLess; ++i) size.look_out(false, 0, false);
  EXPECT_EQ(size.bytes(), 2 * kMib);
}

TEST(BufferSize, ASystemThatGivesLittleIsNotAskedForMore) {
  BufferSize size({.least = 512 * kKib, .first = 2 * kMib, .most = 200 * kKib});
  EXPECT_EQ(size.bytes(), 200 * kKib);
  EXPECT_FALSE(size.stood(kMib));
  size.look_in(true, false);
  size.look_out(true, 0, true);
  EXPECT_EQ(size.bytes(), 200 * kKib);
}

}  // namespace
}  // namespace qudag::runtime
