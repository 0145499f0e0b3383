// Links that come and go under traffic, with whole nodes: a guard that stops, a guard that is dead,
// many circuits over one link.
#include "sim/scenes/shift.h"
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace qudag::testing {
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
  shard::ShardReport report() { return source().shard().report(); }

  World world;
  SimNetwork network;
  std::size_t sent = 0, ended = 0, delivered = 0;
  Duration slowest{};
};

TEST(Drain, AGuardThatStopsInGoodOrderCostsNoMessageAndNoPause) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed, 6);
    constexpr SendOptions kHow{.ttl = 30s, .relays = 3};
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
    // It may be drawn as a later hop once more: neighbours that it has left do not reach it.
    const std::uint64_t failed = after.circuit.builds_failed - before.circuit.builds_failed;
    EXPECT_LE(failed, 2u);
    EXPECT_EQ(after.circuit.builds_started, before.circuit.builds_started + 1 + failed);
    EXPECT_FALSE(net.guards().contains(guard.id()));
  }
}

/// What the source does not hear of: the circuit goes on until the grace ends, then its messages
/// are sent again.
TEST(Drain, AMiddleRelayThatStopsCostsTimeButNoMessage) {
  Net net(3, 6);
  constexpr SendOptions kHow{.ttl = 30s, .relays = 3};
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

TEST(Age, ALinkIsReplacedInTimeAndLosesNothing) {
  Options options;
  options.link_lifetime = 60s;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed, 4, options);
    const std::uint64_t before = net.report().endpoint.replaced_old;
    net.send_for(200s, 100ms, {.ttl = 30s, .relays = 3});
    ASSERT_TRUE(net.all_ended(30s));
    EXPECT_EQ(net.delivered, net.sent);
    const auto report = net.report();
    EXPECT_EQ(report.message.resent, 0u);
    EXPECT_GE(report.endpoint.replaced_old, before + 2);
    EXPECT_EQ(report.endpoint.ended_silent + report.endpoint.ended_drained, 0u);
  }
}

TEST(Redial, ADeadGuardDelaysFewBuilds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed, 6);
    net.send_for(1s, 50ms, {.ttl = 60s, .relays = 1});
    ASSERT_TRUE(net.all_ended(5s));
    const std::set<NodeId> guards = net.guards();
    ASSERT_EQ(guards.size(), 1u);
    net.node(*guards.begin()).crash();
    net.pass(7s);  // the link has been silent, its circuits have ended
    // New circuits, one after the other: those that draw the dead guard go elsewhere at once but
    // while it is being dialed.
    std::vector<Duration> took;
    for (std::uint64_t i = 0; i < 40; ++i) {
      net.slowest = {};
      net.send({.ttl = 60s, .relays = 1, .isolation = 10 + i});
      ASSERT_TRUE(net.all_ended(60s));
      took.push_back(net.slowest);
    }
    EXPECT_EQ(net.delivered, net.sent);
    EXPECT_LE(std::ranges::count_if(took, [](Duration one) { return one > 3s; }), 2);
    EXPECT_LE(net.report().endpoint.handshakes_failed, 6u);
  }
}

