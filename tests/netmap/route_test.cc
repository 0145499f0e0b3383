// Views, relay history and route choice.
#include "netmap/routes/route.h"

#include "netmap/fixture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(200);
constexpr std::uint64_t kTarget = 100;

std::vector<EntryPtr> relays(std::size_t count, std::uint64_t first = 1) {
  std::vector<EntryPtr> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(entry_of(first + i));
  return out;
}

/// A network of `count` relays, the destination (no relay) and ourselves (a relay).
View network(std::size_t count) {
  auto all = relays(count);
  auto target = entry_of(kTarget);
  target->descriptor.relay = false;
  all.push_back(target);
  all.push_back(entry_of(200));
  return View(std::move(all));
}

class RouteTest : public ::testing::Test {
 protected:
  Result<std::vector<EntryPtr>> draw(const View& view, unsigned count,
                                     const NodeId& target = id_of(kTarget)) {
    return draw_route(view, kSelf, target, count, policy, guards, history, now, rng);
  }
  Errc error(const View& view, unsigned count, const NodeId& target = id_of(kTarget)) {
    const auto route = draw(view, count, target);
    return route ? Errc::ok : route.error().code;
  }
  /// How often each relay was at `position` in `draws` circuits of `count` relays.
  std::map<NodeId, int> census(const View& view, unsigned count, std::size_t position, int draws) {
    std::map<NodeId, int> out;
    for (int i = 0; i < draws; ++i) {
      const auto route = draw(view, count);
      EXPECT_TRUE(route);
      if (!route) continue;
      ++out[(*route)[position]->descriptor.id];
      guards.circuits.began(route->front()->descriptor.id, now);
    }
    return out;
  }

  RoutePolicy policy;
  Guards guards;
  RelayHistory history;
  Now now = at(1000s);
  SeededRng rng{42};
};

// ---- View ---------------------------------------------------------------------------------------

TEST(View, SortsFindsAndKeepsRelaysApart) {
  auto plain = entry_of(5);
  plain->descriptor.relay = false;
  const View view({entry_of(9), plain, entry_of(2)});
  ASSERT_EQ(view.entries().size(), 3u);
  EXPECT_EQ(view.entries()[0]->descriptor.id, id_of(2));
  EXPECT_EQ(view.entries()[2]->descriptor.id, id_of(9));
  EXPECT_EQ(view.find(id_of(5)), plain.get());
  EXPECT_EQ(view.find_shared(id_of(5)), plain);
  EXPECT_EQ(view.find(id_of(6)), nullptr);
  EXPECT_EQ(view.find(id_of(10)), nullptr);
  EXPECT_EQ(view.relays().size(), 2u);
}

TEST(View, ClaimedCapacityIsHeldAroundTheMedian) {
  const View view({entry_of(1, 0), entry_of(2, 1000), entry_of(3, 1000), entry_of(4, 1200),
                   entry_of(5, UINT32_MAX)});
  EXPECT_DOUBLE_EQ(view.claim(0), 1 / std::sqrt(2));
  EXPECT_DOUBLE_EQ(view.claim(1), 1);
  EXPECT_DOUBLE_EQ(view.claim(3), 1.2);
  EXPECT_DOUBLE_EQ(view.claim(4), std::sqrt(2));
  const View silent({entry_of(1, 0), entry_of(2, 0), entry_of(3, UINT32_MAX)});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(silent.claim(i), 1);
}

// ---- RelayHistory -------------------------------------------------------------------------------

