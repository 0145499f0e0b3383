// Each action of the overload manager in a whole node: what it does to others, and that it ends.
// Pressures that a simulation has none of (memory, descriptors, loop lag) come from the seam that
// the process fills in a real node; handshakes, waits and dead relays are real.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;
using overload::Action;

/// Nodes that know each other; node 1 sends to node 2, and node 0 is the relay if there are three.
/// Without jitter: QUIC takes it for reordering, and that is another test's business.
struct Net {
  explicit Net(std::uint64_t seed, std::size_t nodes = 3, Options options = {})
      : world(seed, {.delay_jitter = 0s}), network(world, nodes, std::move(options)) {
    network.start();
    EXPECT_TRUE(network.settle(60s));
    for (std::size_t i = 0; i < nodes; ++i) {
      network[i].on_message_handler = [](Message&&) { return Accept::taken; };
    }
  }
  void send(Priority priority, std::size_t bytes, unsigned relays = 1,
            std::chrono::milliseconds ttl = 30s) {
    ++sent;
    network[1].send(network[2].id(), std::vector<std::byte>(bytes),
                    {.priority = priority, .ttl = ttl, .relays = relays},
                    [this, priority](const Delivery& delivery) {
                      ++ended;
                      const auto i = static_cast<std::size_t>(priority);
                      ++outcomes[i][static_cast<std::size_t>(delivery.outcome)];
                      took[i] = std::max<Duration>(took[i], delivery.elapsed);
                      last = delivery;
                      if (delivery.outcome == Outcome::refused) last_refused = delivery;
                    });
  }
  std::size_t outcome(Priority priority, Outcome which) const {
    return outcomes[static_cast<std::size_t>(priority)][static_cast<std::size_t>(which)];
  }
  bool all_ended(Duration within) {
    return world.run_until(world.now().mono + within, [this] { return ended == sent; });
  }
  void pass(Duration time) { world.run_until(world.now().mono + time); }
  static void press(SimNode& node, double memory) {
    node.on_measure = [memory](shard::Measured& out) { out.memory = memory; };
  }
  static double level(SimNode& node, Action action) {
    return node.shard().report().protection.levels[static_cast<std::size_t>(action)];
  }

  World world;
  SimNetwork network;
  std::size_t sent = 0, ended = 0;
  std::array<std::array<std::size_t, 4>, kPriorityCount> outcomes{};
  std::array<Duration, kPriorityCount> took{};
  Delivery last;
  Delivery last_refused;
};

TEST(Overload, ActionsStartInTheirOrderAreToldOnceAndEnd) {
  Net net(1);
  SimNode& node = net.network[0];
  double memory = 0;
  node.on_measure = [&](shard::Measured& out) { out.memory = memory; };
  net.pass(6s);
  for (; memory < 1; memory += 0.01) {
    net.send(Priority::normal, 10);  // traffic, so that it is looked at
    net.pass(200ms);
  }
  ASSERT_EQ(node.actions.size(), overload::kActionCount);
  for (std::size_t i = 0; i < overload::kActionCount; ++i) {
    EXPECT_EQ(node.actions[i], std::pair(static_cast<Action>(i), true));
  }
  memory = 0;
  net.pass(3s);
  ASSERT_EQ(node.actions.size(), 2 * overload::kActionCount);
  for (std::size_t i = overload::kActionCount; i < 2 * overload::kActionCount; ++i) {
    EXPECT_FALSE(node.actions[i].second);
  }
  for (std::size_t i = 0; i < overload::kActionCount; ++i) {
    EXPECT_EQ(Net::level(node, static_cast<Action>(i)), 0);
    EXPECT_EQ(node.shard().report().protection.started[i], 1u);
  }
}

