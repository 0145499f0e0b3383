// What nodes measure of links and hops, against a world whose delays are known; and what a relay
// does not show.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <numeric>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDelay = 20ms;  // one way

/// Relays, then a destination, then a source that is no relay; every path takes kDelay.
struct Net {
  explicit Net(std::size_t relays, double loss = 0)
      : world(1, {.loss = loss, .delay_min = kDelay, .delay_jitter = {}}),
        network(world, relays + 2, {}) {
    for (std::size_t i = relays; i < relays + 2; ++i) network[i].set_relay(false);
    network.start();
    EXPECT_TRUE(network.settle(120s));
    network[relays].on_message_handler = [](Message&&) { return Accept::taken; };
  }
  void send(std::size_t bytes, const SendOptions& how) {
    bool ended = false;
    network[network.size() - 1].send(
        network[network.size() - 2].id(), std::vector<std::byte>(bytes), how,
        [&ended](const Delivery& delivery) {
          ended = true;
          EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
        });
    EXPECT_TRUE(world.run_until(world.now().mono + 60s, [&ended] { return ended; }));
  }
  shard::ShardReport source() { return network[network.size() - 1].shard().report(); }

  World world;
  SimNetwork network;
};

TEST(Measures, TheSourceSeesEachHopsPartOfABuild) {
  Net net(4);
  net.send(100, {.ttl = 30s, .relays = 3});  // with cold links
  const circuit::HopStats cold = net.source().hops;
  for (std::uint64_t i = 1; i <= 20; ++i) net.send(100, {.ttl = 30s, .relays = 3, .isolation = i});
  const circuit::HopStats hops = net.source().hops;
  for (std::size_t hop = 0; hop < 4; ++hop) {
    SCOPED_TRACE(hop);
    const std::uint64_t built = net.source().circuit.builds_ready;
    EXPECT_EQ(hops.round_trip[hop].count(), built);
    EXPECT_EQ(hops.kept[hop].count(), built);
    EXPECT_EQ(cold.kept[hop].count(), 1u);
    // There and back, and a millisecond or two for whole ones. A build is five packets long: on a
    // fresh link it waits for a window once.
    EXPECT_GE(hops.round_trip[hop].percentile(50), 2 * kDelay);
    EXPECT_LE(hops.round_trip[hop].sum() / static_cast<double>(built), 1e3 * 65);
  }
  EXPECT_EQ(hops.round_trip[4].count(), 0u);
  EXPECT_EQ(hops.kept[3].max(), 0ns) << "a destination answers in the turn in which a build came";
}

TEST(Measures, RoundTripsOfLinksAreThoseOfTheWorld) {
  Net net(1);
  net.send(100, {.ttl = 30s, .relays = 1});
  net.world.run_until(net.world.now().mono + 20s);
  const TimeHistogram seen = net.source().endpoint.round_trips;
  ASSERT_GT(seen.count(), 0u);
  EXPECT_GE(seen.percentile(1), 2 * kDelay);
  EXPECT_LE(seen.max(), 2 * kDelay + 30ms) << "an acknowledgement may wait 25 ms";
}

std::uint64_t samples(const shard::ShardReport& report) {
  std::uint64_t out = 0;
  for (const TimeHistogram& one : report.endpoint.cells_waited) out += one.count();
  return out;
}

TEST(Measures, ARelayShowsTimesOfTenCircuitsAndNotOfNine) {
  Net net(1);
  SimNode& relay = net.network[0];
  const auto shown = [&] { return samples(relay.shard().report()); };
  const std::uint64_t round_trips = relay.shard().report().endpoint.round_trips.count();
  for (std::uint64_t i = 1; i <= 9; ++i) {
    for (int again = 0; again < 3; ++again) {
      net.send(100, {.ttl = 30s, .relays = 1, .isolation = i});
    }
  }
  net.world.run_until(net.world.now().mono + 6s);
  EXPECT_EQ(relay.shard().report().circuits, 9u);
  EXPECT_EQ(shown(), 0u);
  EXPECT_EQ(relay.shard().report().endpoint.round_trips.count(), round_trips);
  EXPECT_GT(samples(net.source()), 0u) << "a client's circuits are its own";
  for (int again = 0; again < 3; ++again) {
    net.send(100, {.ttl = 30s, .relays = 1, .isolation = 10});
  }
  net.world.run_until(net.world.now().mono + 6s);
  EXPECT_EQ(relay.shard().report().circuits, 10u);
  EXPECT_GT(shown(), 0u);
  EXPECT_GT(relay.shard().report().endpoint.round_trips.count(), round_trips);
}

TEST(Measures, BytesOfLinksAreCountedByPriorityAndWay) {
  Net net(1);
  constexpr std::size_t kBytes = 300'000;
  const std::size_t low = link::level_of(Priority::low), high = link::level_of(Priority::high);
  const auto before = net.source().endpoint;
  net.send(kBytes, {.priority = Priority::low, .ttl = 30s, .relays = 1});
  const auto after = net.source().endpoint;
  const std::uint64_t out = after.bytes_out[low] - before.bytes_out[low];
  EXPECT_GE(out, kBytes);
  EXPECT_LE(out, kBytes + kBytes / 10) << "cells, their tags, and a build of 14 KB";
  EXPECT_GT(after.bytes_in[low], before.bytes_in[low]) << "the reply and acknowledgements";
  EXPECT_EQ(after.bytes_out[high], before.bytes_out[high]);
  EXPECT_GT(after.bytes_out[link::kControlLevel], 0u);
  EXPECT_GT(after.bytes_in[link::kControlLevel], 0u);
  // The relay passes on what it gets.
  const auto relay = net.network[0].shard().report().endpoint;
  EXPECT_GE(relay.bytes_in[low], out);
  EXPECT_GE(relay.bytes_out[low], kBytes);
  EXPECT_EQ(std::accumulate(after.unsent_link.begin(), after.unsent_link.end(), 0u), 0u);
}

TEST(Measures, PacketsThatWereLostAreCounted) {
  Net net(1, 0.05);
  net.send(300'000, {.priority = Priority::low, .ttl = 60s, .relays = 1});
  net.world.run_until(net.world.now().mono + 6s);  // looked at every five seconds
  EXPECT_GT(net.source().endpoint.packets_lost, 0u);
}

/// A relay that is gone takes what waited for it along.
TEST(Measures, BytesThatDidNotGoOnAreCountedByReason) {
  Net net(1);
  const std::size_t low = link::level_of(Priority::low);
  net.send(100, {.priority = Priority::low, .ttl = 30s, .relays = 1});
  SimNode& source = net.network[net.network.size() - 1];
  source.send(net.network[1].id(), std::vector<std::byte>(8'000'000),
              {.priority = Priority::low, .ttl = 20s, .relays = 1}, [](const Delivery&) {});
  net.world.run_until(net.world.now().mono + 100ms);
  net.network[0].crash();
  net.world.run_until(net.world.now().mono + 15s);
  EXPECT_GT(net.source().endpoint.unsent_link[low], 0u);
}

}  // namespace
}  // namespace qudag::testing