TEST(RelayHistory, FailuresLowerTheWeightAndFade) {
  RelayHistory history;
  const NodeId relay = id_of(1);
  EXPECT_EQ(history.weight(relay, at(0s)), 1);
  history.failed(relay, at(0s));
  EXPECT_DOUBLE_EQ(history.weight(relay, at(0s)), 0.5);
  for (int i = 0; i < 100; ++i) history.failed(relay, at(0s));
  EXPECT_DOUBLE_EQ(history.weight(relay, at(0s)), RelayHistory::kWeightMin);
  history = RelayHistory();
  for (int i = 0; i < 4; ++i) history.failed(relay, at(0s));
  EXPECT_LT(history.reliability(relay, at(0s)), RelayHistory::kFailing);
  EXPECT_GT(history.weight(relay, at(600s)), 0.85);
  EXPECT_EQ(history.weight(id_of(2), at(0s)), 1);
}

TEST(RelayHistory, WhoWasNotReachedIsDrawnSeldomUnlessTheFirstHopSaysSo) {
  const std::array hops = {id_of(1), id_of(2), id_of(3), id_of(kTarget)};
  for (const std::size_t failed : {1, 2, 3}) {
    RelayHistory history;
    Now now = at(0s);
    const double usual = history.chance(id_of(9), now);
    history.broke(hops, failed, now);
    for (std::size_t hop = 0; hop < hops.size(); ++hop) {
      EXPECT_EQ(history.chance(hops[hop], now) < usual / 10, failed == 2 && hop == 2)
          << failed << " " << hop;
      EXPECT_FALSE(history.is_late(hops[hop], now)) << "or one hop decided on second guards";
    }
    now.mono += 30s;
    EXPECT_GT(history.chance(hops[2], now), usual / 10);
  }
}

TEST(RelayHistory, SuccessRestoresAndSlownessCosts) {
  RelayHistory history;
  const NodeId relay = id_of(1);
  history.failed(relay, at(0s));
  history.succeeded(std::array{relay}, 5ms, at(0s));
  EXPECT_DOUBLE_EQ(history.weight(relay, at(0s)), 1 / 1.5) << "who adds next to nothing is fast";
  EXPECT_EQ(history.speed(id_of(2)), 1);
}

/// Eight relays of 20 ms each and one of 200, in routes of three: who is slow is found out, and who
/// stood beside it is not blamed.
TEST(RelayHistory, WhatEachHopAddsIsToldApart) {
  RelayHistory history;
  SeededRng rng(3);
  const auto adds = [](const NodeId& id) { return id == id_of(9) ? 200ms : 20ms; };
  for (int i = 0; i < 300; ++i) {
    std::vector<NodeId> hops;
    Duration took{};
    while (hops.size() < 3) {
      const NodeId id = id_of(1 + rng.below(9));
      if (std::ranges::find(hops, id) != hops.end()) continue;
      hops.push_back(id);
      took += adds(id);
    }
    history.succeeded(hops, took, at(std::chrono::seconds(i)));
  }
  for (std::uint64_t i = 1; i <= 8; ++i) {
    EXPECT_NEAR(static_cast<double>(history.hop_time(id_of(i)) / 1us), 20'000, 2'000);
    EXPECT_GT(history.speed(id_of(i)), 0.8);
  }
  EXPECT_NEAR(static_cast<double>(history.hop_time(id_of(9)) / 1us), 200'000, 20'000);
  EXPECT_EQ(history.speed(id_of(9)), RelayHistory::kSpeedMin);
  EXPECT_EQ(history.reliability(id_of(9), at(300s)), 1) << "slow is not broken";
}

TEST(RelayHistory, TheUnknownAreTakenForUsualAndOneSlowBuildMovesLittle) {
  RelayHistory history;
  const std::array hops{id_of(1), id_of(2), id_of(3)};
  for (int i = 0; i < 50; ++i) history.succeeded(hops, 300ms, at(0s));
  EXPECT_NEAR(history.speed(id_of(1)), 0.5, 0.01);
  EXPECT_NEAR(history.speed(id_of(7)), 0.5, 0.01) << "a new identity gains nothing";
  history.succeeded(hops, 1h, at(0s));
  EXPECT_LT(history.hop_time(id_of(1)), 250ms);
}

