// Whole nodes, and a stranger that makes a client draw routes: a destination that says CLOSE, a
// first relay that says GOODBYE 0.
#include "sim/hostile.h"
#include "sim/sim_network.h"
#include "wire/control.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

SocketAddress at(std::uint8_t i) { return SocketAddress::v4(8, i, 0, 1, 4433); }

/// Circuits that a flow draws in that time for those that it loses: six, then one in five seconds.
constexpr std::size_t most_in(std::chrono::seconds time) {
  return 6 + static_cast<std::size_t>(time / 5s) + 1;
}

/// Says CLOSE on every circuit that comes, and with every answer.
class Closer final : public Hostile {
 public:
  using Hostile::Hostile;
  std::size_t circuits = 0;
  std::set<std::string> last;  // relays that it saw before itself

 private:
  void came(circuit::CircuitId circuit, const SocketAddress& from) override {
    ++circuits;
    last.insert(from.to_string());
    static_cast<void>(say(circuit, wire::CloseFrame{}));
  }
  void heard(const Arrival& arrival) override {
    acknowledge(arrival);
    static_cast<void>(say(arrival.circuit, wire::CloseFrame{}));
  }
};

/// Says that it wants another link as soon as there is a circuit of the client on it.
class Replacer final : public Hostile {
 public:
  using Hostile::Hostile;
  SocketAddress client;
  std::size_t seen = 0;
  std::set<NodeId> next;

 private:
  void relayed(const Sighting& sighting, circuit::CircuitId circuit) override {
    if (sighting.from != client) return;
    ++seen;
    next.insert(sighting.next);
    const link::LinkId link = this->circuits().info(circuit)->previous.link;
    later(50ms, [this, link] {
      const std::array body{std::byte{0}};
      endpoint().send_control(link, static_cast<std::uint8_t>(wire::ControlType::goodbye), body);
    });
  }
};

struct Net {
  static constexpr std::uint8_t kHonest = 8;
  explicit Net(std::uint64_t seed, unsigned guards = 2) : world(seed, Faults{}) {
    Options options;
    options.guards = guards;
    for (std::uint8_t i = 0; i <= kHonest; ++i) {
      nodes.push_back(std::make_unique<SimNode>(world, at(i), options));
      nodes.back()->set_gossip_interval(10s);
      if (i > 0) nodes.back()->set_bootstrap({nodes.front()->address()});
    }
    client().set_relay(false);
    nodes[3]->on_message_handler = [](Message&&) { return Accept::taken; };
  }
  void start() {
    for (auto& node : nodes) node->start();
  }
  SimNode& client() { return *nodes[kHonest]; }
  void run(Duration time) { world.run_until(world.now().mono + time); }
  World world;
  std::vector<std::unique_ptr<SimNode>> nodes;
};

TEST(Draws, ADestinationThatClosesEveryCircuit) {
  Net net(1);
  net.start();
  Closer closer(net.world, at(100), {.bootstrap = net.nodes[0]->address()});
  closer.start();
  net.run(60s);
  std::optional<Outcome> outcome;
  net.client().send(closer.id(), std::vector<std::byte>(100), {.ttl = 120s, .relays = 3},
                    [&](const Delivery& d) { outcome = d.outcome; });
  net.run(60s);
  EXPECT_EQ(outcome, Outcome::delivered);
  EXPECT_LE(closer.circuits, most_in(60s));
}

TEST(Draws, ADestinationThatClosesEveryCircuitOfWhoSendsOften) {
  Net net(1);
  net.start();
  Closer closer(net.world, at(100), {.bootstrap = net.nodes[0]->address()});
  closer.start();
  net.run(60s);
  std::size_t delivered = 0;
  for (int i = 0; i < 600; ++i) {
    net.client().send(closer.id(), std::vector<std::byte>(100), {.ttl = 60s, .relays = 3},
                      [&](const Delivery& d) { delivered += d.outcome == Outcome::delivered; });
    net.run(200ms);
  }
  std::printf(
      "CLOSE: %zu circuits came in 120 s of one flow over %zu third hops; %zu of 600 messages "
      "delivered\n",
      closer.circuits, closer.last.size(), delivered);
  EXPECT_LE(closer.circuits, most_in(120s));
}

TEST(Draws, AFirstRelayThatWantsAnotherLinkAgainAndAgain) {
  bool found = false;
  for (std::uint64_t seed = 1; seed < 40 && !found; ++seed) {
    Net net(seed, 1);
    net.start();
    Replacer hostile(net.world, at(100), {.relay = true, .bootstrap = net.nodes[0]->address()});
    hostile.client = at(Net::kHonest);
    hostile.start();
    net.run(60s);
    std::size_t delivered = 0;
    for (int i = 0; i < 60; ++i) {
      net.client().send(net.nodes[3]->id(), std::vector<std::byte>(100), {.ttl = 60s, .relays = 3},
                        [&](const Delivery& d) { delivered += d.outcome == Outcome::delivered; });
      net.run(1s);
    }
    found = hostile.seen > 0;
    if (!found) continue;  // it is no guard of this client
    std::printf("GOODBYE 0: %zu circuits of one flow in 60 s over %zu second hops\n", hostile.seen,
                hostile.next.size());
    EXPECT_LE(net.client().shard().report().circuit.builds_started, most_in(60s));
    EXPECT_EQ(delivered, 60u);
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace qudag::testing