TEST(Overload, EveryPressureReachesItsActions) {
  struct Row {
    const char* what;
    void (*press)(shard::Measured&);
    Action action;
  };
  const Row rows[] = {
      {"memory", [](shard::Measured& m) { m.memory = 0.97; }, Action::drop_normal},
      {"a wait of high", [](shard::Measured& m) { m.waiting[0] = 990ms; }, Action::drop_normal},
      {"a wait of low", [](shard::Measured& m) { m.waiting[2] = 52s; }, Action::pause_low},
      {"datagrams behind, high in use",
       [](shard::Measured& m) { m.in_use[0] = true, m.behind = 460ms; }, Action::drop_low},
      {"datagrams behind, normal in use",
       [](shard::Measured& m) { m.in_use[0] = false, m.in_use[1] = true, m.behind = 60s; },
       Action::pause_low},
      {"a blocked socket", [](shard::Measured& m) { m.blocked = 1'750ms; }, Action::pause_low},
      {"loop lag", [](shard::Measured& m) { m.loop_lag = 192ms; }, Action::drop_low},
      {"descriptors", [](shard::Measured& m) { m.descriptors = 0.9; }, Action::require_retry},
      {"handshakes", [](shard::Measured& m) { m.handshakes = 0.6; }, Action::require_retry},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Net net(2);
    net.network[0].on_measure = row.press;
    net.pass(6s);
    std::size_t most = 0;
    for (const auto& [action, active] : net.network[0].actions) {
      EXPECT_TRUE(active);
      most = std::max(most, static_cast<std::size_t>(action));
    }
    EXPECT_EQ(most, static_cast<std::size_t>(row.action));
  }
}

TEST(Overload, BulkAloneMayKeepAShardBusy) {
  shard::Measured measured;
  measured.behind = 60s;
  measured.in_use = {false, false, true};
  for (const double pressure : shard::pressures_of(measured)) EXPECT_EQ(pressure, 0);
}

// ---- Action by action ---------------------------------------------------------------------------

TEST(Shrink, GivesIdleThingsBackSoon) {
  Net net(3, 4);
  net.send(Priority::normal, 10);
  ASSERT_TRUE(net.all_ended(30s));
  net.pass(35s);  // nothing has used the circuit for so long
  const auto circuits = [&] {
    std::size_t out = 0;
    for (std::size_t i = 0; i < net.network.size(); ++i) {
      out += net.network[i].shard().report().circuits;
    }
    return out;
  };
  EXPECT_EQ(circuits(), 3u) << "a circuit over one relay stays for its flow";
  for (std::size_t i = 0; i < net.network.size(); ++i) Net::press(net.network[i], 0.72);
  net.pass(18s);
  EXPECT_EQ(circuits(), 0u) << "idle for 30 s";
  std::uint64_t unused = 0;
  for (std::size_t i = 0; i < net.network.size(); ++i) {
    unused += net.network[i].shard().report().endpoint.ended_unused;
  }
  EXPECT_GE(unused, 1u) << "links end before their idle timeout";
}

TEST(StopOpeningAhead, NoLinksBeforeTheyAreNeeded) {
  const auto handshakes = [](bool pressed) {
    Net net(4, 6);
    for (std::size_t i = 0; pressed && i < 6; ++i) Net::press(net.network[i], 0.77);
    net.pass(10s);
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(net.network[i].shard().may_open_ahead(), !pressed);
      before += net.network[i].shard().report().endpoint.handshakes_started;
    }
    net.pass(300s);
    for (std::size_t i = 0; i < 6; ++i) {
      after += net.network[i].shard().report().endpoint.handshakes_started;
    }
    net.send(Priority::normal, 10);
    EXPECT_TRUE(net.all_ended(30s));
    EXPECT_EQ(net.last.outcome, Outcome::delivered) << "what is needed is opened";
    return after - before;
  };
  const std::uint64_t calm = handshakes(false);
  const std::uint64_t pressed = handshakes(true);
  EXPECT_GT(calm, pressed);
}

TEST(RefuseCircuits, TheSourceGoesOverAnotherRelayAndHoldsNothingAgainstThisOne) {
  Options options;
  options.guards = 0;
  Net net(5, 6, options);
  SimNode& tired = net.network[0];
  Net::press(tired, 1.0);  // every circuit is refused
  net.pass(6s);
  for (int i = 0; i < 20; ++i) {
    net.network[1].send(net.network[2].id(), std::vector<std::byte>(10),
                        {.relays = 1, .isolation = static_cast<std::uint64_t>(i + 1)},
                        [&](const Delivery& d) {
                          ++net.ended;
                          net.outcomes[1][static_cast<std::size_t>(d.outcome)] += 1;
                        });
    ++net.sent;
  }
  ASSERT_TRUE(net.all_ended(60s));
  EXPECT_EQ(net.outcome(Priority::normal, Outcome::delivered), 20u);
  EXPECT_GT(tired.shard().report().circuit.refused_overload, 0u);
  EXPECT_EQ(tired.shard().report().circuit.accepted_relay, 0u);
  // When it is over, and what was heard of it has ended (history.h), it is used again.
  tired.on_measure = nullptr;
  net.pass(30s);
  for (int i = 0; i < 40; ++i) {
    net.network[1].send(net.network[2].id(), std::vector<std::byte>(10),
                        {.relays = 1, .isolation = static_cast<std::uint64_t>(i + 100)},
                        [&](const Delivery&) { ++net.ended; });
    ++net.sent;
  }
  ASSERT_TRUE(net.all_ended(60s));
  EXPECT_GT(tired.shard().report().circuit.accepted_relay, 0u);
}

TEST(RefuseCircuits, ARefusalBehindTheFirstHopIsReadByTheSource) {
  Net net(6, 5);
  Net::press(net.network[2], 1.0);  // the destination
  net.pass(6s);
  net.send(Priority::normal, 10, 2, 5s);
  ASSERT_TRUE(net.all_ended(30s));
  EXPECT_NE(net.last.outcome, Outcome::delivered);
  EXPECT_NE(net.last.reason.message().find("refused"), std::string::npos)
      << net.last.reason.message();
}

TEST(RequireRetry, NewLinksProveTheirAddressAndWork) {
  Net net(7, 4);
  SimNode& acceptor = net.network[3];
  Net::press(acceptor, 0.86);
  net.pass(6s);
  // By a Retry, or by a token of an earlier link.
  const auto proofs = [&] {
    const link::EndpointStats stats = acceptor.shard().report().endpoint;
    return stats.retries_sent + stats.tokens_taken;
  };
  const std::uint64_t before = proofs();
  net.pass(60s);  // links without circuits end
  net.network[1].send(acceptor.id(), std::vector<std::byte>(10), {.relays = 0},
                      [&](const Delivery& d) { net.last = d, ++net.ended; });
  ++net.sent;
  ASSERT_TRUE(net.all_ended(60s));
  EXPECT_GT(proofs(), before);
}

TEST(PauseLow, StopsBulkHopByHopAndNormalGoesOn) {
  Net net(8);
  SimNode& relay = net.network[0];
  // They have circuits already: new ones are refused by chance under this pressure.
  net.send(Priority::high, 10);
  net.send(Priority::normal, 10);
  ASSERT_TRUE(net.all_ended(30s));
  for (int i = 0; i < 64; ++i) net.send(Priority::low, 1 << 20, 1, 600s);
  net.pass(50ms);
  Net::press(relay, 0.91);
  net.pass(3s);
  ASSERT_LT(net.ended, net.sent) << "there is more to come";
  const auto relayed = [&] { return relay.shard().report().circuit.bytes_relayed; };
  // What the windows held has gone, and no more comes, but for a sixteenth of the time.
  std::size_t still = 0, moved = 0;
  for (int i = 0; i < 160; ++i) {
    const std::uint64_t before = relayed();
    net.pass(20ms);
    ++(relayed() == before ? still : moved);
  }
  EXPECT_GT(still, 120u);
  EXPECT_GT(moved, 2u) << "low goes on, however long this lasts";
  net.send(Priority::high, 1'000);
  net.send(Priority::normal, 1'000);
  relay.on_measure = [](shard::Measured& out) { out.memory = 0.86; };
  net.pass(5s);
  EXPECT_EQ(
      net.outcome(Priority::low, Outcome::refused) + net.outcome(Priority::low, Outcome::failed),
      0u)
      << "pausing loses nothing";
  relay.on_measure = nullptr;
  ASSERT_TRUE(net.all_ended(120s));
  EXPECT_EQ(net.outcome(Priority::low, Outcome::delivered), 64u) << net.last.reason.message();
  EXPECT_EQ(net.outcome(Priority::normal, Outcome::delivered), 2u);
  EXPECT_EQ(net.outcome(Priority::high, Outcome::delivered), 2u);
}

TEST(DropLow, WaitingBulkEndsAsRefusedWithTheReasonAndOthersAreDelivered) {
  Net net(9);
  SimNode& source = net.network[1];
  net.send(Priority::high, 10);
  net.send(Priority::normal, 10);
  ASSERT_TRUE(net.all_ended(30s));
  for (int i = 0; i < 4'000; ++i) net.send(Priority::low, 16 << 10, 1, 600s);
  const std::size_t too_many = net.outcome(Priority::low, Outcome::refused);  // for their flow
  Net::press(source, 0.95);
  net.pass(2s);
  const std::size_t refused = net.outcome(Priority::low, Outcome::refused) - too_many;
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(net.last_refused.reason.message(), "refused_overload: shed: memory");
  net.send(Priority::low, 10);
  net.pass(100ms);
  EXPECT_EQ(net.last_refused.reason.message(), "refused_overload: memory") << "refused at the door";
  for (int i = 0; i < 20; ++i) {
    net.send(Priority::high, 10);
    net.send(Priority::normal, 10);
  }
  net.pass(5s);
  EXPECT_EQ(net.outcome(Priority::high, Outcome::delivered), 21u);
  EXPECT_EQ(net.outcome(Priority::normal, Outcome::delivered), 21u);
  EXPECT_EQ(source.shard().report().protection.messages_dropped[2], refused);
  source.on_measure = nullptr;
  ASSERT_TRUE(net.all_ended(120s)) << "what had begun is finished";
}

TEST(DropNormal, HighIsNeverGivenUp) {
  Net net(10);
  SimNode& source = net.network[1];
  net.send(Priority::high, 10);
  net.send(Priority::normal, 10);
  ASSERT_TRUE(net.all_ended(30s));
  Net::press(source, 1.0);
  net.pass(6s);
  for (int i = 0; i < 50; ++i) {
    net.send(Priority::high, 100);
    net.send(Priority::normal, 100);
    net.send(Priority::low, 100);
    net.pass(20ms);
  }
  net.pass(5s);
  EXPECT_EQ(net.outcome(Priority::high, Outcome::delivered), 51u);
  EXPECT_EQ(net.outcome(Priority::normal, Outcome::refused), 50u);
  EXPECT_EQ(net.outcome(Priority::low, Outcome::refused), 50u);
}

// ---- Admission ----------------------------------------------------------------------------------

TEST(Builds, ALinkThatAsksForTooManyIsRefusedAndOthersAreNot) {
  Options options;
  options.limits.builds_per_link = 10;
  Net net(11, 5, options);
  std::size_t done = 0;
  std::size_t delivered = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    net.network[1].send(net.network[0].id(), std::vector<std::byte>(10),
                        {.ttl = 60s, .relays = 0, .isolation = i}, [&](const Delivery& d) {
                          ++done;
                          delivered += d.outcome == Outcome::delivered ? 1 : 0;
                        });
  }
  bool other = false;
  net.network[2].send(net.network[0].id(), std::vector<std::byte>(10), {.relays = 0},
                      [&](const Delivery& d) { other = d.outcome == Outcome::delivered; });
  net.pass(2s);
  EXPECT_TRUE(other);
  EXPECT_GT(net.network[0].shard().report().limiter.refused_link_rate, 0u);
  EXPECT_EQ(net.network[0].shard().report().limiter.refused_rate, 0u);
  ASSERT_TRUE(net.world.run_until(net.world.now().mono + 120s, [&] { return done == 100; }));
  EXPECT_GT(delivered, 20u) << "a burst, and what the rate allows";
}

// ---- Clean-up -----------------------------------------------------------------------------------

// L6: whoever used the relay knows within two seconds, at both ends and at every other relay.
TEST(CleanUp, ARelayKilledMidTrafficLeavesNoCircuitAfterTwoSeconds) {
  for (std::uint64_t seed = 20; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    Options options;
    options.guards = 0;
    Net net(seed, 5, options);
    const auto cells = [&] {
      std::map<std::pair<std::size_t, std::uint64_t>, std::uint64_t> out;
      for (std::size_t i : {0, 4, 2}) {
        for (const auto& each : net.network[i].shard().circuits()) {
          out[{i, each.id}] = each.cells_forward + each.cells_backward;
        }
      }
      return out;
    };
    auto before = cells();
    for (int i = 0; i < 100; ++i) {
      if (i == 80) before = cells();
      net.send(Priority::normal, 20'000, 3, 20s);
      net.pass(20ms);
    }
    // One that a successor took the traffic of is asked by keepalive only.
    std::erase_if(before, [now = cells()](const auto& each) {
      const auto found = now.find(each.first);
      return found == now.end() || found->second == each.second;
    });
    ASSERT_FALSE(before.empty());
    // A circuit over three relays and five nodes goes through all of the others.
    SimNode& victim = net.network[3];
    ASSERT_GE(victim.shard().report().circuits, 1u);
    const std::size_t delivered = net.outcome(Priority::normal, Outcome::delivered);
    victim.crash();
    net.pass(2s);
    for (std::size_t i : {0, 4, 2}) {
      for (const auto& circuit : net.network[i].shard().circuits()) {
        EXPECT_FALSE(before.contains({i, circuit.id}))
            << "node " << i << ", " << name_of(circuit.role) << ", ready " << circuit.ready;
      }
    }
    EXPECT_GE(delivered, 1u);
  }
}

}  // namespace
}  // namespace qudag::testing
