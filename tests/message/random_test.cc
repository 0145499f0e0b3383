// Two hundred seeds of everything at once: random messages, replies, circuits that die, builds that
// fail, applications that refuse, short lives. What must hold whatever happens is checked after
// each.
#include "world.h"

#include <cstring>
#include <map>

namespace qudag::message::testing {
namespace {

/// Serial numbers of messages; a reply to number n is number n | kReplyBit.
constexpr std::uint64_t kReplyBit = std::uint64_t{1} << 40;

struct Chaos {
  explicit Chaos(std::uint64_t seed, bool in_hand = false)
      : rng(seed), world(3, options_for(seed)), in_hand_(in_hand) {
    if (!world.options.riders) return;
    // Builds that race, of which some replies are lost.
    TestRng times(seed * 99);
    for (std::size_t i = 0; i < 500; ++i) {
      world.builds_take.push_back(world.options.latency * static_cast<int>(1 + times.below(8)));
    }
    world.failed_builds_arrive = true;
    for (std::size_t i = 0; i < world.size(); ++i) {
      world[i].builds_late_after = world.options.latency * 3;
    }
  }

  static WorldOptions options_for(std::uint64_t seed) {
    TestRng rng(seed * 77);
    WorldOptions options;
    options.seed = seed;
    options.riders = seed % 2 == 0;
    options.latency = Duration(1ms) * static_cast<int>(1 + rng.below(30));
    options.cell_time = Duration(1us) * static_cast<int>(1 + rng.below(100));
    options.ahead_cells = 1 + rng.below(64);
    options.budget_bytes = rng.below(4) == 0 ? 2 << 20 : 1 << 30;
    options.messages.circuits_per_flow_max = static_cast<unsigned>(1 + rng.below(3));
    options.messages.circuit_age_max = std::chrono::seconds(1 + rng.below(5));
    options.messages.flow_idle = std::chrono::seconds(1 + rng.below(5));
    if (rng.below(3) == 0) options.messages.waiting_max = {5, 10, 20};
    if (rng.below(3) == 0) options.messages.assemblies_max = 4;
    return options;
  }