TEST(RelayHistory, ForgetsWhatWasHeardOfLongestAgo) {
  RelayHistory history(3);
  for (std::uint64_t i = 1; i <= 3; ++i) history.failed(id_of(i), at(std::chrono::seconds(i)));
  history.failed(id_of(1), at(4s));
  history.failed(id_of(9), at(5s));
  EXPECT_EQ(history.size(), 3u);
  EXPECT_EQ(history.weight(id_of(2), at(5s)), 1) << "forgotten";
  EXPECT_LT(history.weight(id_of(1), at(5s)), 1);
  EXPECT_LT(history.weight(id_of(3), at(5s)), 1);
}

// ---- Routes -------------------------------------------------------------------------------------

TEST_F(RouteTest, HopsAreDistinctNeverSelfAndEndAtTheDestination) {
  const View view = network(12);
  for (unsigned count = 0; count <= 5; ++count) {
    for (int i = 0; i < 200; ++i) {
      const auto route = draw(view, count);
      ASSERT_TRUE(route) << count;
      ASSERT_EQ(route->size(), count + 1);
      EXPECT_EQ(route->back()->descriptor.id, id_of(kTarget));
      std::set<NodeId> ids;
      for (const EntryPtr& hop : *route) ids.insert(hop->descriptor.id);
      EXPECT_EQ(ids.size(), count + 1);
      EXPECT_FALSE(ids.contains(kSelf));
    }
  }
}

TEST_F(RouteTest, ARelayCanBeTheDestination) {
  const View view = network(4);
  for (int i = 0; i < 100; ++i) {
    const auto route = draw(view, 3, id_of(2));
    ASSERT_TRUE(route);
    for (std::size_t hop = 0; hop < 3; ++hop) {
      EXPECT_NE((*route)[hop]->descriptor.id, id_of(2));
    }
  }
}

TEST_F(RouteTest, SaysWhatIsMissing) {
  const View view = network(3);
  EXPECT_EQ(error(view, 3), Errc::ok);
  EXPECT_EQ(error(view, 4), Errc::no_route);
  EXPECT_EQ(error(view, 6), Errc::invalid_argument);
  EXPECT_EQ(error(view, 0, id_of(150)), Errc::unknown_destination);
  EXPECT_EQ(error(view, 0, kSelf), Errc::invalid_argument);
  EXPECT_EQ(error(network(0), 1), Errc::no_route);
  EXPECT_EQ(error(network(0), 0), Errc::ok);
  EXPECT_EQ(error(View(), 0), Errc::unknown_destination);
}

TEST_F(RouteTest, EveryHopNeedsAValidDescriptorKeyAndVersion) {
  using Change = void (*)(Entry&);
  const std::vector<std::pair<const char*, Change>> changes{
      {"expired", [](Entry& entry) { entry.descriptor.expires = kToday; }},
      {"no key valid", [](Entry& entry) { store_be(entry.keys.data() + 8, kToday); }},
      {"later protocol",
       [](Entry& entry) { entry.descriptor.version_min = entry.descriptor.version_max = 2; }},
  };
  for (const auto& [name, change] : changes) {
    auto relay = entry_of(1);
    change(*relay);
    auto target = entry_of(kTarget);
    EXPECT_EQ(error(View({relay, target}), 1), Errc::no_route) << name;
    change(*target);
    EXPECT_EQ(error(View({relay, target}), 0), Errc::unknown_destination) << name;
  }
  auto plain = entry_of(1);
  plain->descriptor.relay = false;
  EXPECT_EQ(error(View({plain, entry_of(kTarget)}), 1), Errc::no_route);
}

