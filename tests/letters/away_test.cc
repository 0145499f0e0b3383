// Whole nodes on lines of 50 ms: a receiver that is away gets its messages later, each once,
// whoever crashes meanwhile.
#include "sim/letters/sim_letters.h"
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelays = 7;

/// Where files of simulated disks lie: in memory, so that their commits cost nothing.
std::filesystem::path scratch() {
  std::string name = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
  name += "/qudag-letters-XXXXXX";
  return ::mkdtemp(name.data());
}

/// Relays that are keepers with disks, a caller, and the node of a receiver.
struct Net {
  explicit Net(std::uint64_t seed, std::size_t keepers = 1, Duration delay = 50ms)
      : directory(scratch()),
        world(seed, {.delay_min = delay, .delay_jitter = {}}),
        network(world, kRelays + 2),
        keepers_count(keepers) {
    for (std::size_t i = 0; i < kRelays; ++i) {
      network[i].set_letters(directory / ("letters-" + std::to_string(i)));
    }
    for (const std::size_t i : {kRelays, kRelays + 1}) {
      network[i].set_relay(false);
      network[i].set_known(i == kRelays);
    }
    network.start();
    EXPECT_TRUE(world.run_until(world.now().mono + 120s, [&] {
      for (std::size_t i = 0; i < network.size(); ++i) {
        if (network[i].shard().relays_known() < kRelays) return false;
      }
      return true;
    }));
    world.run_until(world.now().mono + 30s);
    receiver = crypto::Identity::generate()->id();
    home().on_message_handler = [this](Message&& message) { return take(std::move(message)); };
    EXPECT_TRUE(home().shard().open_receiver({.id = receiver,
                                              .keepers = keepers,
                                              .at = {},
                                              .on_card = [this](const Card& told) { card = told; }},
                                             world.now()));
    world.wake(home().machine());
    EXPECT_TRUE(world.run_until(world.now().mono + 60s,
                                [&] { return card && card->places.size() == keepers; }));
    world.run_until(world.now().mono + 5s);
    if (card) {
      EXPECT_TRUE(source().shard().cards().add(*card));
    }
  }
  ~Net() {
    for (std::size_t i = 0; i < network.size(); ++i) network[i].crash();
    std::filesystem::remove_all(directory);
  }

  SimNode& source() { return network[kRelays]; }
  SimNode& home() { return network[kRelays + 1]; }
  SimNode& node(const NodeId& id) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (network[i].id() == id) return network[i];
    }
    ADD_FAILURE() << "no such node";
    return network[0];
  }
  SimNode& keeper(std::size_t i = 0) { return node(card->places[i].keeper); }

  Accept take(Message&& message) {
    EXPECT_EQ(message.receiver, receiver);
    if (refuses > 0) {
      --refuses;
      return Accept::no_receiver;
    }
    EXPECT_EQ(message.kept, !message.reply_to);
    if (message.kept) ++from_letters;
    if (!taken.emplace(message.id, message.payload.to_vector()).second) ++twice;
    if (on_taken) on_taken();
    return Accept::taken;
  }
  /// The machine of the receiver hears nothing, and nobody hears it.
  void leave() { world.set_group(home().machine().local(), 1); }
  void come_back() { world.heal(); }

  void send(std::size_t bytes, SendOptions options = {}) {
    options.relays = 3;
    const auto number = static_cast<std::uint8_t>(++sent);
    source().send(receiver, std::vector<std::byte>(bytes, std::byte{number}), options,
                  [this, bytes](const Delivery& delivery) {
                    EXPECT_FALSE(ends.contains(delivery.id)) << "two outcomes";
                    ends[delivery.id] = delivery;
                    sizes[delivery.id] = bytes;
                  });
  }
  std::size_t count(Outcome outcome) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        ends, [&](const auto& one) { return one.second.outcome == outcome; }));
  }
  bool run(Duration most, const std::function<bool()>& until) {
    return world.run_until(world.now().mono + most, until);
  }
  bool run_to_ends(Duration most = 120s) {
    return run(most, [&] { return ends.size() == sent; });
  }
  std::size_t letters() {
    std::size_t out = 0;
    for (std::size_t i = 0; i < kRelays; ++i) {
      if (network[i].running()) out += network[i].letter_room()->stats().letters;
    }
    return out;
  }
  /// Of those that were said to be stored, or delivered: not there.
  std::size_t lost() const {
    return static_cast<std::size_t>(std::ranges::count_if(ends, [&](const auto& one) {
      const bool said =
          one.second.outcome == Outcome::stored || one.second.outcome == Outcome::delivered;
      return said && !taken.contains(one.first);
    }));
  }

  const std::filesystem::path directory;
  World world;
  SimNetwork network;
  const std::size_t keepers_count;
  NodeId receiver;
  std::optional<Card> card;
  std::function<void()> on_taken;
  std::size_t refuses = 0, sent = 0, twice = 0, from_letters = 0;
  std::map<MessageId, std::vector<std::byte>> taken;
  std::map<MessageId, Delivery> ends;
  std::map<MessageId, std::size_t> sizes;
};

