// Whole nodes on lines of 50 ms: receivers without an address, called at keepers.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDelay = 50ms;
constexpr std::size_t kRelays = 9;

/// Relays, a caller and the node of a receiver; links are there and the card is known.
struct Net {
  explicit Net(std::uint64_t seed, bool hidden = true, Duration delay = kDelay,
               std::size_t keepers = 2, std::size_t count = kRelays)
      : world(seed, {.delay_min = delay, .delay_jitter = {}}),
        relays(count),
        network(world, relays + 2) {
    for (const std::size_t i : {relays, relays + 1}) {
      network[i].set_relay(false);
      network[i].set_known(i == relays);
    }
    network.start();
    EXPECT_TRUE(world.run_until(world.now().mono + 120s, [&] {
      for (std::size_t i = 0; i < network.size(); ++i) {
        if (network[i].shard().relays_known() < relays) return false;
      }
      return true;
    }));
    world.run_until(world.now().mono + 30s);
    receiver = crypto::Identity::generate()->id();
    home().on_message_handler = [this](Message&& message) { return take(std::move(message)); };
    std::vector<NodeId> at;
    if (count > kRelays) at = apart(keepers);
    open(hidden, keepers, std::move(at));
  }

  /// Relays that neither end has among its first two hops.
  std::vector<NodeId> apart(std::size_t keepers) {
    std::size_t ended = 0;
    for (SimNode* node : {&source(), &home()}) {  // both draw their guards
      node->send(network[0].id(), {}, {.ttl = 60s, .relays = 3}, [&](const Delivery&) { ++ended; });
    }
    EXPECT_TRUE(world.run_until(world.now().mono + 90s, [&] { return ended == 2; }));
    std::vector<NodeId> out;
    for (std::size_t i = 1; i < relays && out.size() < keepers; ++i) {
      const NodeId& id = network[i].id();
      if (!source().keeps(id) && !home().keeps(id)) out.push_back(id);
    }
    EXPECT_EQ(out.size(), keepers);
    return out;
  }

  SimNode& source() { return network[relays]; }
  SimNode& home() { return network[relays + 1]; }
  SimNode& node(const NodeId& id) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (network[i].id() == id) return network[i];
    }
    ADD_FAILURE() << "no such node";
    return network[0];
  }

  void open(bool hidden, std::size_t keepers, std::vector<NodeId> at) {
    const Status opened =
        home().shard().open_receiver({.id = receiver,
                                      .hidden = hidden,
                                      .keepers = keepers,
                                      .at = std::move(at),
                                      .on_card = [this](const Card& told) { card = told; }},
                                     world.now());
    EXPECT_TRUE(opened);
    world.wake(home().machine());
    EXPECT_TRUE(world.run_until(world.now().mono + 60s,
                                [&] { return card && card->places.size() == keepers; }));
    world.run_until(world.now().mono + 5s);  // its standbys
    ASSERT_TRUE(card);
    EXPECT_TRUE(source().shard().cards().add(*card));
  }

  Accept take(Message&& message) {
    arrived = world.now().mono;
    EXPECT_EQ(message.receiver, receiver);
    EXPECT_TRUE(taken.insert(message.id).second) << "a message came twice";
    if (answers && message.reply_to) {
      // As an application does it: after the call.
      world.at(world.now().mono,
               [this, to = *message.reply_to, text = message.payload.to_vector()] {
                 home().reply(to, text, 60s, [this](const Delivery& delivery) {
                   ++(delivery.outcome == Outcome::delivered ? replies_taken : replies_lost);
                 });
               });
    }
    return Accept::taken;
  }

  /// Sends one and runs until it has its outcome.
  Delivery send_one(std::size_t bytes, SendOptions options) {
    std::optional<Delivery> end;
    source().send(receiver, std::vector<std::byte>(bytes), options,
                  [&](const Delivery& delivery) { end = delivery; });
    EXPECT_TRUE(world.run_until(world.now().mono + 120s, [&] { return end.has_value(); }));
    return end.value_or(Delivery{});
  }
  const keeper::ResidentStats resident() { return home().shard().receiver(receiver)->stats(); }

  World world;
  std::size_t relays;
  SimNetwork network;
  NodeId receiver;
  std::optional<Card> card;
  TimePoint arrived{};
  bool answers = false;
  std::set<MessageId> taken;
  std::size_t replies_taken = 0, replies_lost = 0;
};

