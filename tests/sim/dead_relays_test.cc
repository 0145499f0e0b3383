// Half of the relays die at once: the first message of a client does not wait for those that do not
// answer, and soon they are in the maps of newcomers no more. And nobody is buried by words.
#include "sim/hostile.h"
#include "sim/sim_network.h"
#include "wire/gossip.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAlive = 8, kDead = 6, kNewcomers = 12;
constexpr std::size_t kRelays = kAlive + kDead;
/// Twelve clients each. For figures there are more: QUDAG_WORLDS=12.
std::uint64_t worlds(std::uint64_t least) {
  const char* const wanted = std::getenv("QUDAG_WORLDS");
  return wanted == nullptr ? least : std::strtoull(wanted, nullptr, 10);
}

class DeadRelays : public ::testing::Test {
 protected:
  enum class Clients : std::uint8_t { come_later, were_there };
  /// `dead` relays of each world die when all know each other, and so long before the first message
  /// of a client; the others send meanwhile.
  void measure(std::string_view what, std::size_t dead, std::chrono::seconds before = 0s,
               Clients clients = Clients::come_later) {
    for (std::uint64_t seed = 1; seed <= worlds(worlds_); ++seed)
      clients_of(seed, dead, before, clients);
    std::ranges::sort(took_);
    fmt::print("first message, {}: p50 {} ms, p75 {} ms, p99 {} ms\n", what, part(50) / 1ms,
               part(75) / 1ms, part(99) / 1ms);
  }
  Duration part(std::size_t percent) const { return took_[(took_.size() - 1) * percent / 100]; }

 private:
  void clients_of(std::uint64_t seed, std::size_t dead, std::chrono::seconds before,
                  Clients clients) {
    World world(seed, Faults{});
    SimNetwork net(world, kRelays + kNewcomers);
    const auto start = [&](std::size_t i) {
      net[i].start();
      world.wake(world.host(net[i].address().at));
    };
    for (std::size_t i = 0; i < kRelays; ++i) start(i);
    ASSERT_TRUE(world.run_until(world.now().mono + 120s, [&] {
      for (std::size_t i = 0; i < kRelays; ++i) {
        if (net[i].shard().relays_known() < kRelays) return false;
      }
      return true;
    }));
    net[1].on_message_handler = [](Message&&) { return Accept::taken; };
    const auto join = [&](std::size_t i, std::size_t known) {
      net[i].set_relay(false);
      start(i);
      ASSERT_TRUE(world.run_until(world.now().mono + 10s,
                                  [&] { return net[i].shard().relays_known() >= known; }));
      world.run_until(world.now().mono + 2s);  // there may be more
    };
    const bool were_there = clients == Clients::were_there;
    for (std::size_t i = kRelays; were_there && i < kRelays + kNewcomers; ++i) join(i, kRelays);
    if (before > 0s) {
      world.run_until(world.now().mono + 60s);  // all have reached all, and not just now
      send_among(world, net, kRelays, 5s);
    }
    for (std::size_t i = kRelays - dead; i < kRelays; ++i) net[i].crash();
    if (before > 0s) send_among(world, net, kRelays - dead, before);
    const std::size_t last = kRelays + kNewcomers;
    if (were_there) {
      for (std::size_t i = kRelays; i < last; ++i) note_known(net[i]);
      return first_messages(world, net, kRelays, last);
    }
    for (std::size_t i = kRelays; i < last; ++i) {
      join(i, kRelays - dead);
      note_known(net[i]);
      first_messages(world, net, i, i + 1);
      net[i].crash();
    }
  }

  void note_known(SimNode& node) {
    known_least_ = std::min(known_least_, node.shard().relays_known());
    known_most_ = std::max(known_most_, node.shard().relays_known());
  }

  /// Each to the next but one, so that there is no link that nobody uses.
  static void send_among(World& world, SimNetwork& net, std::size_t count,
                         std::chrono::seconds time) {
    for (std::uint64_t round = 0; round < static_cast<std::uint64_t>(time / 1s); ++round) {
      for (std::size_t i = 0; i < count; ++i) {
        net[i].send(net[(i + 2) % count].id(), std::vector<std::byte>(100),
                    {.ttl = 20s, .relays = 3, .isolation = round}, [](const Delivery&) {});
      }
      world.run_until(world.now().mono + 1s);
    }
  }

  /// Of all of them at once.
  void first_messages(World& world, SimNetwork& net, std::size_t from, std::size_t to) {
    const TimePoint began = world.now().mono;
    std::size_t delivered = 0;
    for (std::size_t i = from; i < to; ++i) {
      net[i].send(net[1].id(), std::vector<std::byte>(100), {.ttl = 120s, .relays = 3},
                  [&](const Delivery& end) {
                    if (end.outcome != Outcome::delivered) return;
                    ++delivered;
                    took_.push_back(world.now().mono - began);
                  });
    }
    world.run_until(began + 121s, [&] { return delivered == to - from; });
    for (; delivered < to - from; ++delivered) took_.push_back(120s);
  }

