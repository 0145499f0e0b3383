// Where flows go: to the least loaded shard, and there while they live.
#include "node/placement.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

namespace qudag::node {
namespace {

using namespace std::chrono_literals;

struct Shards {
  explicit Shards(unsigned count) : busy(count) {}
  std::vector<Duration> busy;
  TimePoint now{1h};
  Placement placement{static_cast<unsigned>(busy.size()), [this](unsigned i) { return busy[i]; },
                      [this] { return now; }};
  /// A second in which shard i was busy for that share of it.
  void second(std::initializer_list<double> shares) {
    std::size_t i = 0;
    for (const double share : shares) {
      busy[i++] += std::chrono::duration_cast<Duration>(share * std::chrono::duration<double>(1));
    }
    now += 1s;
  }
  std::vector<unsigned> place(std::size_t first, std::size_t count) {
    std::vector<unsigned> out(busy.size());
    for (std::size_t i = 0; i < count; ++i) ++out[placement.shard_of(first + i)];
    return out;
  }
};

TEST(Placement, FlowsThatComeTogetherSpreadEvenly) {
  Shards shards(4);
  EXPECT_EQ(shards.place(1, 8), (std::vector<unsigned>{2, 2, 2, 2}));
}

TEST(Placement, AFlowStaysWhereItIs) {
  Shards shards(4);
  const unsigned at = shards.placement.shard_of(77);
  for (int round = 0; round < 100; ++round) {
    for (std::size_t other = 100; other < 120; ++other) shards.placement.shard_of(other);
    shards.second({0.9, 0.9, 0.9, 0.9});
    EXPECT_EQ(shards.placement.shard_of(77), at);
    for (std::uint32_t i = 0; i + 1 < Placement::kIdleRounds; ++i) shards.placement.next_round();
  }
}

TEST(Placement, NewFlowsGoToTheIdleShard) {
  Shards shards(3);
  shards.second({0.9, 0.1, 0.8});
  // Six times 0.1 until the second is as loaded as the third, give or take one.
  const auto placed = shards.place(1, 6);
  EXPECT_EQ(placed, (std::vector<unsigned>{0, 6, 0}));
  shards.second({0.1, 0.9, 0.8});
  EXPECT_EQ(shards.place(100, 3), (std::vector<unsigned>{3, 0, 0}));
}

TEST(Placement, WhatWasJustPlacedCounts) {
  Shards shards(2);
  shards.second({0.35, 0.0});
  EXPECT_EQ(shards.place(1, 12), (std::vector<unsigned>{4, 8}));
}

TEST(Placement, AnIdlePlaceIsGivenAnew) {
  Shards shards(2);
  const unsigned at = shards.placement.shard_of(5);
  for (std::uint32_t i = 0; i < Placement::kIdleRounds; ++i) shards.placement.next_round();
  shards.second({at == 0 ? 1.0 : 0.0, at == 1 ? 1.0 : 0.0});
  EXPECT_NE(shards.placement.shard_of(5), at);
}

TEST(Placement, LinksOfStrangersGoWhereFewestAreAndLeastIsDone) {
  Shards shards(3);
  std::vector<std::size_t> links(3);
  Placement placement(
      3, [&](unsigned i) { return shards.busy[i]; }, [&] { return shards.now; },
      [&](unsigned i) { return links[i]; });
  for (int i = 0; i < 30; ++i) {  // one a second, all idle
    shards.second({0, 0, 0});
    ++links[placement.place_link()];
  }
  EXPECT_EQ(links, (std::vector<std::size_t>{10, 10, 10}));
  shards.second({0.9, 0.1, 0.9});
  EXPECT_EQ(placement.place_link(), 1u) << "what has most links may have least to do";
  links = {40, 5, 5};
  shards.second({0.1, 0.2, 0.1});
  EXPECT_EQ(placement.place_link(), 2u);
}

TEST(Placement, OneShardIsEveryones) {
  Shards shards(1);
  EXPECT_EQ(shards.place(0, 100), (std::vector<unsigned>{100}));
}

}  // namespace
}  // namespace qudag::node
