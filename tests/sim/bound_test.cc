// What a node does when its memory bound comes near, in virtual time; the real memory of processes
// is measured by `qudag-bench overload` and the attacks.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

/// How many sends ended how.
struct Ends {
  std::size_t delivered = 0, told = 0;
  Completion count() {
    return [this](const Delivery& d) {
      ++(d.outcome == Outcome::delivered ? delivered : told);
      EXPECT_TRUE(d.outcome == Outcome::delivered || d.reason.code != Errc::ok);
    };
  }
};

TEST(Bound, ARelayEndsWholeCircuitsAndEveryMessageIsStillAccountedFor) {
  World world(21, {});
  SimNetwork network(world, 3);
  network.start();
  ASSERT_TRUE(network.settle(60s));
  SimNode& relay = network[0];
  SimNode& source = network[1];
  SimNode& destination = network[2];
  destination.on_message_handler = [](Message&&) { return Accept::taken; };

  Ends high, low;
  const std::vector<std::byte> small(200), bulk(1 << 20);
  source.send(destination.id(), small, {.priority = Priority::high, .relays = 1}, high.count());
  source.send(destination.id(), small, {.priority = Priority::low, .relays = 1}, low.count());
  ASSERT_TRUE(world.run_until(world.now().mono + 30s,
                              [&] { return high.delivered == 1 && low.delivered == 1; }));
  world.set_group(destination.address().at, 1);
  for (int i = 0; i < 4; ++i) {
    source.send(destination.id(), bulk, {.priority = Priority::low, .ttl = 60s, .relays = 1},
                low.count());
    source.send(destination.id(), small, {.priority = Priority::high, .ttl = 60s, .relays = 1},
                high.count());
  }
  world.run_until(world.now().mono + 1s);  // a silence of 1.5 s would end the link
  const auto stats = [&] { return relay.shard().report().circuit; };
  ASSERT_EQ(stats().ended_reclaimed, 0u) << "there is memory";
  const auto blocks = [&] { return relay.shard().report().pool.in_use[1]; };
  const std::uint64_t waiting = blocks();
  ASSERT_GT(waiting, 20u);

  memory::Bound& bound = relay.bound();
  bound.set_process(bound.node().bytes_max() / 100 * 95 - bound.node().used());
  ASSERT_GT(bound.pressure(), 0.9);
  ASSERT_TRUE(world.run_until(world.now().mono + 10s, [&] { return stats().ended_reclaimed > 0; }))
      << "the one of low priority; high holds data too, and stays";
  EXPECT_LT(blocks(), waiting) << "what was in no packet is free at once";
  EXPECT_GT(relay.shard().report().protection.reclaimed_bytes, 0u);

  // It gives back below the mark where it began, and serves again.
  bound.set_process(0);
  world.heal();
  ASSERT_TRUE(world.run_until(world.now().mono + 120s, [&] {
    return high.delivered + high.told == 5 && low.delivered + low.told == 5;
  }));
  EXPECT_EQ(high.delivered, 5u);
  EXPECT_EQ(low.delivered, 5u) << "sent again over another circuit";
}

TEST(Bound, WithoutMemoryEverythingIsRefusedAtItsDoor) {
  World world(22, {});
  SimNetwork network(world, 3);
  network.start();
  ASSERT_TRUE(network.settle(60s));
  SimNode& relay = network[0];
  network[2].on_message_handler = [](Message&&) { return Accept::taken; };
  memory::Bound& bound = relay.bound();
  // Kept shares are all that is left.
  bound.set_process(bound.node().bytes_max());
  Ends ends;
  const std::vector<std::byte> small(200);
  for (int i = 0; i < 5; ++i) {
    network[1].send(network[2].id(), small, {.ttl = 20s, .relays = 1}, ends.count());
  }
  ASSERT_TRUE(
      world.run_until(world.now().mono + 40s, [&] { return ends.delivered + ends.told == 5; }));
  EXPECT_EQ(ends.told, 5u);
  const shard::ShardReport report = relay.shard().report();
  EXPECT_GT(report.circuit.refused_memory + report.circuit.refused_overload, 0u);
  EXPECT_EQ(relay.shard().report().circuits, 0u) << "nothing half-dead is left";
  bound.set_process(0);
  network[1].send(network[2].id(), small, {.ttl = 30s, .relays = 1}, ends.count());
  ASSERT_TRUE(world.run_until(world.now().mono + 40s, [&] { return ends.delivered == 1; }));
}

}  // namespace
}  // namespace qudag::testing