TEST(Reuse, AThousandCircuitsBetweenTwoNodesUseOneLink) {
  Net net(1, 1);
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    net.send({.ttl = 60s, .relays = 0, .isolation = i});
    if (i % 10 == 0) net.pass(40ms);  // a link may open 500 a second
  }
  ASSERT_TRUE(net.all_ended(60s));
  EXPECT_EQ(net.delivered, 1'000u);
  EXPECT_EQ(net.report().circuits, 1'000u);
  EXPECT_EQ(net.destination().shard().report().circuits, 1'000u);
  const auto links = net.source().shard().peers();
  EXPECT_EQ(std::ranges::count(links, net.destination().id(), &PeerStatus::id), 1);
}

// ---- Links that are there before a circuit asks -------------------------------------------------

Options quiet_gossip(std::size_t warm_links) {
  Options out;
  out.gossip_interval = 3600s;  // it dials now and then, too
  out.limits.warm_links = warm_links;
  return out;
}

bool linked(SimNode& node, const NodeId& to) {
  const auto links = node.shard().peers();
  return std::ranges::count(links, to, &PeerStatus::id) > 0;
}

TEST(Warm, ASourceKeepsItsGuardsAndItsDestinationsAndNobodyElse) {
  Net net(1, 8, quiet_gossip(16));
  net.pass(60s);
  EXPECT_TRUE(net.source().shard().peers().empty()) << "nothing before there is demand";
  net.send({.ttl = 30s, .relays = 3});
  net.send({.ttl = 30s, .relays = 0});
  net.pass(5s);
  std::set<NodeId> peers;
  for (const PeerStatus& link : net.source().shard().peers()) peers.insert(*link.id);
  EXPECT_EQ(peers.size(), 3u) << "two guards, of which one was asked for, and the destination";
  EXPECT_TRUE(peers.contains(net.destination().id()));
  EXPECT_EQ(net.report().warm.opened, 1u);

  net.pass(105s);  // circuits have gone after a minute, and links without them half a minute later
  EXPECT_EQ(net.report().circuits, 0u);
  EXPECT_EQ(net.source().shard().peers().size(), 3u);
  net.pass(120s);
  EXPECT_TRUE(net.source().shard().peers().empty()) << "no demand, no links";
  EXPECT_EQ(net.report().warm.now, 0u);
}

TEST(Warm, WithoutPlacesLinksEndWithTheirCircuits) {
  Net net(1, 8, quiet_gossip(0));
  net.send({.ttl = 30s, .relays = 0});
  net.pass(110s);
  EXPECT_TRUE(net.source().shard().peers().empty());
  EXPECT_EQ(net.report().warm.opened, 0u);
}

TEST(Warm, ALinkThatIsLostIsOpenedAgainBeforeItIsAskedFor) {
  Net net(2, 8, quiet_gossip(16));
  for (std::uint64_t i = 1; i <= 3; ++i) net.send({.ttl = 30s, .relays = 0, .isolation = i});
  net.pass(70s);
  ASSERT_TRUE(linked(net.source(), net.destination().id()));
  net.destination().crash();
  net.destination().start();
  net.pass(40s);  // a stateless reset, or silence, ends the link
  EXPECT_TRUE(linked(net.source(), net.destination().id()));
  const auto before = net.report().link_requests;
  net.send({.ttl = 30s, .relays = 0});
  ASSERT_TRUE(net.all_ended(5s));
  const auto after = net.report().link_requests;
  EXPECT_EQ(after[0], before[0] + 1) << "it was ready";
}

TEST(Warm, NothingIsOpenedAheadUnderPressure) {
  Net net(3, 8, quiet_gossip(16));
  net.source().on_measure = [](shard::Measured& out) { out.memory = 0.87; };
  net.pass(2s);
  ASSERT_FALSE(net.source().shard().may_open_ahead());
  net.send({.ttl = 30s, .relays = 3});
  net.pass(10s);
  EXPECT_EQ(net.report().warm.opened, 0u);
  net.source().on_measure = nullptr;
  net.pass(30s);
  EXPECT_TRUE(net.source().shard().may_open_ahead());
  EXPECT_GE(net.report().warm.opened, 1u);
}

TEST(Warm, ARelayOpensLinksToOtherRelaysWhileCircuitsGoThroughIt) {
  Net net(4, 12, quiet_gossip(4));
  net.pass(240s);  // relays have dialed each other to see that they are there; those links ended
  for (std::uint64_t i = 1; i <= 100; ++i) {
    net.send({.ttl = 30s, .relays = 3, .isolation = i});
    net.pass(100ms);
  }
  std::uint64_t opened = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    const shard::ShardReport report = net.network[i].shard().report();
    EXPECT_LE(report.warm.now, 4u);
    opened += report.warm.opened;
  }
  EXPECT_GT(opened, 3u);
  net.pass(300s);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(net.network[i].shard().report().links, 0u) << "an idle node keeps no links";
  }
}

/// `qudag_sim_warm` prints more of it.
TEST(Warm, MorePlacesMeanMoreHitsWhenDemandShifts) {
  const auto run = [](std::size_t warm_links) {
    return run_shift({.seed = 3, .nodes = 24, .warm_links = warm_links, .lasts = 40min});
  };
  const ShiftResult none = run(0), all = run(16);
  EXPECT_EQ(none.delivered, none.messages);
  EXPECT_EQ(all.delivered, all.messages);
  EXPECT_EQ(none.opened, 0u);
  EXPECT_GT(all.hit_ratio(), none.hit_ratio() + 0.15);
  EXPECT_LT(all.message_ms_mean, none.message_ms_mean);
  EXPECT_LE(all.links_mean, 24);
}

}  // namespace
}  // namespace qudag::testing