/// Away, ten letters, a keeper that is restarted meanwhile, and back.
TEST(Letters, AReceiverThatWasAwayHasThemEachOnce) {
  Net net(21);
  net.leave();
  net.run(30s, [] { return false; });
  for (int i = 0; i < 10; ++i) net.send(900 + static_cast<std::size_t>(i));
  EXPECT_TRUE(net.run_to_ends());
  EXPECT_EQ(net.count(Outcome::stored), 10u);
  for (const auto& [id, end] : net.ends) EXPECT_EQ(end.reason, Errc::ok) << end.reason.message();
  const std::size_t letters = net.letters();
  EXPECT_GE(letters, 1u);
  net.keeper().crash();
  net.run(5s, [] { return false; });
  net.keeper().start();
  EXPECT_EQ(net.letters(), letters);
  net.run(30s, [] { return false; });
  // Who calls now hears that the receiver is away, though the keeper has not seen it in this life.
  net.send(50, {.ttl = 60s, .if_away = IfAway::refuse});
  EXPECT_TRUE(net.run_to_ends());
  EXPECT_EQ(net.count(Outcome::refused), 1u);
  EXPECT_TRUE(net.taken.empty());
  net.come_back();
  EXPECT_TRUE(net.run(180s, [&] { return net.taken.size() == 10 && net.letters() == 0; }))
      << net.taken.size() << " taken, " << net.letters() << " left";
  EXPECT_EQ(net.from_letters, 10u);
  EXPECT_EQ(net.twice, 0u);
  EXPECT_EQ(net.lost(), 0u);
  net.run(60s, [] { return false; });
  EXPECT_EQ(net.taken.size(), 10u);
}

