// What a burst needed goes back to the system, in virtual time; the process's real memory after a
// burst is measured by `qudag-bench idle`.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <numeric>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

template <class Array>
std::uint64_t sum(const Array& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

TEST(Trim, PoolsShrinkAfterABurst) {
  World world(11, {});
  SimNetwork network(world, 3);
  network.start();
  ASSERT_TRUE(network.settle(60s));
  SimNode& source = network[1];
  SimNode& destination = network[2];
  std::vector<Message> kept;
  destination.on_message_handler = [&](Message&& message) {
    kept.push_back(std::move(message));
    return Accept::taken;
  };

  const std::vector<std::byte> bulk(1 << 20);
  constexpr std::size_t kMessages = 12;
  std::size_t delivered = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    source.send(destination.id(), bulk, {.priority = Priority::low, .relays = 1},
                [&](const Delivery& delivery) {
                  delivered += delivery.outcome == Outcome::delivered ? 1 : 0;
                });
  }
  const TimePoint limit = world.now().mono + 60s;
  ASSERT_TRUE(world.run_until(limit, [&] { return delivered == kMessages; }));
  kept.clear();  // the application is done with them: everything is free, nothing is given back

  const auto pool = [&] { return destination.shard().report().pool; };
  const std::uint64_t peak = sum(pool().free);
  EXPECT_GT(peak, kMessages * bulk.size() / 8192);
  world.run_until(world.now().mono + 15s);
  EXPECT_LT(sum(pool().free), peak / 2);
  EXPECT_LE(pool().free[1], memory::PoolOptions{}.keep[1]);
  EXPECT_LE(pool().free[0], memory::PoolOptions{}.keep[0]);

  // And it works as before.
  source.send(destination.id(), bulk, {.priority = Priority::low, .relays = 1},
              [&](const Delivery& delivery) {
                delivered += delivery.outcome == Outcome::delivered ? 1 : 0;
              });
  ASSERT_TRUE(world.run_until(world.now().mono + 60s, [&] { return delivered > kMessages; }));
}

TEST(Trim, AnIdleRelayRests) {
  World world(12, {});
  SimNetwork network(world, 3);
  network.start();
  ASSERT_TRUE(network.settle(60s));
  std::size_t delivered = 0;
  network[2].on_message_handler = [](Message&&) { return Accept::taken; };
  const std::vector<std::byte> small(100);
  network[1].send(network[2].id(), small, {.relays = 1}, [&](const Delivery&) { ++delivered; });
  ASSERT_TRUE(world.run_until(world.now().mono + 30s, [&] { return delivered == 1; }));
  EXPECT_EQ(network[0].shard().report().circuit.rested, 0u);
  world.run_until(world.now().mono + 12s);
  EXPECT_EQ(network[0].shard().report().circuit.rested, 1u);
}

// ---- a network in which nobody sends anything --------------------------------------------------

// Links end unused between rounds of gossip, and no node says because of that that it is not
// joined.

bool says_joined(const SimNode& node) { return node.means.links > 0 || node.means.rests; }

TEST(Quiet, NodesStayJoinedUntilTheirPeersAreGone) {
  World world(11, {});
  SimNetwork network(world, 6);
  network[5].set_relay(false);
  network.start();
  ASSERT_TRUE(network.settle(60s));
  std::size_t apart = 0, without_links = 0;
  for (int second = 0; second < 600; ++second) {
    world.run_until(world.now().mono + 1s);
    for (std::size_t i = 0; i < 6; ++i) {
      if (!says_joined(network[i])) ++apart;
      if (network[i].means.links == 0) ++without_links;
    }
  }
  EXPECT_EQ(apart, 0u) << "seconds in which a node says that it is not joined";
  EXPECT_GT(without_links, 600u) << "or nothing was tried";

  for (std::size_t i = 0; i < 5; ++i) network[i].crash();
  EXPECT_TRUE(world.run_until(world.now().mono + 180s, [&] { return !says_joined(network[5]); }));
}

}  // namespace
}  // namespace qudag::testing