TEST_F(RouteTest, NoTwoHopsInOneNetwork) {
  // Three relays in each of four networks; the destination says that it is in the first of them,
  // which is its own business.
  std::vector<EntryPtr> all;
  for (std::uint64_t i = 0; i < 12; ++i) {
    auto entry = entry_of(i + 1);
    const auto net = static_cast<std::uint8_t>(i / 3);
    entry->descriptor.addresses = {
        SocketAddress::v4(10, net, static_cast<std::uint8_t>(i), 1, 4433)};
    all.push_back(entry);
  }
  auto target = entry_of(kTarget);
  target->descriptor.addresses = {SocketAddress::v4(10, 0, 99, 1, 4433)};
  all.push_back(target);
  const View view(all);
  for (int i = 0; i < 200; ++i) {
    const auto route = draw(view, 3);
    ASSERT_TRUE(route);
    std::set<std::uint8_t> nets;
    for (int hop = 0; hop < 3; ++hop) nets.insert((*route)[hop]->descriptor.addresses[0].ip[13]);
    EXPECT_EQ(nets.size(), 3u);
  }
  EXPECT_EQ(error(view, 4), Errc::ok);
  EXPECT_EQ(error(view, 5), Errc::no_route) << "four networks in all";
  policy.distinct_networks = false;
  EXPECT_EQ(error(view, 5), Errc::ok);
}

TEST_F(RouteTest, WhatOneNetworkIs) {
  const auto share = [](const char* a, const char* b) {
    Descriptor one;
    Descriptor other;
    one.addresses = {*SocketAddress::parse("203.0.113.1:1"), *SocketAddress::parse(a)};
    other.addresses = {*SocketAddress::parse(b)};
    return share_network(one, other);
  };
  EXPECT_TRUE(share("192.0.2.1:1", "192.0.200.2:9"));
  EXPECT_FALSE(share("192.0.2.1:1", "192.1.2.1:1"));
  EXPECT_TRUE(share("[2001:db8:1::1]:1", "[2001:db8:2::1]:1"));
  EXPECT_FALSE(share("[2001:db8::1]:1", "[2001:db9::1]:1"));
  EXPECT_FALSE(share("127.0.0.1:1", "127.0.0.1:2"));
  EXPECT_FALSE(share("[::1]:1", "[::1]:2"));
  EXPECT_FALSE(share("[::2]:1", "0.0.0.2:1")) << "a mapped address is IPv4";
}

TEST_F(RouteTest, FirstHopsAreFewAndStable) {
  const View view = network(40);
  const auto first = census(view, 3, 0, 500);
  EXPECT_EQ(first.size(), 2u);
  EXPECT_EQ(guards.ids().size(), 2u);
  const auto kept = guards.ids();
  EXPECT_GT(census(view, 3, 1, 500).size(), 30u) << "the others are drawn from all";
  EXPECT_EQ(guards.ids(), kept);
  policy.guards = 0;
  EXPECT_GT(census(view, 3, 0, 500).size(), 30u);
}

TEST_F(RouteTest, AGuardThatRefusesKeepsItsPlaceAndIsAskedLater) {
  const View view = network(40);
  EXPECT_EQ(census(view, 3, 0, 200).size(), 2u);
  const auto kept = guards.ids();
  history.refused(kept[0], now);
  const auto while_busy = census(view, 3, 0, 200);
  ASSERT_EQ(while_busy.size(), 1u);
  EXPECT_TRUE(while_busy.contains(kept[1]));
  history.refused(kept[1], now);
  EXPECT_EQ(census(view, 3, 0, 500).size(), 2u) << "all are busy: nobody else is let in";
  now.mono += std::chrono::seconds(6);
  EXPECT_EQ(census(view, 3, 0, 200).size(), 2u);
  EXPECT_EQ(guards.ids(), kept);
  EXPECT_EQ(history.reliability(kept[0], now), 1.0) << "nothing is held against it";
}