  std::size_t random_size() {
    switch (rng.below(10)) {
      case 0:
        return rng.below(2);
      case 1:
        return rng.below(300'000);
      case 2:
        return 900 + rng.below(60);
      case 3:
        return 8000 + rng.below(200);
      default:
        return rng.below(2000);
    }
  }

  void one_send() {
    const std::size_t from = rng.below(3);
    const std::size_t to = (from + 1 + rng.below(2)) % 3;
    SendOptions options;
    options.priority = static_cast<Priority>(rng.below(3));
    options.isolation = rng.below(2);
    options.ttl = rng.below(5) == 0 ? std::chrono::milliseconds(1 + rng.below(200)) : 30s;
    const std::uint64_t serial = ++serials;
    // Eight bytes at least, so that every message can be told from every other.
    const auto id = world[from].send(to, serial, 8 + random_size(), options);
    if (id) {
      sends.emplace(std::pair{from, id->value}, serial);
      if (rng.below(30) == 0) {
        world.after(Duration(1us) * static_cast<int>(rng.below(100'000)),
                    [this, from, send = *id] { world[from].messages->cancel(send, world.now()); });
      }
    } else {
      EXPECT_EQ(id.error(), Errc::refused_queue_full);
    }
  }

  void kill_one() {
    const auto lines = world.alive();
    if (!lines.empty()) world.kill(*lines[rng.below(lines.size())], Errc::link_closed);
  }

  Taken take(std::size_t node, const Got& got) {
    std::uint64_t serial = 0;
    std::memcpy(&serial, got.bytes.data(), 8);
    EXPECT_TRUE(got.bytes == pattern(serial, got.bytes.size())) << "bytes changed";
    EXPECT_EQ((serial & kReplyBit) != 0, got.in_reply_to.has_value());
    const std::uint64_t chance = rng.below(20);
    if (chance == 0) return Taken::no_receiver;
    if (chance == 1) return Taken::queue_full;
    if (in_hand_ && chance % 3 == 2) {
      world.after(Duration(1us) * static_cast<int>(rng.below(2'000'000)),
                  [this, node, serial, handed = got.handed] { settle(node, serial, handed); });
      return Taken::later;
    }
    EXPECT_EQ(++handed[serial], 1u) << "handed to the application twice: " << serial;
    if (chance < 10 && got.reply_to) {
      const auto answer = serial | kReplyBit;
      const auto id = world[node].reply(*got.reply_to, pattern(answer, 8 + rng.below(3000)));
      if (id) sends.emplace(std::pair{node, id->value}, answer);
    }
    if (chance == 19) world.after(0ns, [this] { kill_one(); });
    return Taken::yes;
  }

  /// The application answers for what it took in hand. Too late: it knows that it does not count.
  void settle(std::size_t node, std::uint64_t serial, const Handed& message) {
    const Taken answer = rng.below(4) == 0 ? Taken::queue_full : Taken::yes;
    if (!world[node].messages->settle(message, answer, world.now())) return;
    ++settled;
    handed[serial] += answer == Taken::yes;
    EXPECT_LE(handed[serial], 1u) << "taken twice: " << serial;
  }

  void go() {
    for (std::size_t i = 0; i < world.size(); ++i) {
      world[i].on_got = [this, i](const Got& got) { return take(i, got); };
    }
    const std::size_t rounds = 20 + rng.below(60);
    for (std::size_t round = 0; round < rounds; ++round) {
      for (std::uint64_t n = rng.below(8); n > 0; --n) one_send();
      if (rng.below(6) == 0) kill_one();
      if (rng.below(10) == 0) world.builds_to_fail = static_cast<unsigned>(rng.below(4));
      world.fail_builds_inside = rng.below(2) == 0;
      world.run_for(Duration(1us) * static_cast<int>(rng.below(60'000)));
    }
    const bool orderly = rng.below(2) == 0;
    if (orderly) {
      world.builds_to_fail = 0;
      // One at a time, so that what is asked for last is what was left over before.
      ASSERT_TRUE(world.run_until([this] { return ended() == sends.size(); }, 300s));
    }
    for (std::size_t i = 0; i < world.size(); ++i) world[i].messages->shutdown(world.now());
    world.run_for(1s + limits::kUnfinishedFor);
  }

  std::size_t ended() {
    std::size_t n = 0;
    for (std::size_t i = 0; i < world.size(); ++i) n += world[i].outcomes();
    return n;
  }

  void check() {
    EXPECT_EQ(ended(), sends.size()) << "one outcome for each accepted send";
    for (const auto& [send, serial] : sends) {
      const auto& [node, id] = send;
      ASSERT_TRUE(world[node].ended.contains(id));
      const Delivery& delivery = world[node].ended[id].delivery;
      if (delivery.outcome == Outcome::delivered) {
        EXPECT_EQ(handed[serial], 1u) << "said to be delivered: " << serial;
        EXPECT_EQ(delivery.reason, Errc::ok);
      } else {
        EXPECT_FALSE(delivery.reason == Errc::ok);
      }
      EXPECT_GE(delivery.elapsed, 0ns);
    }
    for (std::size_t i = 0; i < world.size(); ++i) {
      const MessagesStats stats = world[i].messages->stats();
      EXPECT_EQ(stats.frames_malformed, 0u) << "we broke the protocol ourselves";
      EXPECT_EQ(stats.credit_violations, 0u);
      EXPECT_EQ(stats.flows, 0u);
    }
    world.expect_empty();
  }

  TestRng rng;
  World world;
  std::uint64_t serials = 0;
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint64_t> sends;  // (node, id) -> serial
  std::map<std::uint64_t, unsigned> handed;
  const bool in_hand_;
  std::size_t settled = 0;
};

TEST(Random, TwoHundredSeeds) {
  std::uint64_t delivered = 0;
  std::uint64_t sent = 0;
  std::uint64_t resent = 0;
  std::uint64_t duplicates = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos run(seed);
    run.go();
    run.check();
    if (HasFailure()) FAIL() << "first failing seed: " << seed;
    sent += run.sends.size();
    for (std::size_t i = 0; i < run.world.size(); ++i) {
      const MessagesStats stats = run.world[i].messages->stats();
      for (const auto n : stats.delivered) delivered += n;
      resent += stats.resent;
      duplicates += stats.duplicates;
    }
  }
  // The runs did what they are for.
  EXPECT_GT(sent, 20'000u);
  EXPECT_GT(delivered, sent / 2);
  EXPECT_GT(resent, 500u);
  EXPECT_GT(duplicates, 20u);
  RecordProperty("sent", static_cast<int>(sent));
  std::printf("sent %llu delivered %llu resent %llu duplicates %llu\n",
              static_cast<unsigned long long>(sent), static_cast<unsigned long long>(delivered),
              static_cast<unsigned long long>(resent), static_cast<unsigned long long>(duplicates));
}

TEST(Random, TwoHundredSeedsWithMessagesInHand) {
  std::size_t settled = 0, sent = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos run(seed, true);
    run.go();
    run.check();
    if (HasFailure()) FAIL() << "first failing seed: " << seed;
    settled += run.settled;
    sent += run.sends.size();
  }
  EXPECT_GT(sent, 20'000u);
  EXPECT_GT(settled, sent / 10);
}

TEST(Random, TheSameSeedIsTheSameRun) {
  auto cells = [](std::uint64_t seed) {
    Chaos run(seed);
    run.go();
    return std::pair{run.world[0].cells_sent, run.world.now().mono};
  };
  EXPECT_EQ(cells(3), cells(3));
  EXPECT_NE(cells(3), cells(4));
}

}  // namespace
}  // namespace qudag::message::testing
