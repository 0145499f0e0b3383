// A client that is started again and again: its guards stay, and it needs no bootstrap entry.
#include "sim/sim_network.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <set>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

struct Restarts {
  static constexpr std::size_t kRelays = 12;
  explicit Restarts(std::uint64_t seed) : world(seed, Faults{}), network(world, kRelays + 1) {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-sim-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    client().set_relay(false);
    for (std::size_t i = 0; i < kRelays; ++i) network[i].set_gossip_interval(1'800s);
    network.start();
    EXPECT_TRUE(network.settle(120s));
    world.run_until(world.now().mono + 60s);  // relays have seen each other
    destination().on_message_handler = [](Message&&) { return Accept::taken; };
  }
  ~Restarts() {
    client().crash();
    std::filesystem::remove_all(directory);
  }
  SimNode& client() { return network[kRelays]; }
  SimNode& destination() { return network[1]; }

  bool send() {
    bool ended = false, delivered = false;
    client().send(destination().id(), std::vector<std::byte>(100), {.ttl = 60s, .relays = 3},
                  [&](const Delivery& delivery) {
                    ended = true;
                    delivered = delivery.outcome == Outcome::delivered;
                  });
    world.run_until(world.now().mono + 60s, [&] { return ended; });
    for (const CircuitStatus& circuit : client().shard().circuits()) {
      if (circuit.next) first_hops.insert(*circuit.next);
    }
    return delivered;
  }
  /// Without a goodbye, as when the machine loses its power.
  void restart() {
    client().crash();
    client().start();
    world.wake(world.host(client().address().at));
  }
  bool knows_relays() {
    return world.run_until(world.now().mono + 60s,
                           [&] { return client().shard().relays_known() >= kRelays; });
  }

  World world;
  SimNetwork network;
  std::filesystem::path directory;
  std::set<NodeId> first_hops;
};

TEST(Restart, TwentyOfThemKeepOneSetOfGuards) {
  Restarts net(1);
  net.client().set_state_dir(net.directory / "state");
  net.restart();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(net.knows_relays()) << i << ": " << net.client().shard().relays_known();
    EXPECT_TRUE(net.send()) << i;
    net.world.run_until(net.world.now().mono + 10s);  // a few seconds until it is written
    net.restart();
  }
  EXPECT_LE(net.first_hops.size(), net.client().options().guards);
}

/// What it is without: this test can fail.
TEST(Restart, WithoutAStateDirectoryGuardsAreDrawnAnew) {
  Restarts net(1);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(net.knows_relays());
    EXPECT_TRUE(net.send());
    net.restart();
  }
  EXPECT_GT(net.first_hops.size(), net.client().options().guards);
}

TEST(Restart, AClientWhoseEntriesAreGoneComesBackThroughItsGuards) {
  Restarts net(2);
  net.client().set_state_dir(net.directory / "state");
  net.restart();
  ASSERT_TRUE(net.knows_relays());
  ASSERT_TRUE(net.send());
  net.world.run_until(net.world.now().mono + 90s);  // relays are written after a minute
  net.client().crash();
  net.network[0].crash();
  // Longer than descriptors live: what it knows is over, but for where its guards were.
  net.world.run_until(net.world.now().mono + 10h);
  net.client().start();
  net.world.wake(net.world.host(net.client().address().at));
  EXPECT_TRUE(net.world.run_until(net.world.now().mono + 120s, [&] {
    return net.client().shard().relays_known() >= Restarts::kRelays - 2;
  }));
  EXPECT_TRUE(net.send());
}

}  // namespace
}  // namespace qudag::testing
