// Whom a node dials that is no relay, and what its links can read off its gossip: an hour of
// virtual time with whole nodes.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

/// Relays that all know node 0, and a quiet client that joins through it.
struct Quiet {
  static constexpr std::size_t kRelays = 12;
  explicit Quiet(std::uint64_t seed) : world(seed, Faults{}), network(world, kRelays + 1, calm()) {
    client().set_relay(false);
    for (std::size_t i = 0; i < kRelays; ++i) network[i].set_gossip_interval(1'800s);
    client().set_gossip_interval(60s);
    network.start();
    EXPECT_TRUE(network.settle(120s));
  }
  static Options calm() {
    Options out;
    out.gossip_interval = 60s;
    return out;
  }
  SimNode& client() { return network[kRelays]; }
  /// Everybody that the client dialed in that time; a link is there for half a minute at least.
  std::set<NodeId> dialed(Duration time) {
    std::set<NodeId> out;
    for (const TimePoint end = world.now().mono + time; world.now().mono < end;) {
      world.run_until(world.now().mono + 10s);
      for (const PeerStatus& link : client().shard().peers()) {
        if (link.dialed && link.id) out.insert(*link.id);
      }
    }
    return out;
  }

  World world;
  SimNetwork network;
};

TEST(Dials, AQuietClientDialsItsBootstrapEntryInAnHourAndNobodyElse) {
  Quiet net(1);
  EXPECT_EQ(net.dialed(60min), std::set<NodeId>{net.network[0].id()});
}

TEST(Dials, AClientThatSendsDialsItsEntryAndItsGuardsAndNobodyElse) {
  Quiet net(2);
  net.network[3].on_message_handler = [](Message&&) { return Accept::taken; };
  std::set<NodeId> dialed;
  for (std::uint64_t i = 0; i < 30; ++i) {
    net.client().send(net.network[3].id(), std::vector<std::byte>(100),
                      {.ttl = 60s, .relays = 3, .isolation = i}, [](const Delivery&) {});
    dialed.merge(net.dialed(60s));
  }
  dialed.erase(net.network[0].id());
  EXPECT_LE(dialed.size(), net.client().options().guards) << "first hops, and not one more";
}

// ---- Descriptors that lie about where a relay is ------------------------------------------------

/// Nodes of the world, and two relays that publish other addresses than theirs.
struct Lies {
  explicit Lies(std::uint64_t seed) : world(seed, Faults{}) {
    for (std::uint8_t i = 0; i < 8; ++i) {
      nodes.push_back(std::make_unique<SimNode>(world, at(i), Options{}));
      if (i > 0) nodes.back()->set_bootstrap({nodes.front()->address()});
    }
    client().set_relay(false);
    for (const SocketAddress& victim : {kLoopback, kLan, kNobody}) {
      listeners.push_back(std::make_unique<Listener>(world, victim));
    }
    liar(0).set_publish({kLoopback, kLan});
    liar(1).set_publish({kNobody});
    for (auto& node : nodes) node->start();
  }
  static SocketAddress at(std::uint8_t i) { return SocketAddress::v4(8, i, 0, 1, 4433); }
  SimNode& client() { return *nodes[7]; }
  SimNode& liar(std::size_t i) { return *nodes[5 + i]; }
  bool run_until(Duration time, const std::function<bool()>& done) {
    return world.run_until(world.now().mono + time, done);
  }

  /// A machine that has nothing to do with the network, and counts what comes.
  struct Listener final : runtime::Driven {
    Listener(World& world, const SocketAddress& at) : host(world.host(at)) {
      world.attach(host, this);
    }
    bool on_readable(Now) override {
      const auto batch = host.receive();
      heard += batch.size();
      return !batch.empty();
    }
    void on_writable(Now) override {}
    void on_time(Now) override {}
    void flush(Now) override {}
    TimePoint next_deadline() const override { return kNever; }
    bool wants_writable() const override { return false; }
    Host& host;
    std::size_t heard = 0;
  };

  inline static const SocketAddress kLoopback = SocketAddress::v4(127, 0, 0, 1, 22);
  inline static const SocketAddress kLan = SocketAddress::v4(192, 168, 1, 1, 80);
  inline static const SocketAddress kNobody = SocketAddress::v4(9, 9, 9, 9, 9);
  World world;
  std::vector<std::unique_ptr<SimNode>> nodes;
  std::vector<std::unique_ptr<Listener>> listeners;
};

TEST(Lies, NobodyDialsNearAddressesAndNobodyDrawsARelayThatIsNotThere) {
  Lies net(1);
  SimNode& destination = *net.nodes[4];
  destination.on_message_handler = [](Message&&) { return Accept::taken; };
  ASSERT_TRUE(net.run_until(10s, [&] { return net.client().shard().relays_known() >= 5; }));
  std::size_t ended = 0, delivered = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    net.client().send(destination.id(), std::vector<std::byte>(100),
                      {.ttl = 30s, .relays = 3, .isolation = i}, [&](const Delivery& delivery) {
                        ++ended;
                        if (delivery.outcome == Outcome::delivered) ++delivered;
                      });
    net.run_until(100ms, [] { return false; });
  }
  ASSERT_TRUE(net.run_until(60s, [&] { return ended == 200; }));
  net.run_until(10min, [] { return false; });
  EXPECT_EQ(delivered, 200u);
  EXPECT_EQ(net.client().shard().report().circuit.builds_failed, 0u);
  EXPECT_EQ(net.client().shard().relays_known(), 5u);
  EXPECT_EQ(net.listeners[0]->heard, 0u) << "loopback";
  EXPECT_EQ(net.listeners[1]->heard, 0u) << "LAN";
  // One that is nobody's is tried by those that heard of it from the liar itself: six relays, five
  // times in ten minutes, with what QUIC sends in a handshake of five seconds.
  EXPECT_GT(net.listeners[2]->heard, 0u);
  EXPECT_LE(net.listeners[2]->heard, 6u * 5 * 10);
}

}  // namespace
}  // namespace qudag::testing