TEST_F(RouteTest, AGuardThatIsGoneIsReplaced) {
  ASSERT_EQ(error(network(40), 3), Errc::ok);
  const auto before = guards.ids();
  auto left = relays(40);
  std::erase_if(left, [&](const EntryPtr& e) { return e->descriptor.id == before[0]; });
  left.push_back(entry_of(kTarget));
  ASSERT_EQ(error(View(left), 3), Errc::ok);
  ASSERT_EQ(guards.ids().size(), 2u);
  EXPECT_EQ(guards.ids()[0], before[1]);
  EXPECT_NE(guards.ids()[1], before[0]);
}

TEST_F(RouteTest, AFailingGuardIsReplacedAndComesBack) {
  const View view = network(40);
  ASSERT_EQ(error(view, 3), Errc::ok);
  const auto before = guards.ids();
  for (int i = 0; i < 5; ++i) history.failed(before[0], now);
  const auto during = census(view, 3, 0, 200);
  EXPECT_EQ(during.size(), 2u);
  EXPECT_FALSE(during.contains(before[0]));
  EXPECT_TRUE(during.contains(before[1]));
  now = at(3000s);
  const auto after = census(view, 3, 0, 200);
  EXPECT_EQ(after.size(), 2u);
  EXPECT_TRUE(after.contains(before[0])) << "the oldest first, when failures have faded";
  EXPECT_TRUE(after.contains(before[1]));
}

TEST_F(RouteTest, AnOutageOfOursDoesNotWalkThroughAllRelays) {
  const View view = network(40);
  ASSERT_EQ(error(view, 3), Errc::ok);
  const auto before = guards.ids();
  guards.confirmed(before[0], now);
  for (int i = 0; i < 60; ++i) {
    const auto route = draw(view, 3);
    ASSERT_TRUE(route);
    history.failed((*route)[0]->descriptor.id, now);
    ASSERT_LE(guards.ids().size(), 4u);
  }
  EXPECT_EQ(guards.ids()[0], before[0]);
  EXPECT_EQ(guards.ids()[1], before[1]);
  now = at(5000s);
  const auto after = census(view, 3, 0, 200);
  EXPECT_EQ(after.size(), 2u);
  EXPECT_TRUE(after.contains(before[0]) && after.contains(before[1]));
}

/// A newcomer through whose guards no circuit was built yet: they may all be dead.
TEST_F(RouteTest, BeforeTheFirstCircuitEightGuardsAreTriedAndNoMore) {
  const View view = network(40);
  std::set<NodeId> tried;
  for (int i = 0; i < 200; ++i) {
    const auto route = draw(view, 3);
    ASSERT_TRUE(route);
    tried.insert((*route)[0]->descriptor.id);
    history.failed((*route)[0]->descriptor.id, now);
  }
  EXPECT_EQ(tried.size(), 8u);
  EXPECT_EQ(guards.ids().size(), 8u);
}

TEST_F(RouteTest, WhenNoGuardSuitsTheDestinationAnotherIsUsed) {
  policy.guards = 1;
  const View view = network(5);
  ASSERT_EQ(error(view, 2), Errc::ok);
  const NodeId guard = guards.ids().at(0);
  for (int i = 0; i < 50; ++i) {
    const auto route = draw(view, 2, guard);
    ASSERT_TRUE(route);
    EXPECT_NE(route->front()->descriptor.id, guard);
  }
  EXPECT_EQ(guards.ids().size(), 2u);
  EXPECT_EQ(guards.ids()[0], guard);
}

TEST_F(RouteTest, FailingRelaysAreAvoidedButBetterThanNone) {
  policy.guards = 0;
  const View view = network(10);
  for (int i = 0; i < 100; ++i) history.failed(id_of(3), now);
  const auto counts = census(view, 1, 0, 2000);
  ASSERT_TRUE(counts.contains(id_of(3)));
  EXPECT_LT(counts.at(id_of(3)), 40);  // expected 2000 * 0.05 / 9.05 = 11
  for (std::uint64_t relay = 1; relay <= 10; ++relay) {
    for (int i = 0; i < 100; ++i) history.failed(id_of(relay), now);
  }
  EXPECT_EQ(error(view, 5), Errc::ok);
  policy.guards = 2;
  EXPECT_EQ(error(view, 5), Errc::ok);
}

