// Links that come and go under traffic, with whole nodes: a guard that stops, a guard that is dead,
// many circuits over one link.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace qudag::sim {
namespace {

using namespace std::chrono_literals;

/// Relays, then a destination, then a source that is no relay; all know each other.
struct Net {
  Net(std::uint64_t seed, std::size_t relays, const Options& options = {},
      const Faults& faults = {})
      : world(seed, faults), network(world, relays + 2, options) {
    for (std::size_t i = relays; i < relays + 2; ++i) network[i].set_relay(false);
    network.start();
    EXPECT_TRUE(network.settle(120s));
    destination().on_message_handler = [](Message&&) { return Accept::taken; };
  }
  SimNode& destination() { return network[network.size() - 2]; }
  SimNode& source() { return network[network.size() - 1]; }

  void send(const SendOptions& how) {
    ++sent;
    source().send(destination().id(), std::vector<std::byte>(200), how,
                  [this](const Delivery& delivery) {
                    ++ended;
                    if (delivery.outcome == Outcome::delivered) ++delivered;
                    slowest = std::max<Duration>(slowest, delivery.elapsed);
                  });
  }
  void send_for(Duration time, Duration gap, const SendOptions& how) {
    const TimePoint end = world.now().mono + time;
    while (world.now().mono < end) {
      send(how);
      pass(gap);
    }
  }
  bool all_ended(Duration within) {
    return world.run_until(world.now().mono + within, [this] { return ended == sent; });
  }
  void pass(Duration time) { world.run_until(world.now().mono + time); }
  /// The first hops of the source's circuits.
  std::set<NodeId> guards() {
    std::set<NodeId> out;
    for (const CircuitStatus& circuit : source().shard().circuits()) {
      if (circuit.next) out.insert(*circuit.next);
    }
    return out;
  }
  SimNode& node(const NodeId& id) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (network[i].id() == id) return network[i];
    }
    return network[0];
  }
  node::ShardReport report() { return source().shard().report(); }

  World world;
  SimNetwork network;
  std::size_t sent = 0, ended = 0, delivered = 0;
  Duration slowest{};
};

TEST(Drain, AGuardThatStopsInGoodOrderCostsNoMessageAndNoPause) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed, 6);
    constexpr SendOptions kHow{.ttl = 30s, .hops = 3};
    net.send_for(2s, 20ms, kHow);
    ASSERT_TRUE(net.all_ended(5s));
    const auto before = net.report();
    const Duration first = std::exchange(net.slowest, {});  // with a build and cold links
    net.send_for(2s, 20ms, kHow);
    const Duration usual = std::exchange(net.slowest, {});
    const std::set<NodeId> guards = net.guards();
    ASSERT_EQ(guards.size(), 1u);
    SimNode& guard = net.node(*guards.begin());

    guard.stop(5s);
    net.send_for(4s, 20ms, kHow);
    EXPECT_TRUE(guard.shard().stopped());
    ASSERT_TRUE(net.all_ended(5s));
    const auto after = net.report();
    EXPECT_EQ(net.delivered, net.sent);
    EXPECT_EQ(after.message.resent, 0u) << "nothing was on the circuit any more when it ended";
    EXPECT_LE(net.slowest, std::max(first, 2 * usual)) << "no longer than a build";
    EXPECT_EQ(after.circuit.builds_started, before.circuit.builds_started + 1);
    EXPECT_EQ(after.circuit.builds_failed, before.circuit.builds_failed);
    EXPECT_FALSE(net.guards().contains(guard.id()));
  }
}

/// What the source does not hear of: the circuit goes on until the grace ends, then its messages
/// are sent again.
TEST(Drain, AMiddleRelayThatStopsCostsTimeButNoMessage) {
  Net net(3, 6);
  constexpr SendOptions kHow{.ttl = 30s, .hops = 3};
  net.send_for(1s, 20ms, kHow);
  const std::set<NodeId> guards = net.guards();
  const CircuitStatus through = net.node(*guards.begin()).shard().circuits().front();
  ASSERT_TRUE(through.next);
  SimNode& middle = net.node(*through.next);
  middle.stop(2s);
  net.send_for(4s, 20ms, kHow);
  EXPECT_TRUE(middle.shard().stopped());
  ASSERT_TRUE(net.all_ended(20s));
  EXPECT_EQ(net.delivered, net.sent);
}

TEST(Redial, ADeadGuardDelaysFewBuilds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed, 6);
    net.send_for(1s, 50ms, {.ttl = 60s, .hops = 3});
    ASSERT_TRUE(net.all_ended(5s));
    const std::set<NodeId> guards = net.guards();
    ASSERT_EQ(guards.size(), 1u);
    net.node(*guards.begin()).crash();
    net.pass(7s);  // the link has been silent, its circuits have ended
    // New circuits, one after the other: those that draw the dead guard go elsewhere at once but
    // while it is being dialed. Relays that are told to go on there dial it once, too.
    std::vector<Duration> took;
    for (std::uint64_t i = 0; i < 40; ++i) {
      net.slowest = {};
      net.send({.ttl = 60s, .hops = 3, .isolation = 10 + i});
      ASSERT_TRUE(net.all_ended(60s));
      took.push_back(net.slowest);
    }
    EXPECT_EQ(net.delivered, net.sent);
    // Of 40; 2 to 6 were seen, since keys are drawn by OpenSSL and no two runs are the same.
    EXPECT_LE(std::ranges::count_if(took, [](Duration one) { return one > 3s; }), 8);
    EXPECT_LE(net.report().endpoint.handshakes_failed, 4u);
  }
}

TEST(Reuse, AThousandCircuitsBetweenTwoNodesUseOneLink) {
  Net net(1, 1);
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    net.send({.ttl = 60s, .hops = 0, .isolation = i});
    if (i % 10 == 0) net.pass(20ms);
  }
  ASSERT_TRUE(net.all_ended(60s));
  EXPECT_EQ(net.delivered, 1'000u);
  EXPECT_EQ(net.report().circuits, 1'000u);
  EXPECT_EQ(net.destination().shard().report().circuits, 1'000u);
  const auto links = net.source().shard().peers();
  EXPECT_EQ(std::ranges::count(links, net.destination().id(), &PeerStatus::id), 1);
}

}  // namespace
}  // namespace qudag::sim
