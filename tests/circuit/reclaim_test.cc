// When memory is short: which circuits end, that they end whole, and what is refused before.
#include "circuit/net.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

/// Circuits over one relay to a receiver that takes nothing any more, each with data that waits.
struct Stalled {
  Stalled() {
    net.add_many(3);
    relay().pool.take(memory::BlockSize::bulk).reset();
    for (const Priority priority :
         {Priority::high, Priority::normal, Priority::low, Priority::low}) {
      circuits.push_back(net.build(2, priority).first);
      net.node(2).window_shut = true;
      net.node(0).stream(circuits.back(), priority, priority == Priority::low ? 20 : 160);
      net.run();
      net.pass(100ms);
      net.node(2).window_shut = false;
    }
    net.node(2).window_shut = true;
  }
  Node& relay() { return net.node(1); }
  bool alive(std::size_t i) { return net.node(0).circuits.info(circuits[i]).has_value(); }

  Net net;
  std::vector<CircuitId> circuits;  // high, normal, low, low; the oldest first
};

TEST(Reclaim, OfOnePriorityTheOldestFirstAndNoMoreThanNeeded) {
  Stalled s;
  const std::size_t cells = s.relay().pool.stats().in_use[1];
  ASSERT_GT(cells, 8u) << "bulk cells wait at the relay";

  EXPECT_GT(s.relay().circuits.reclaim(Priority::low, 1, s.net.now()), 0u);
  s.net.run();
  EXPECT_EQ(s.relay().circuits.size(), 3u) << "as many as needed, and no more";
  EXPECT_FALSE(s.alive(2)) << "of the two of low priority, the one whose data waits longer";
  EXPECT_TRUE(s.alive(3));

  s.relay().circuits.reclaim(Priority::low, SIZE_MAX, s.net.now());
  s.net.run();
  EXPECT_FALSE(s.alive(3));
  EXPECT_TRUE(s.alive(1)) << "normal is another priority";
  EXPECT_EQ(s.relay().pool.stats().in_use[1], 0u) << "nothing of them is left";

  s.relay().circuits.reclaim(Priority::normal, SIZE_MAX, s.net.now());
  s.net.run();
  EXPECT_FALSE(s.alive(1));
  EXPECT_FALSE(s.alive(0)) << "with it what is high, and has not come on for so long";
  EXPECT_EQ(s.relay().circuits.reclaim(Priority::normal, SIZE_MAX, s.net.now()), 0u);
  EXPECT_EQ(s.relay().circuits.stats().ended_reclaimed, 4u);

  // Both ends were told, and nobody holds half a circuit.
  EXPECT_EQ(s.net.node(0).ended.size(), 4u);
  EXPECT_EQ(s.net.node(2).ended.size(), 4u);
  EXPECT_EQ(s.net.node(2).circuits.size(), 0u);
}

TEST(Reclaim, IdleCircuitsHoldNothingAndStay) {
  Net net;
  net.add_many(3);
  static_cast<void>(net.build(2, Priority::low));
  EXPECT_EQ(net.node(1).circuits.reclaim(Priority::low, SIZE_MAX, net.now()), 0u);
  net.run();
  EXPECT_EQ(net.circuits(), 3u);
}

TEST(Reclaim, ACircuitThatHasNoMemoryIsRefusedAtTheDoor) {
  memory::Budget budget("circuits", 64 * 1024);
  {
    Net net;
    net.add();
    net.add({.circuits = {.memory = &budget}});
    net.add();
    std::size_t built = 0;
    for (int i = 0; i < 40; ++i) {
      auto id = net.node(0).circuits.build(net.route(2), Priority::normal, net.now());
      ASSERT_TRUE(id);
      net.run();
      built = net.node(0).built.size();
    }
    EXPECT_GT(built, 5u);
    EXPECT_LT(built, 40u);
    EXPECT_EQ(net.node(1).circuits.stats().refused_memory, 40 - built);
    EXPECT_EQ(net.node(0).ended.size(), 40 - built) << "and each was told";
    for (const auto& end : net.node(0).ended) EXPECT_EQ(end.why, Errc::refused_by_peer);

    // An idle circuit rests and makes room for others.
    net.pass(6s);
    ASSERT_TRUE(net.node(0).circuits.build(net.route(2), Priority::normal, net.now()));
    net.run();
    EXPECT_EQ(net.node(0).built.size(), built + 1);
    EXPECT_LE(budget.peak(), budget.bytes_max());
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace qudag::circuit::test