// ---- IP families --------------------------------------------------------------------------------

SocketAddress v6_of(std::uint64_t node) {
  SocketAddress out = *SocketAddress::parse("[2001:100::1]:4433");
  out.ip[3] = static_cast<std::uint8_t>(node);  // a /32 of its own
  return out;
}

/// Relays 1 to 6 have IPv4, 7 to 9 IPv6, 10 to 12 both; the destination what is said.
View mixed(Families target) {
  std::vector<EntryPtr> all;
  const auto add = [&](std::uint64_t node, Families families) {
    auto entry = entry_of(node);
    if (families == kIpv6) entry->descriptor.addresses = {v6_of(node)};
    if (families == kBothFamilies) entry->descriptor.addresses.push_back(v6_of(node));
    all.push_back(entry);
    return entry;
  };
  for (std::uint64_t node = 1; node <= 12; ++node) {
    add(node, node <= 6 ? kIpv4 : node <= 9 ? kIpv6 : kBothFamilies);
  }
  add(kTarget, target)->descriptor.relay = false;
  return View(std::move(all));
}

TEST_F(RouteTest, HopsOfOneRouteHaveAFamilyInCommon) {
  for (const std::size_t second_guards : {std::size_t{0}, std::size_t{4}}) {
    for (const Families own : {kIpv4, kIpv6, kBothFamilies}) {
      for (const Families target : {kIpv4, kIpv6, kBothFamilies}) {
        const View view = mixed(target);
        policy = {.second_guards = second_guards, .families = own};
        guards = Guards();
        // Two hops: the second keeps to the few, whatever the destination says.
        for (unsigned count = second_guards > 0 ? 3 : 2; count <= 5; ++count) {
          for (int i = 0; i < 50; ++i) {
            const auto route = draw(view, count);
            ASSERT_TRUE(route);
            Families before = own;
            for (const EntryPtr& hop : *route) {
              EXPECT_NE(before & families_of(*hop), 0) << int(own) << int(target) << count;
              before = families_of(*hop);
            }
          }
        }
      }
    }
  }
}

TEST_F(RouteTest, WhereTheDestinationIsDoesNotChooseTheGuards) {
  policy.families = kBothFamilies;
  std::map<NodeId, int> by_v4, by_v6;
  {
    const View view = mixed(kIpv4);
    by_v4 = census(view, 3, 0, 300);
  }
  by_v6 = census(mixed(kIpv6), 3, 0, 300);
  ASSERT_EQ(by_v4.size(), 2u);
  ASSERT_EQ(by_v6.size(), 2u);
  for (const auto& [guard, count] : by_v4) EXPECT_TRUE(by_v6.contains(guard));
}

TEST_F(RouteTest, WithoutARelayOfTheFamilyAnyIsTried) {
  auto all = relays(6);
  auto target = entry_of(kTarget);
  target->descriptor.addresses = {v6_of(kTarget)};
  all.push_back(target);
  EXPECT_EQ(error(View(std::move(all)), 3), Errc::ok);
}