struct Delays {
  double there = 0, answered = 0;  // medians, in link delays
};

Delays measure(Net& net, std::size_t count, std::size_t bytes) {
  std::vector<double> there, answered;
  for (std::uint64_t i = 0; i < 10 + count; ++i) {  // the first ones dial what is not there
    const TimePoint began = net.world.now().mono;
    const Delivery end = net.send_one(bytes, {.ttl = 60s, .relays = 3, .isolation = i + 1});
    EXPECT_EQ(end.outcome, Outcome::delivered) << end.reason.message();
    const auto delays = [&](TimePoint at) {
      return std::chrono::duration<double>(at - began) / kDelay;
    };
    if (i >= 10) {
      there.push_back(delays(net.arrived));
      answered.push_back(delays(net.world.now().mono));
    }
    // A standby more is there by then, and links stay warm.
    net.world.run_until(net.world.now().mono + 6s);
  }
  std::ranges::sort(there);
  std::ranges::sort(answered);
  return {there[count / 2], answered[count / 2]};
}

TEST(Keepers, AHiddenReceiverHasTheFirstMessageAfterEightLinkDelays) {
  Net net(3, true, kDelay, 1);
  const Delays hidden = measure(net, 9, 1'000);
  fmt::print("link delays, medians of 9: hidden receiver {:.2f}, answered {:.2f}\n", hidden.there,
             hidden.answered);
  EXPECT_LE(hidden.there, 8.5);
  EXPECT_GE(hidden.there, 8);
  EXPECT_LE(hidden.answered, 17);
}

/// Whoever calls and leaves in a loop makes the receiver build nothing: its standbys wait again.
/// All within twenty minutes: so long do circuits go on over a link that was replaced by its twin.
TEST(Keepers, CallersThatComeAndGoMakeTheReceiverBuildNothing) {
  constexpr std::uint64_t kCalls = 10;
  static constexpr Duration kApart = 100s;  // a conversation is over by then
  // Of the receiver in the same time.
  const auto builds = [](bool called) {
    // In which no link is replaced by its twin meanwhile, and no call is late: two that race are two
    // conversations at once, for which each keeper has a standby more.
    Net net(6);
    static_cast<void>(net.send_one(100, {.ttl = 60s, .relays = 3, .isolation = 99}));
    net.world.run_until(net.world.now().mono + kApart);
    const auto before = net.resident();
    for (std::uint64_t i = 0; i < kCalls; ++i) {
      if (called) {
        EXPECT_EQ(net.send_one(100, {.ttl = 60s, .relays = 3, .isolation = i + 1}).outcome,
                  Outcome::delivered);
      }
      net.world.run_until(net.world.now().mono + kApart);
    }
    const auto after = net.resident();
    EXPECT_GE(after.taken - before.taken, called ? kCalls : 0);
    EXPECT_EQ(after.tunnels, 0u);
    return after.builds - before.builds;
  };
  const auto alone = builds(false);
  EXPECT_LE(alone, 2u);
  EXPECT_EQ(builds(true), alone);
}

/// All priorities, small and large, with replies: each is delivered once, and so is its reply.
TEST(Keepers, CarriesMessagesAndRepliesOfAllKinds) {
  Net net(5, true, 5ms);
  net.answers = true;
  std::size_t replies = 0, delivered = 0, sent = 0;
  net.source().on_message_handler = [&](Message&& message) {
    EXPECT_TRUE(message.in_reply_to);
    EXPECT_FALSE(message.receiver);
    ++replies;
    return Accept::taken;
  };
  const auto send = [&](std::size_t bytes, Priority priority, bool sign) {
    ++sent;
    net.source().send(net.receiver, std::vector<std::byte>(bytes, std::byte{1}),
                      {.priority = priority, .ttl = 300s, .relays = 3, .sign = sign},
                      [&](const Delivery& delivery) {
                        EXPECT_EQ(delivery.outcome, Outcome::delivered)
                            << delivery.reason.message();
                        delivered += delivery.outcome == Outcome::delivered ? 1 : 0;
                      });
  };
  for (int i = 0; i < 200; ++i) send(static_cast<std::size_t>(i) * 13, Priority::normal, false);
  for (int i = 0; i < 20; ++i) send(300, Priority::high, i % 2 == 0);
  for (int i = 0; i < 6; ++i) send(400'000, Priority::low, false);
  send(2'000'000, Priority::low, true);
  EXPECT_TRUE(net.world.run_until(
      net.world.now().mono + 300s,
      [&] { return delivered == sent && replies == sent && net.replies_taken == sent; }))
      << delivered << " delivered, " << replies << " replies of " << sent;
  EXPECT_EQ(net.taken.size(), sent);
  EXPECT_EQ(net.replies_lost, 0u);
}

/// Kills the keeper that carries a transfer: the longest time without a delivery.
Duration kill_the_keeper(Net& net) {
  std::size_t delivered = 0, sent = 0;
  TimePoint last{};
  Duration longest{};
  const auto send = [&](std::size_t bytes) {
    ++sent;
    net.source().send(net.receiver, std::vector<std::byte>(bytes), {.ttl = 120s, .relays = 3},
                      [&](const Delivery& delivery) {
                        EXPECT_EQ(delivery.outcome, Outcome::delivered)
                            << delivery.reason.message();
                        ++delivered;
                        const TimePoint now = net.world.now().mono;
                        if (last != TimePoint{}) longest = std::max(longest, now - last);
                        last = now;
                      });
  };
  send(100);
  EXPECT_TRUE(net.world.run_until(net.world.now().mono + 60s, [&] { return delivered == 1; }));
  NodeId serving;
  for (const Card::Place& place : net.card->places) {
    const auto* service = net.node(place.keeper).shard().keeper_service();
    if (service != nullptr && service->stats().payloads_passed > 0) serving = place.keeper;
  }
  last = {};
  for (int i = 0; i < 200; ++i) {
    net.world.at(net.world.now().mono + i * 20ms, [&] { send(500); });
  }
  net.world.at(net.world.now().mono + 2s, [&] { net.node(serving).crash(); });
  EXPECT_TRUE(net.world.run_until(net.world.now().mono + 100s, [&] {
    return delivered == 201 && sent == 201;
  })) << delivered;
  EXPECT_EQ(net.taken.size(), 201u);
  return longest;
}

/// The keeper that carries a transfer dies: all goes on over the other one, nothing lost or twice.
TEST(Keepers, AKeeperThatDiesInATransferLosesNothing) {
  Net net(6, true, kDelay, 2, 13);
  const Duration longest = kill_the_keeper(net);
  EXPECT_LE(longest, 3s);  // of which 1.5 s find out that it is silent
  fmt::print("a keeper killed in a transfer: longest time without a delivery {} ms\n",
             longest / 1ms);
}

/// The same where keepers are hops of either end as well.
TEST(Keepers, AKeeperThatDiesAndIsAHopLosesNothing) {
  const char* more = std::getenv("QUDAG_SEEDS");
  const std::uint64_t seeds = more == nullptr ? 1 : std::strtoull(more, nullptr, 10);
  for (std::uint64_t seed = 29; seed < 29 + seeds; ++seed) {
    Net net(seed);
    const Duration longest = kill_the_keeper(net);
    EXPECT_LE(longest, 10s) << seed;
    fmt::print("seed {}: a keeper killed that may be a hop, too: {} ms\n", seed, longest / 1ms);
  }
}

/// Only behind a router: one hop from its keeper, so five links in all.
TEST(Keepers, AReceiverThatHidesNothingIsNearer) {
  Net net(7, false, kDelay, 1);
  const Delays near = measure(net, 5, 1'000);
  fmt::print("link delays, medians of 5: receiver that hides nothing {:.2f}, answered {:.2f}\n",
             near.there, near.answered);
  EXPECT_LE(near.there, 5.5);
  EXPECT_LE(near.answered, 11);
}

}  // namespace
}  // namespace qudag::testing