  std::vector<Duration> took_;

 protected:
  std::uint64_t worlds_ = 1;
  std::size_t known_least_ = SIZE_MAX, known_most_ = 0;
};

TEST_F(DeadRelays, WhereAllAreAliveTheFirstMessageIsThereInAThirdOfASecond) {
  measure("all relays alive", 0);
  EXPECT_LE(part(50), 300ms);
  EXPECT_LE(part(99), 500ms);
}

/// Of the routes that the first ones could draw an eighth would do. Whoever stands on a route and
/// is late is given six draws at once and no more, so that this long can only be for most.
TEST_F(DeadRelays, TheFirstMessageOfANewcomerDoesNotWaitForThem) {
  worlds_ = 3;
  measure(fmt::format("{} of {} relays dead", kDead, kRelays), kDead);
  EXPECT_EQ(known_most_, kRelays) << "nobody knew it yet when the first ones came";
  EXPECT_LE(part(50), 700ms);
  EXPECT_LE(part(75), 2s);
}

/// The same of all clients at the moment of the deaths: relays find out only by their messages.
TEST_F(DeadRelays, NorDoThoseThatWereThereWaitForMost) {
  measure(fmt::format("{} of {} relays die now", kDead, kRelays), kDead, 0s, Clients::were_there);
  EXPECT_EQ(known_least_, kRelays);
  EXPECT_LE(part(50), 2s);
  EXPECT_LE(part(75), 2s);
}

TEST_F(DeadRelays, AMinuteAfterNeighboursSawThemDieNewcomersHearNothingOfThem) {
  measure(fmt::format("{} of {} relays dead for a minute", kDead, kRelays), kDead, 60s);
  EXPECT_EQ(known_most_, kAlive);
  EXPECT_LE(part(50), 300ms);
  EXPECT_LE(part(99), 2s);
}

/// It holds them for five minutes more, and draws them half as often.
TEST_F(DeadRelays, WhoHoldsThemAMinuteLaterDrawsThemMoreRarely) {
  measure(fmt::format("{} of {} relays dead for a minute, and held", kDead, kRelays), kDead, 60s,
          Clients::were_there);
  EXPECT_EQ(known_least_, kRelays);
  EXPECT_LE(part(50), 1s);
  EXPECT_LE(part(75), 2s);
}

// ---- relays that say of others that they died ---------------------------------------------------

SocketAddress at(std::uint8_t i) { return SocketAddress::v4(8, i, 0, 1, 4433); }

/// Shows only its friends while it `hides` the others.
class Burier final : public Hostile {
 public:
  using Hostile::Hostile;
  bool hides = false;
  std::set<NodeId> friends;

 private:
  std::vector<std::byte> digest(Bytes body) override {
    const auto said = wire::DigestView::parse(body);
    std::vector<wire::DigestEntry> shown;
    for (std::size_t i = 0; i < said->size(); ++i) {
      if (!hides || friends.contains(said->at(i).id)) shown.push_back(said->at(i));
    }
    return wire::encode_digest(said->range(), shown);
  }
  /// So that others ask for what it shows.
  std::vector<std::byte> summary(Bytes body) override {
    auto said = *wire::parse_summary(body);
    for (auto& part : said.parts) part.fingerprint ^= hides ? 1 : 0;
    const auto encoded = wire::encode_summary(said);
    return {encoded.begin(), encoded.end()};
  }
};

struct Net {
  static constexpr std::uint8_t kHonest = 8, kLiars = 4;
  static constexpr std::size_t kRelays = kHonest + kLiars;

  explicit Net(std::uint64_t seed) : world(seed, Faults{}) {
    for (std::uint8_t i = 0; i <= kHonest; ++i) {
      nodes.push_back(std::make_unique<SimNode>(world, at(i), Options{}));
      nodes.back()->set_gossip_interval(10s);
      if (i > 0) nodes.back()->set_bootstrap({nodes.front()->address()});
    }
    for (std::uint8_t i = 0; i < kLiars; ++i) {
      liars.push_back(std::make_unique<Burier>(
          world, at(100 + i),
          HostileOptions{.relay = true, .bootstrap = nodes.front()->address()}));
    }
    for (auto& liar : liars) {
      for (const auto& other : liars) liar->friends.insert(other->id());
    }
    // Deaths are heard of from those that one dialed; the others are strangers.
    nodes.front()->set_bootstrap({nodes[1]->address(), nodes[2]->address()});
    // A client that believes two honest entries and a liar.
    client().set_relay(false);
    client().set_bootstrap({nodes[0]->address(),
                            nodes[1]->address(),
                            {.id = liars[0]->id(), .at = liars[0]->address()}});
    for (auto& node : nodes) node->start();
    for (auto& liar : liars) liar->start();
  }
  SimNode& client() { return *nodes[kHonest]; }
  bool all_know(std::size_t count) const {
    return std::ranges::all_of(nodes, [count](const auto& node) {
      return !node->running() || node->shard().relays_known() >= count;
    });
  }
  std::vector<std::uint64_t> tried() const {
    std::vector<std::uint64_t> out;
    for (const auto& node : nodes) {
      out.push_back(node->running() ? node->shard().report().netmap.tried : 0);
    }
    return out;
  }

