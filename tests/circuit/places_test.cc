// Places when there are none left: the link that holds most gives up, and who comes anew gets one.
#include "circuit/net.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

Data opening(std::size_t bytes) {
  Data out(bytes);
  out[0] = std::byte{0x01};
  out[1] = static_cast<std::byte>(Priority::normal);
  return out;
}

TEST(Places, TheFullestLinkGivesUpTheBuildThatItBeganFirst) {
  Net net({.seed = 51});
  net.add({.circuits = {.building_max = 8}});
  net.add_many(3);
  Node& relay = net.node(0);
  std::vector<Stream*> many;
  for (int i = 0; i < 5; ++i) {
    many.push_back(&net.connect(1, 0));
    net.raw_write(*many.back(), opening(100));
    net.run();
  }
  std::vector<Stream*> few;
  for (int i = 0; i < 3; ++i) {
    few.push_back(&net.connect(2, 0));
    net.raw_write(*few.back(), opening(100));
    net.run();
  }
  EXPECT_EQ(relay.circuits.building(), 8u);

  Stream& newcomer = net.connect(3, 0);
  net.raw_write(newcomer, opening(100));
  net.run();
  EXPECT_EQ(many[0]->end[0].ended, EndCode::refused) << "the first of those that hold most";
  EXPECT_TRUE(many[1]->end[1].open);
  EXPECT_TRUE(newcomer.end[1].open);
  for (const Stream* stream : few) EXPECT_TRUE(stream->end[1].open);

  // Who holds most gets no more of them, but its last ones.
  Stream& another = net.connect(1, 0);
  net.raw_write(another, opening(100));
  net.run();
  EXPECT_EQ(many[1]->end[0].ended, EndCode::refused);
  EXPECT_TRUE(another.end[1].open);
  EXPECT_EQ(relay.circuits.building(), 8u);
  EXPECT_EQ(relay.circuits.stats().refused_place, 2u);
}

TEST(Places, ABuildThatDribblesIsGivenUpAfterTwoSeconds) {
  Net net({.seed = 52});
  net.add_many(2);
  Stream& silent = net.connect(SIZE_MAX, 0);
  net.raw_write(silent, Data{std::byte{0x01}});
  Stream& dribbling = net.connect(SIZE_MAX, 0);
  net.raw_write(dribbling, opening(2));
  Stream& slow = net.connect(SIZE_MAX, 0);
  net.raw_write(slow, opening(2));
  for (int tenth = 0; tenth < 15; ++tenth) {
    net.raw_write(dribbling, Data(100));
    net.raw_write(slow, Data(150));
    net.pass(100ms);
  }
  EXPECT_EQ(net.node(0).circuits.size(), 3u);
  for (int tenth = 0; tenth < 10; ++tenth) {
    net.raw_write(slow, Data(150));
    net.pass(100ms);
  }
  EXPECT_EQ(silent.end[0].ended, EndCode::refused) << "no preface";
  EXPECT_EQ(dribbling.end[0].ended, EndCode::refused) << "less than a fifth in two seconds";
  EXPECT_TRUE(slow.end[1].open) << "a slow path is no attack";
  EXPECT_EQ(net.node(0).circuits.stats().refused_slow, 2u);
  for (int tenth = 0; tenth < 100; ++tenth) {
    if (slow.end[0].open) net.raw_write(slow, Data(140));
    net.pass(100ms);
  }
  EXPECT_FALSE(slow.end[1].open) << "and ten seconds are all that any has";
  net.expect_empty();
}

/// Node 0 is full: so many circuits from node 1 end there, and `others` from node 2.
struct Full {
  Full(std::size_t most, std::size_t others) {
    net.add({.circuits = {.circuits_max = 64}});
    net.add_many(3);
    for (std::size_t i = 0; i < most; ++i) from(1, Priority::high);
    for (std::size_t i = 0; i < others; ++i) from(2, Priority::high);
    EXPECT_EQ(net.node(0).circuits.size(), most + others);
  }
  bool from(std::size_t node, Priority priority) {
    const auto id =
        net.node(node).circuits.build(std::vector{net.node(0).hop()}, priority, net.now());
    EXPECT_TRUE(id.has_value());
    net.run();
    const bool built = !net.node(node).built.empty() && net.node(node).built.back() == *id;
    if (built) circuits[node].push_back(*id);
    return built;
  }
  bool alive(std::size_t node, std::size_t i) {
    return net.node(node).circuits.info(circuits[node][i]).has_value();
  }
  std::size_t held(std::size_t node) { return net.node(node).circuits.size(); }

