// Load reports in whole nodes: a relay that is loaded says so to those who have circuits there, and
// is given fewer of the new ones; the same network with the choice off beside it.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSource = 1;
constexpr std::size_t kNodes = 14;

/// A source with four guards, and a destination that it opens circuits to, as many as it likes.
struct Net {
  explicit Net(std::uint64_t seed, bool by_load = true)
      : world(seed, {.delay_jitter = 0s}), network(world, kNodes, options()) {
    for (std::size_t i = 0; i < kNodes; ++i) {
      network[i].by_load = by_load;
      network[i].on_message_handler = [](Message&&) { return Accept::taken; };
    }
    network.start();
    EXPECT_TRUE(network.settle(60s));
  }
  static Options options() {
    Options out;
    out.guards = 4;
    return out;
  }
  SimNode& source() { return network[kSource]; }

  /// One message each, and none shares a circuit with another.
  void open(unsigned circuits, unsigned relays = 2) {
    for (unsigned i = 0; i < circuits; ++i) {
      ++sent;
      source().send(network[kNodes - 1].id(), std::vector<std::byte>(100),
                    {.relays = relays, .isolation = sent}, [this](const Delivery& delivery) {
                      EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
                      ++ended;
                    });
      world.run_until(world.now().mono + 20ms);
    }
    EXPECT_TRUE(world.run_until(world.now().mono + 30s, [this] { return ended == sent; }));
  }
  void pass(Duration time) { world.run_until(world.now().mono + time); }

  std::map<NodeId, int> first_hops() {
    std::map<NodeId, int> out;
    for (const CircuitStatus& circuit : source().shard().circuits()) {
      if (circuit.role == CircuitRole::source && circuit.next) ++out[*circuit.next];
    }
    return out;
  }
  SimNode& node(const NodeId& id) {
    for (std::size_t i = 0;; ++i) {
      if (network[i].id() == id) return network[i];
    }
  }

  World world;
  SimNetwork network;
  unsigned sent = 0, ended = 0;
};

TEST(Balance, CircuitsSpreadEvenlyOverTheGuards) {
  for (const bool by_load : {true, false}) {
    Net net(3, by_load);
    constexpr unsigned kCircuits = 120;
    net.open(kCircuits, 1);
    const auto hops = net.first_hops();
    int most = 0;
    for (const auto& [id, circuits] : hops) most = std::max(most, circuits);
    const auto links = static_cast<double>(hops.size());
    const double over_mean = most * links / kCircuits;
    std::printf("%u circuits over %.0f links%s: max/mean %.3f\n", kCircuits, links,
                by_load ? "" : ", choice off", over_mean);
    // Identities have no seed here: the destination may itself be one of the four guards.
    ASSERT_GE(hops.size(), 3u);
    if (by_load) {
      EXPECT_LE(over_mean, 1.2);
    }
  }
}

/// The share of 200 new circuits that go to one of four guards which has become busy.
double share_of_the_busy(bool by_load) {
  Net net(4, by_load);
  net.open(8);
  const NodeId busy = net.first_hops().begin()->first;
  net.node(busy).on_measure = [](shard::Measured& out) { out.busy = 1; };
  for (int i = 0; i < 15; ++i) {  // so that it measures, and says so
    net.open(2);
    net.pass(1s);
  }
  EXPECT_GT(net.node(busy).shard().report().loads.own, 0.9);
  EXPECT_GT(net.node(busy).shard().report().loads.sent, 0u);
  EXPECT_GT(net.source().shard().report().loads.heard, 0u);
  EXPECT_EQ(net.source().shard().report().loads.ignored_too_fast, 0u);
  const int before = net.first_hops()[busy];
  net.open(200);
  return (net.first_hops()[busy] - before) / 200.0;
}

TEST(Balance, ABusyRelayIsGivenFewerNewCircuits) {
  const double on = share_of_the_busy(true);
  const double off = share_of_the_busy(false);
  std::printf("a busy guard's share of new circuits: %.3f, with the choice off %.3f\n", on, off);
  EXPECT_LT(on, 0.16);  // 1/13, and with three guards 1/9
  EXPECT_GT(off, on + 0.03);
}

/// Sends a control frame on every link that the node has.
int send_on_all_links(SimNode& node, Bytes body, std::uint8_t type = 0x20) {
  int sent = 0;
  for (std::uint32_t slot = 0; slot < 32; ++slot) {
    for (std::uint32_t generation = 0; generation < 8; ++generation) {
      const LinkId link{.slot = slot, .generation = generation};
      sent += node.shard().send_gossip(link, type, body);
    }
  }
  return sent;
}

TEST(Balance, WhoReportsTooOftenIsNotHeard) {
  Net net(7);
  net.open(4);
  SimNode& noisy = net.node(net.first_hops().begin()->first);
  constexpr std::array<std::byte, 2> kFull{std::byte{0xff}, std::byte{0xff}};
  for (int i = 0; i < 100; ++i) {
    EXPECT_GT(send_on_all_links(noisy, kFull), 0);
    net.pass(100ms);
  }
  const auto loads = net.source().shard().report().loads;
  EXPECT_LE(loads.heard, 4u + 6u) << "four at once, and one every two seconds of ten";
  EXPECT_GE(loads.heard, 4u);
  EXPECT_GE(loads.ignored_too_fast, 85u);
}

TEST(Balance, AReportThatIsNoneEndsTheLink) {
  Net net(8);
  net.open(4);
  SimNode& broken = net.node(net.first_hops().begin()->first);
  ASSERT_GT(net.first_hops()[broken.id()], 0);
  EXPECT_GT(send_on_all_links(broken, std::array<std::byte, 3>{}), 0);
  net.pass(200ms);
  EXPECT_EQ(net.first_hops()[broken.id()], 0) << "the circuits went with the link";
  EXPECT_EQ(net.source().shard().report().loads.heard, 0u);
  net.open(4);
}

TEST(Balance, AnIdleNetworkSaysNothingOfItsLoad) {
  Net net(5);
  net.open(4);
  net.pass(120s);
  for (std::size_t i = 0; i < kNodes; ++i) {
    EXPECT_EQ(net.network[i].shard().report().loads.sent, 0u);
  }
}

TEST(Balance, LoadIsToldInStepsNotOftenAndOnlyWhereCircuitsAre) {
  Net net(6);
  net.open(8);
  const NodeId busy = net.first_hops().begin()->first;
  double load = 0;
  net.node(busy).on_measure = [&](shard::Measured& out) { out.busy = load; };
  const auto sent = [&] { return net.node(busy).shard().report().loads.sent; };
  const auto told = [&] {  // the links of that node with circuits
    const auto peers = net.node(busy).shard().peers();
    return static_cast<std::uint64_t>(
        std::ranges::count_if(peers, [](const PeerStatus& peer) { return peer.circuits > 0; }));
  };
  load = 0.5;
  net.open(2);
  net.pass(20s);
  const std::uint64_t rising = sent();
  EXPECT_GT(rising, 0u);
  EXPECT_LE(rising, 11 * told()) << "every two seconds at most";
  net.pass(20s);
  EXPECT_LE(sent() - rising, 2 * told()) << "it has settled: repeated every 20 s";
  net.pass(120s);  // the circuits have ended, and nobody needs to know
  const std::uint64_t quiet = sent();
  load = 1;
  net.pass(60s);
  EXPECT_EQ(sent(), quiet);
}

}  // namespace
}  // namespace qudag::testing