  World world;
  std::vector<std::unique_ptr<SimNode>> nodes;
  std::vector<std::unique_ptr<Burier>> liars;
};

/// A third of all relays lie for twelve minutes: for good, or again and again.
TEST(Burying, NoRelayThatAnswersIsMissingFromAnyHonestMap) {
  for (const Duration turns : {Duration(15s), Duration(1h)}) {
    Net net(1);
    ASSERT_TRUE(net.world.run_until(net.world.now().mono + 300s,
                                    [&] { return net.all_know(Net::kRelays); }));
    net.world.run_until(net.world.now().mono + 60s);
    const auto before = net.tried();
    constexpr Duration kTime = 12min;
    double least = 1;
    TimePoint turned = net.world.now().mono - turns;
    for (const TimePoint end = net.world.now().mono + kTime; net.world.now().mono < end;) {
      if (net.world.now().mono - turned >= turns) {
        turned = net.world.now().mono;
        for (auto& liar : net.liars) liar->hides = !liar->hides;
      }
      net.world.run_until(net.world.now().mono + 1s);
      ASSERT_TRUE(net.all_know(Net::kRelays));
      for (const auto& node : net.nodes) {
        const netmap::ViewPtr view = node->view();
        for (std::size_t i = 0; i < view->relays().size(); ++i) {
          least = std::min(least, view->standing(i));
        }
      }
    }
    const auto after = net.tried();
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < after.size(); ++i) most = std::max(most, after[i] - before[i]);
    std::printf("least part of a chance %.2f; %llu dials of one node in twelve minutes\n", least,
                static_cast<unsigned long long>(most));
    EXPECT_GE(least, 0.5);
    EXPECT_LT(least, 1) << "nobody believed them, and this shows nothing";
    EXPECT_LE(most, Net::kRelays * (kTime / 30s)) << "an answer holds for 30 s";
    for (const auto& node : net.nodes) EXPECT_EQ(node->shard().report().netmap.unreached, 0u);
  }
}

/// They go on showing one that has died: who saw that it does not answer draws it no more, but
/// where it is a guard, and there half as often.
TEST(Burying, NorDoTheyKeepADeadOneInTheMapsOfRelays) {
  Net net(2);
  ASSERT_TRUE(
      net.world.run_until(net.world.now().mono + 300s, [&] { return net.all_know(Net::kRelays); }));
  net.world.run_until(net.world.now().mono + 60s);  // all reach all
  constexpr std::size_t kGone = Net::kHonest - 1;
  const NodeId dead = net.nodes[kGone]->id();
  net.nodes[kGone]->crash();
  const auto count = [&](const auto& is) {
    std::size_t out = 0;
    for (std::size_t i = 0; i < kGone; ++i) {
      const netmap::ViewPtr view = net.nodes[i]->view();
      const auto relays = view->relays();
      const bool counts = std::ranges::any_of(
          relays, [&](const auto& relay) { return relay->descriptor.id == dead; });
      out += is(*view, counts) ? 1 : 0;
    }
    return out;
  };
  const auto drawn_as_before = [&] {
    return count(
        [&](const netmap::View& view, bool counts) { return counts && view.standing(dead) > 0.5; });
  };
  const TimePoint died = net.world.now().mono;
  for (std::size_t second = 0; second < 120 && drawn_as_before() > 0; ++second) {
    for (std::size_t i = 0; i < kGone; ++i) {
      net.nodes[i]->send(net.nodes[(i + 1) % kGone]->id(), std::vector<std::byte>(100),
                         {.ttl = 20s, .relays = 3, .isolation = second}, [](const Delivery&) {});
    }
    net.world.run_until(net.world.now().mono + 1s);
  }
  const auto in_map = count([](const netmap::View&, bool counts) { return counts; });
  std::printf("after %lld s drawn as before by %zu of 7, in the maps of %zu\n",
              static_cast<long long>((net.world.now().mono - died) / 1s), drawn_as_before(),
              in_map);
  EXPECT_EQ(drawn_as_before(), 0u);
}

}  // namespace
}  // namespace qudag::testing
