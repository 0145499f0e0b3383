#include "memory/lent_places.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

TEST(LentPlaces, OneBusyShardTakesNearlyAllAndTheOtherFindsSome) {
  for (const unsigned shards : {2u, 4u, 8u, 64u}) {
    SCOPED_TRACE(shards);
    LentPlaces places(6'400, shards);
    EXPECT_GT(places.most(0), 6'400u * 8 / 10);
    places.set_used(0, places.most(0));
    const std::size_t kept = places.most(1);
    EXPECT_GE(kept, 6'400u / shards / 8);
    EXPECT_LT(kept, 6'400u / shards);
    places.set_used(1, kept);
    EXPECT_EQ(places.most(1), kept) << "the rest is lent";
    EXPECT_EQ(places.owed(0), 0u) << "nobody said that he is short";
  }
}

TEST(LentPlaces, WhoIsShortGetsItsShareBackAndNoMore) {
  LentPlaces places(1'000, 2);
  places.set_used(0, places.most(0));
  places.set_used(1, 40);
  places.look(1);
  EXPECT_GT(places.owed(0), 0u);
  std::size_t steps = 0;
  while (places.owed(0) > 0 && steps < 1'000) {  // what ends is not taken again
    const std::size_t held = 500 + places.owed(0);
    EXPECT_EQ(places.most(0), held) << "nothing new";
    places.set_used(0, held - 1);
    places.set_used(1, std::min(places.most(1), places.share()));
    places.look(1);
    ++steps;
  }
  places.set_used(1, places.most(1));
  EXPECT_GE(places.most(1), 460u);
  EXPECT_LE(places.most(1) + places.most(0), 1'000u + 62u);
  places.look(1);
  EXPECT_LT(steps, 600u);
}

TEST(LentPlaces, WhoHasItsShareIsNotShort) {
  LentPlaces places(1'000, 2);
  places.set_used(0, 500);
  places.set_used(1, 500);
  places.look(1);
  EXPECT_EQ(places.owed(0), 0u);
  places.set_used(1, 0);
  places.look(1);
  EXPECT_EQ(places.owed(0), 0u) << "there is room";
}

TEST(LentPlaces, OfOneShardAreItsOwn) {
  LentPlaces places(10, 1);
  places.set_used(0, 10);
  places.look(0);
  EXPECT_EQ(places.most(0), 10u);
  EXPECT_EQ(places.owed(0), 0u);
}

/// Whatever shards do at the same time, the total is passed by one place for each other shard.
TEST(LentPlaces, TwoThreadsTogetherTakeNoMoreThanThereIs) {
  constexpr std::size_t kTotal = 1'000;
  LentPlaces places(kTotal, 2);
  std::vector<std::thread> threads;
  std::vector<std::size_t> got(2);
  for (unsigned shard = 0; shard < 2; ++shard) {
    threads.emplace_back([&, shard] {
      std::size_t used = 0;
      for (int i = 0; i < 100'000; ++i) {
        if (used < places.most(shard)) places.set_used(shard, ++used);
      }
      got[shard] = used;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(got[0] + got[1], kTotal - 1);
  EXPECT_LE(got[0] + got[1], kTotal + 1);
}

}  // namespace
}  // namespace qudag::memory