TEST_F(RouteTest, RelaysAreDrawnByTheirWeight) {
  policy.guards = 0;
  std::vector<EntryPtr> all{entry_of(kTarget)};
  std::vector<double> weights;
  // What they claim moves those that were measured, between 1 / sqrt(2) and sqrt(2) of the median.
  for (std::uint64_t i = 1; i <= 9; ++i) {
    all.push_back(entry_of(i, static_cast<std::uint32_t>(i * 500)));
    const bool measured = i % 2 == 0;
    if (measured) history.succeeded(std::array{id_of(i)}, 1ms, now);
    const double claim = static_cast<double>(i) / 5;
    weights.push_back(measured ? std::clamp(claim, std::sqrt(0.5), std::sqrt(2)) : 1);
  }
  history.failed(id_of(9), now);
  weights.back() /= 2;
  all[0] = [] {
    auto target = entry_of(kTarget);
    target->descriptor.relay = false;
    return target;
  }();
  const View view(all);
  constexpr int kDraws = 9000;
  auto counts = census(view, 1, 0, kDraws);
  double sum = 0;
  for (const double weight : weights) sum += weight;
  double chi_square = 0;
  for (std::uint64_t i = 1; i <= 9; ++i) {
    const double expected = kDraws * weights[i - 1] / sum;
    const double off = counts[id_of(i)] - expected;
    chi_square += off * off / expected;
  }
  EXPECT_LT(chi_square, 26.1);  // 8 degrees of freedom: one in a thousand
}

// A view that is gone leaves its memory to the next one: where things stand must not matter.
TEST_F(RouteTest, WhatIsKnownOfAViewIsNotTakenForTheNextOneAtTheSamePlace) {
  policy.guards = policy.second_guards = 0;
  for (std::uint64_t i = 1; i <= 12; ++i) {  // the first of them slow, some of the others fast
    history.succeeded(std::array{id_of(i)}, i <= 6 || i == 9 ? 900ms : 15ms, now);
  }
  const auto view_of = [](std::uint64_t first) {
    auto all = relays(6, first);
    auto target = entry_of(kTarget);
    target->descriptor.relay = false;
    all.push_back(target);
    return View(std::move(all));
  };
  const RelayHistory fresh = history;
  View view = view_of(1);
  const auto* const place = view.relays().data();
  ASSERT_TRUE(draw(view, 3));
  view = std::as_const(*std::make_unique<View>(view_of(7)));
  ASSERT_EQ(view.relays().data(), place);

  const auto drawn_by = [&](const RelayHistory& by) {
    std::vector<NodeId> out;
    SeededRng chance(7);
    for (int i = 0; i < 50; ++i) {
      const auto route =
          draw_route(view, kSelf, id_of(kTarget), 3, policy, guards, by, now, chance);
      EXPECT_TRUE(route);
      if (!route) break;
      for (const EntryPtr& hop : *route) out.push_back(hop->descriptor.id);
    }
    return out;
  };
  EXPECT_EQ(drawn_by(history), drawn_by(fresh));
}

TEST_F(RouteTest, AnUnlikelyRelayIsFoundWhenItIsTheOnlyOne) {
  policy.guards = 1;
  // One relay suits among a thousand that share the network of the first hop.
  std::vector<EntryPtr> all;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    auto entry = entry_of(1000 + i, 1'000'000);
    entry->descriptor.addresses = {SocketAddress::v4(10, 77, 1, 1, 4433)};
    all.push_back(entry);
  }
  all.push_back(entry_of(1, 1));
  auto target = entry_of(kTarget);
  target->descriptor.relay = false;
  all.push_back(target);
  for (int i = 0; i < 20; ++i) {
    const auto route = draw(View(all), 2);
    ASSERT_TRUE(route);
    EXPECT_EQ((*route)[1]->descriptor.id, id_of(1));
  }
}

TEST_F(RouteTest, TheSameSeedDrawsTheSameRoutes) {
  const View view = network(30);
  const auto routes_of = [&](std::uint64_t seed) {
    SeededRng own(seed);
    Guards fresh;
    std::vector<NodeId> out;
    for (int i = 0; i < 20; ++i) {
      const auto route =
          draw_route(view, kSelf, id_of(kTarget), 3, policy, fresh, history, now, own);
      for (const EntryPtr& hop : *route) out.push_back(hop->descriptor.id);
    }
    return out;
  };
  EXPECT_EQ(routes_of(1), routes_of(1));
  EXPECT_NE(routes_of(1), routes_of(2));
}

}  // namespace
}  // namespace qudag::netmap