  Net net{{.seed = 53}};
  std::map<std::size_t, std::vector<CircuitId>> circuits;
};

TEST(Places, IdleCircuitsOfTheFullestLinkEndForANewcomer) {
  Full f(60, 4);
  f.net.pass(6s);
  ASSERT_TRUE(f.net.node(1).send(f.circuits[1][0], Priority::high));
  f.net.run();
  EXPECT_TRUE(f.from(3, Priority::normal)) << "below the places of high priority, too";
  EXPECT_TRUE(f.alive(1, 0)) << "it carries something";
  EXPECT_FALSE(f.alive(1, 1));
  EXPECT_EQ(f.held(2), 4u) << "who holds little keeps it";
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(f.from(3, Priority::high));
  EXPECT_EQ(f.held(2), 4u);
  EXPECT_EQ(f.held(3), 21u);
}

TEST(Places, WhoAsksLittleIsNotRefusedForTheLoadOfOthers) {
  Full f(30, 4);
  f.net.node(0).circuits.set_refusal({1, 0});
  EXPECT_FALSE(f.from(1, Priority::normal)) << "its share is what presses";
  EXPECT_TRUE(f.from(2, Priority::normal));
  EXPECT_TRUE(f.from(3, Priority::low));
  for (int i = 0; i < 20; ++i) f.from(3, Priority::low);
  EXPECT_LT(f.held(3), 10u) << "until it asks for much itself";
  f.net.node(0).circuits.set_refusal({1, 1});
  EXPECT_FALSE(f.from(1, Priority::high));
  EXPECT_TRUE(f.from(2, Priority::normal)) << "also in an emergency: its own part of it is small";
}