/// What is too large for a hail is left in pieces, signed or not; what is larger than any letter
/// waits.
TEST(Letters, LargeOnesAreDepositedAndTheLargestWait) {
  Net net(22, 2);
  net.leave();
  net.run(30s, [] { return false; });
  net.send(10'000);
  net.send(200'000, {.priority = Priority::low, .sign = true});
  net.send(1'000'000, {.priority = Priority::low, .ttl = 1'200s, .isolation = 5});
  EXPECT_TRUE(net.run(240s, [&] { return net.ends.size() == 2; })) << net.ends.size();
  EXPECT_EQ(net.count(Outcome::stored), 2u);
  net.come_back();
  EXPECT_TRUE(net.run(300s, [&] { return net.taken.size() == 3 && net.letters() == 0; }))
      << net.taken.size();
  EXPECT_TRUE(net.run_to_ends());
  EXPECT_EQ(net.count(Outcome::delivered), 1u);
  for (const auto& [id, bytes] : net.taken) EXPECT_EQ(bytes.size(), net.sizes[id]);
  EXPECT_EQ(net.twice, 0u);
  // What was still being left at a keeper when the receiver came back is over by then.
  net.run(60s, [] { return false; });
}

TEST(Letters, WhoWantsItLiveWaitsOrIsRefused) {
  Net net(23);
  net.leave();
  net.run(30s, [] { return false; });
  net.send(100, {.ttl = 600s, .isolation = 1, .if_away = IfAway::wait});
  net.send(100, {.ttl = 600s, .isolation = 2, .if_away = IfAway::refuse});
  net.run(60s, [] { return false; });
  EXPECT_EQ(net.count(Outcome::refused), 1u);
  for (const auto& [id, end] : net.ends) EXPECT_EQ(end.reason, Errc::away);
  EXPECT_EQ(net.letters(), 0u);
  net.come_back();
  EXPECT_TRUE(net.run_to_ends(180s));
  EXPECT_EQ(net.count(Outcome::delivered), 1u);
  EXPECT_EQ(net.from_letters, 0u);
}

/// The receiver is gone between what it took and its keeper hearing so: the letter comes again, and
/// nobody has it twice.
TEST(Letters, WhatWasTakenAndNotSaidIsDroppedWhenItComesAgain) {
  Net net(24);
  net.leave();
  net.run(30s, [] { return false; });
  net.send(700);
  EXPECT_TRUE(net.run_to_ends());
  EXPECT_EQ(net.count(Outcome::stored), 1u);
  net.on_taken = [&] { net.leave(); };
  net.come_back();
  EXPECT_TRUE(net.run(180s, [&] { return net.taken.size() == 1; }));
  net.on_taken = {};
  net.run(60s, [] { return false; });
  EXPECT_EQ(net.letters(), 1u);
  net.come_back();
  EXPECT_TRUE(net.run(180s, [&] { return net.letters() == 0; }));
  EXPECT_EQ(net.taken.size(), 1u);
  EXPECT_EQ(net.twice, 0u);
  EXPECT_EQ(net.home().shard().receiver(net.receiver)->letters().repeated, 1u);
}

/// What no program takes stays at the keeper, and is asked for again.
TEST(Letters, WhatIsNotTakenStays) {
  Net net(25);
  net.leave();
  net.run(30s, [] { return false; });
  net.send(700);
  EXPECT_TRUE(net.run_to_ends());
  net.refuses = 2;
  net.come_back();
  EXPECT_TRUE(net.run(180s, [&] { return net.refuses == 0; }));
  EXPECT_EQ(net.letters(), 1u);
  EXPECT_TRUE(net.run(180s, [&] { return net.letters() == 0; }));
  EXPECT_EQ(net.taken.size(), 1u);
}

struct Books {
  std::size_t sent = 0, stored = 0, delivered = 0, others = 0, lost = 0, without = 0, twice = 0;
};

/// Ten minutes in which keepers crash and come back, and the receiver goes and comes.
Books random_life(std::uint64_t seed) {
  Net net(seed, 1 + seed % 2, 20ms);
  const auto draw = [&](std::uint64_t n) { return net.world.rng().below(n); };
  bool away = false;
  for (int step = 0; step < 30; ++step) {
    switch (draw(4)) {
      case 0:
        away = !away;
        away ? net.leave() : net.come_back();
        break;
      case 1: {
        SimNode& keeper = net.keeper(draw(net.card->places.size()));
        keeper.running() ? keeper.crash() : keeper.start();
        break;
      }
      default:
        for (std::uint64_t n = draw(3); n > 0; --n) {
          net.send(100 + draw(draw(3) == 0 ? 30'000 : 2'000), {.ttl = 60s});
        }
    }
    net.run(std::chrono::milliseconds(draw(20'000)), [] { return false; });
  }
  for (std::size_t i = 0; i < kRelays; ++i) {
    if (!net.network[i].running()) net.network[i].start();
  }
  net.come_back();
  Books out;
  net.run_to_ends(180s);
  net.run(400s, [&] { return net.lost() == 0 && net.letters() == 0; });
  out.sent = net.sent;
  out.stored = net.count(Outcome::stored);
  out.delivered = net.count(Outcome::delivered);
  out.others = net.ends.size() - out.stored - out.delivered;
  out.lost = net.lost();
  out.without = net.sent - net.ends.size();
  out.twice = net.twice;
  return out;
}

/// A few seeds by default; QUDAG_SEEDS says how many.
TEST(Letters, WhateverCrashesNothingThatWasSaidIsLost) {
  const char* const text = std::getenv("QUDAG_SEEDS");
  const std::uint64_t seeds = text == nullptr ? 2 : std::strtoull(text, nullptr, 10);
  Books all;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Books one = random_life(seed);
    EXPECT_EQ(one.lost, 0u) << "seed " << seed;
    EXPECT_EQ(one.without, 0u) << "seed " << seed;
    EXPECT_EQ(one.twice, 0u) << "seed " << seed;
    all.sent += one.sent;
    all.stored += one.stored;
    all.delivered += one.delivered;
    all.others += one.others;
    all.lost += one.lost;
    all.without += one.without;
    all.twice += one.twice;
  }
  EXPECT_GT(all.stored, 0u);
  fmt::print(
      "{} seeds: sent {}, delivered {}, stored {}, expired or refused {}; said and lost {}, "
      "without outcome {}, twice {}\n",
      seeds, all.sent, all.delivered, all.stored, all.others, all.lost, all.without, all.twice);
}

}  // namespace
}  // namespace qudag::testing