TEST(Places, WhoBringsLittleIsNotRefusedForTheTimeThatOthersTake) {
  Full f(4, 30);
  f.net.pass(3s);
  f.net.node(0).circuits.set_refusal({}, {1, 0});
  EXPECT_FALSE(f.from(2, Priority::normal)) << "nobody brings anything else";
  f.net.node(1).stream(f.circuits[1][0], Priority::high, 2'000);
  f.net.run();
  EXPECT_FALSE(f.from(1, Priority::normal)) << "few circuits, and all the cells";
  EXPECT_TRUE(f.from(2, Priority::normal)) << "many circuits, and hardly a cell";
  EXPECT_TRUE(f.from(3, Priority::low));
  f.net.node(0).circuits.set_refusal({1, 0}, {1, 0});
  EXPECT_FALSE(f.from(2, Priority::normal)) << "memory presses, too, and it holds most";
  EXPECT_TRUE(f.from(3, Priority::low));
}

TEST(Places, BuildsWaitForTheirTurnAndLinksTakeTurns) {
  Net net({.seed = 57, .chunk_max = 20'000, .delay_max = 0ns});
  net.add({.circuits = {.builds_per_turn = 2}});
  net.add_many(2);
  const auto ask = [&](std::size_t node) {
    const auto id =
        net.node(node).circuits.build(std::vector{net.node(0).hop()}, Priority::normal, net.now());
    EXPECT_TRUE(id.has_value());
  };
  for (int i = 0; i < 12; ++i) ask(1);
  net.run();
  EXPECT_EQ(net.node(1).built.size(), 2u) << "so many in a turn";
  for (int i = 0; i < 2; ++i) ask(2);
  net.run();
  EXPECT_TRUE(net.node(2).built.empty());
  EXPECT_EQ(net.node(0).circuits.next_deadline(), TimePoint::min()) << "others wait";
  for (int turn = 0; turn < 2; ++turn) net.pass(100us);
  net.run();
  EXPECT_EQ(net.node(2).built.size(), 2u) << "not behind the twelve";
  EXPECT_EQ(net.node(1).built.size(), 4u);
  net.pass(2ms);
  net.run();
  EXPECT_EQ(net.node(1).built.size(), 12u);
  EXPECT_EQ(net.node(0).circuits.size(), 14u);
}

TEST(Places, OfBusyOnesTheQuietestEndsForANewcomerAndForNobodyElse) {
  Full f(60, 4);
  f.net.pass(6s);
  for (std::size_t i = 0; i < 60; ++i) {
    ASSERT_TRUE(f.net.node(1).send(f.circuits[1][(i + 7) % 60], Priority::high));
    f.net.pass(10ms);
  }
  EXPECT_FALSE(f.from(1, Priority::high)) << "the fullest link itself gets nothing for a busy one";
  EXPECT_EQ(f.held(1), 60u);
  EXPECT_TRUE(f.from(3, Priority::high));
  EXPECT_EQ(f.held(1), 59u);
  EXPECT_FALSE(f.alive(1, 7)) << "its last cell came first";
  EXPECT_EQ(f.net.node(0).circuits.stats().ended_place, 1u);
}

TEST(Places, TheFullestLinkGetsAPlaceFromItsOwnIdleOnes) {
  Full f(60, 4);
  f.net.pass(6s);
  EXPECT_TRUE(f.from(1, Priority::high));
  EXPECT_EQ(f.held(2), 4u);
  EXPECT_GE(f.net.node(0).circuits.stats().ended_place, 1u);
}

TEST(Places, OurOwnCircuitsGetAPlaceFromTheFullestLink) {
  Full f(60, 4);
  const auto id =
      f.net.node(0).circuits.build(std::vector{f.net.node(3).hop()}, Priority::normal, f.net.now());
  ASSERT_TRUE(id.has_value());
  f.net.run();
  EXPECT_TRUE(f.net.node(0).circuits.info(*id)->ready);
  EXPECT_EQ(f.held(2), 4u);
}

/// Nodes 0 and 1 are two shards of one node, with 64 places together.
struct TwoShards {
  TwoShards() {
    for (unsigned shard = 0; shard < 2; ++shard) {
      net.add({.circuits = {.circuits_max = 64, .places = &places, .shard = shard}});
    }
    net.add_many(3);
  }
  bool build(std::size_t from, std::size_t shard) {
    const auto id = net.node(from).circuits.build(std::vector{net.node(shard).hop()},
                                                  Priority::high, net.now());
    EXPECT_TRUE(id.has_value());
    net.run();
    return !net.node(from).built.empty() && net.node(from).built.back() == *id;
  }
  std::size_t held(std::size_t shard) { return net.node(shard).circuits.size(); }

  memory::LentPlaces places{64, 2};
  Net net{{.seed = 61}};
};

TEST(Places, OneBusyShardHasMoreThanFourFifthsOfTheNodes) {
  TwoShards node;
  for (int i = 0; i < 80; ++i) static_cast<void>(node.build(2, 0));
  EXPECT_GT(node.held(0), 64u * 8 / 10);
  EXPECT_LE(node.held(0), 60u) << "four are kept for the other one";
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(node.build(3, 1)) << i;
  EXPECT_LE(node.held(0) + node.held(1), 64u);
  EXPECT_GT(node.net.node(0).circuits.fullness(), 0.95);
  EXPECT_LT(node.net.node(1).circuits.fullness(), 0.2) << "of its share";
}

TEST(Places, AShardThatIsShortGetsItsShareBack) {
  TwoShards node;
  for (int i = 0; i < 80; ++i) static_cast<void>(node.build(2, 0));
  const std::size_t lent = node.held(0) - 32;
  std::size_t looks = 0;
  for (; looks < 100 && node.held(1) < 30; ++looks) {
    if (node.held(1) < 32) static_cast<void>(node.build(3, 1));
    static_cast<void>(node.build(2, 0));  // who borrowed would like more
    for (std::size_t shard = 0; shard < 2; ++shard) {
      node.net.node(shard).circuits.look_at_places(node.net.now());
    }
    node.net.run();
    EXPECT_LE(node.held(0) + node.held(1), 65u);
  }
  EXPECT_GE(node.held(1), 30u);
  EXPECT_GE(node.held(0), 30u) << "of its own share it loses nothing";
  EXPECT_LT(looks, 3 * lent);
}

}  // namespace
}  // namespace qudag::circuit::test
