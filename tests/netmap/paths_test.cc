// Who steers paths, and by how much (attacks on route choice, docs/attacks.md): relays that claim,
// are fast on purpose and say that they are idle while others are slow, loaded and under suspicion;
// destinations that claim networks; first hops that speak ill of the second.
#include "netmap/fixture.h"
#include "netmap/routes/route.h"

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(5'000);
constexpr std::uint64_t kTarget = 4'000;
constexpr unsigned kHops = 3;

/// In a network of its own, as the product makes it: it claims nothing.
std::shared_ptr<Entry> plain(std::uint64_t number, std::uint32_t claim = 0) {
  auto out = entry_of(number, claim);
  out->descriptor.addresses = {SocketAddress::v4(static_cast<std::uint8_t>(10 + number / 250),
                                                 static_cast<std::uint8_t>(number % 250), 0, 1,
                                                 4433)};
  return out;
}

std::shared_ptr<Entry> target(std::uint64_t number = kTarget) {
  auto out = plain(number);
  out->descriptor.relay = false;
  return out;
}

/// The first ones are liars: they claim as much as can be claimed.
View map_of(std::uint64_t relays, std::uint64_t liars) {
  std::vector<EntryPtr> all{target()};
  for (std::uint64_t i = 1; i <= relays; ++i) {
    all.push_back(plain(i, i <= liars ? std::numeric_limits<std::uint32_t>::max() : 0));
  }
  return View(std::move(all));
}

struct Shares {
  std::array<std::map<NodeId, int>, kHops> seen;
  int draws = 0;

  void add(const std::vector<EntryPtr>& route) {
    ++draws;
    for (unsigned hop = 0; hop < kHops; ++hop) ++seen[hop][route[hop]->descriptor.id];
  }
  double of(unsigned hop, std::uint64_t number) const {
    const auto at = seen[hop].find(id_of(number));
    return at == seen[hop].end() ? 0 : static_cast<double>(at->second) / draws;
  }
  double most(unsigned hop) const {
    int out = 0;
    for (const auto& [id, count] : seen[hop]) out = std::max(out, count);
    return static_cast<double>(out) / draws;
  }
};

// ---- claims -------------------------------------------------------------------------------------

/// A new node each time. One liar of 200 had 42 times its equal share of the first hops (21 % of
/// all).
TEST(Paths, WhoClaimsCapacityGainsNothingBeforeItIsMeasured) {
  constexpr int kNodes = 8'000;
  for (const std::uint64_t liars : {0, 1, 4, 10}) {
    const View view = map_of(200, liars);
    const RelayHistory history;
    for (const std::size_t second_guards : {0, 4}) {
      SeededRng rng(3);
      Shares shares;
      for (int i = 0; i < kNodes; ++i) {
        Guards guards;
        const auto route =
            draw_route(view, kSelf, id_of(kTarget), kHops, {.second_guards = second_guards}, guards,
                       history, at(1000s), rng);
        ASSERT_TRUE(route);
        shares.add(*route);
      }
      for (unsigned hop = 0; hop < kHops; ++hop) {
        double together = 0;
        for (std::uint64_t i = 1; i <= liars; ++i) together += shares.of(hop, i);
        // Forty draws are an equal share: the most of 200 is some way above it by chance.
        EXPECT_LE(shares.most(hop) * 200, 2) << liars << " liars, hop " << hop + 1;
        EXPECT_LE(together, static_cast<double>(liars) / 200 * 1.25 + 0.004);
      }
    }
  }
}

TEST(Paths, AClaimMovesAMeasuredRelayByTwoToOneAtMost) {
  std::vector<EntryPtr> all;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    const std::uint32_t claim = i == 1 ? 0 : i == 2 ? UINT32_MAX : 1'000;
    all.push_back(plain(i, claim));
  }
  const View view(std::move(all));
  double low = 1e9;
  double high = 0;
  for (std::size_t i = 0; i < view.relays().size(); ++i) {
    low = std::min(low, view.claim(i));
    high = std::max(high, view.claim(i));
  }
  EXPECT_NEAR(high / low, 2, 1e-9);
}

/// Everything at once: the liars are fast on purpose, are idle or say so, claim most; the others
/// are slow, full, and suspected by every witness that there is, as liars can bring about.
TEST(Paths, NobodyIsAboveTwiceItsEvenShareWithEverythingTogether) {
  constexpr int kDraws = 60'000;
  for (const std::uint64_t liars : {1, 4, 10}) {
    std::vector<EntryPtr> all{target()};
    RelayHistory history;
    const Now now = at(1000s);
    for (std::uint64_t i = 1; i <= 200; ++i) {
      all.push_back(plain(i, i <= liars ? std::numeric_limits<std::uint32_t>::max() : 1'000));
      for (int round = 0; round < 60; ++round) {
        history.succeeded(std::array{id_of(i)}, i <= liars ? 1ms : 900ms, now);
      }
      if (i <= liars) continue;
      EXPECT_TRUE(history.loads().heard(id_of(i), link_number(i), 65'535, now));
      for (std::uint64_t liar = 1; liar <= liars; ++liar) {
        for (int round = 0; round < 5; ++round) history.suspect(id_of(i), id_of(liar), now);
      }
    }
    const View view(std::move(all));
    SeededRng rng(9);
    Guards guards;
    Shares shares;
    for (int i = 0; i < kDraws; ++i) {
      const auto route =
          draw_route(view, kSelf, id_of(kTarget), kHops, {.guards = 0}, guards, history, now, rng);
      ASSERT_TRUE(route);
      shares.add(*route);
    }
    std::printf("%2d liars of 200 with everything on their side: %.2f, %.2f, %.2f x even\n",
                static_cast<int>(liars), shares.most(0) * 200, shares.most(1) * 200,
                shares.most(2) * 200);
    for (unsigned hop = 0; hop < kHops; ++hop) EXPECT_LE(shares.most(hop) * 200, 2);
    EXPECT_GT(shares.most(0) * 200, 1.5) << "it does gain: the bound is what holds it";
  }
}

/// With four guards in use and the other three full, the idle one has at most twice its equal
/// share.
TEST(Paths, AGuardGetsTwiceItsEvenPartAtMost) {
  const View view = map_of(40, 0);
  RelayHistory history;
  const Now now = at(1000s);
  SeededRng rng(4);
  Guards guards;
  const RoutePolicy policy{.guards = 4};
  const auto draw = [&] {
    auto route = draw_route(view, kSelf, id_of(kTarget), kHops, policy, guards, history, now, rng);
    EXPECT_TRUE(route);
    return route->front()->descriptor.id;
  };
  draw();
  const auto ids = guards.ids();
  for (std::size_t i = 1; i < ids.size(); ++i) {
    EXPECT_TRUE(history.loads().heard(ids[i], link_number(i), 65'535, now));
  }
  std::map<NodeId, int> begun;
  for (int i = 0; i < 1'000; ++i) {
    const NodeId first = draw();
    guards.circuits.began(first, now);
    ++begun[first];
  }
  EXPECT_LE(begun[ids[0]], 502);
  EXPECT_GE(begun[ids[0]], 450);
}

// ---- destinations -------------------------------------------------------------------------------

/// A client of 60 relays.
class Client : public ::testing::Test {
 protected:
  Client() {
    for (std::uint64_t i = 1; i <= 60; ++i) all_.push_back(plain(i));
    all_.push_back(target());
    history_.succeeded(std::array{id_of(1), id_of(2)}, 20ms, now);
    draw(id_of(kTarget));
  }
  std::vector<EntryPtr> draw(const NodeId& to) {
    auto route = draw_route(View(all_), kSelf, to, kHops, policy, guards, history_, now, rng);
    EXPECT_TRUE(route);
    return route ? *route : std::vector<EntryPtr>{};
  }
  static std::vector<NodeId> ids_of(const std::vector<EntryPtr>& route) {
    std::vector<NodeId> out;
    for (const EntryPtr& hop : route) out.push_back(hop->descriptor.id);
    return out;
  }
  using Pairs = std::map<std::pair<NodeId, NodeId>, double>;
  /// How often each pair begins a route. `fails`: no build to it ever succeeds.
  Pairs pairs_to(const View& view, const NodeId& to, int draws, bool fails) {
    Pairs out;
    Guards own = guards;
    for (int i = 0; i < draws; ++i) {
      const auto route = draw_route(view, kSelf, to, kHops, policy, own, history_, now, rng);
      EXPECT_TRUE(route);
      ++out[{(*route)[0]->descriptor.id, (*route)[1]->descriptor.id}];
      if (fails && i % 100 == 0) history_.broke(ids_of(*route), SIZE_MAX, now);
    }
    EXPECT_EQ(own.ids(), guards.ids());
    EXPECT_EQ(own.ids(Layer::second), guards.ids(Layer::second));
    return out;
  }

  RoutePolicy policy{.second_guards = 4};
  std::vector<EntryPtr> all_;
  Guards guards;
  RelayHistory history_;
  Now now = at(1000s);
  SeededRng rng{8};
};

TEST_F(Client, TheFirstTwoHopsDoNotDependOnTheDestination) {
  constexpr int kDraws = 100'000;
  // One that says it is where the guards are, first and second; one that ruins every build.
  auto claims = target(4'001);
  claims->descriptor.addresses.clear();
  for (const NodeId& id : guards.ids()) {
    claims->descriptor.addresses.push_back(View(all_).find(id)->descriptor.addresses[0]);
  }
  for (const NodeId& id : guards.ids(Layer::second)) {
    if (claims->descriptor.addresses.size() == limits::kDescriptorAddressesMax) break;
    claims->descriptor.addresses.push_back(View(all_).find(id)->descriptor.addresses[0]);
  }
  all_.push_back(claims);
  all_.push_back(target(4'002));
  const View view(all_);
  const Pairs plain_one = pairs_to(view, id_of(kTarget), kDraws, false);
  EXPECT_EQ(plain_one.size(), 2u * 4u);
  for (const std::uint64_t other : {4'001, 4'002}) {
    const Pairs pairs = pairs_to(view, id_of(other), kDraws, other == 4'002);
    ASSERT_EQ(pairs.size(), plain_one.size());
    double chi_square = 0;
    for (const auto& [pair, count] : plain_one) {
      ASSERT_TRUE(pairs.contains(pair));
      chi_square += std::pow(count - pairs.at(pair), 2) / (count + pairs.at(pair));
    }
    EXPECT_LT(chi_square, 24.3) << other;  // 7 degrees of freedom: one in a thousand
  }
}

TEST_F(Client, ADestinationThatIsAGuardIsPassedOverForItselfOnly) {
  for (const Layer layer : {Layer::first, Layer::second}) {
    const NodeId hit = guards.ids(layer)[0];
    const auto firsts = guards.ids();
    const auto seconds = guards.ids(Layer::second);
    std::set<NodeId> seen;
    for (int i = 0; i < 300; ++i) {
      const auto route = ids_of(draw(hit));
      EXPECT_EQ(std::ranges::count(route, hit), 1);
      EXPECT_EQ(std::ranges::count(firsts, route[0]), 1);
      EXPECT_EQ(std::ranges::count(seconds, route[1]), 1);
      seen.insert(route[layer == Layer::first ? 0 : 1]);
    }
    EXPECT_EQ(seen.size(), layer == Layer::first ? 1u : 3u);
    EXPECT_EQ(guards.ids(), firsts);
    EXPECT_EQ(guards.ids(Layer::second), seconds);
  }
}

// ---- second guards ------------------------------------------------------------------------------

TEST_F(Client, SecondHopsAreFourApartFromTheFirstAndTheThirdIsAny) {
  std::set<NodeId> first;
  std::set<NodeId> second;
  std::set<NodeId> third;
  for (int i = 0; i < 1'000; ++i) {
    const auto route = ids_of(draw(id_of(kTarget)));
    first.insert(route[0]);
    second.insert(route[1]);
    third.insert(route[2]);
  }
  EXPECT_EQ(first.size(), 2u);
  EXPECT_EQ(second.size(), 4u);
  EXPECT_GT(third.size(), 50u);
  for (const NodeId& id : first) EXPECT_FALSE(second.contains(id));
}

TEST_F(Client, WhatAFirstHopSaysOfASecondCountsBehindItselfOnly) {
  const NodeId liar = guards.ids()[0];
  const auto seconds = guards.ids(Layer::second);
  for (const NodeId& one : seconds) guards.reached(liar, one, now);
  for (int round = 0; round < 20; ++round) {
    now.mono += 31s;
    for (std::size_t i = 1; i < seconds.size(); ++i) {
      guards.not_reached(liar, seconds[i], now);
      history_.broke(std::array{liar, seconds[i], id_of(9), id_of(kTarget)}, 1, now);
    }
  }
  std::map<NodeId, std::set<NodeId>> behind;
  for (int i = 0; i < 400; ++i) {
    const auto route = ids_of(draw(id_of(kTarget)));
    behind[route[0]].insert(route[1]);
  }
  EXPECT_EQ(behind[liar].size(), 2u) << "of half of them it is believed";
  EXPECT_EQ(behind[guards.ids()[1]].size(), 4u);
  EXPECT_EQ(guards.ids(Layer::second), seconds) << "nobody was exchanged";
  now.mono += 2h;
  for (int i = 0; i < 400; ++i) behind[draw(id_of(kTarget))[0]->descriptor.id].clear();
  for (int i = 0; i < 400; ++i) {
    const auto route = ids_of(draw(id_of(kTarget)));
    behind[route[0]].insert(route[1]);
  }
  EXPECT_EQ(behind[liar].size(), 4u) << "it is asked again";
}

/// One word moves nobody; two, of different first hops, bring in as many others as there are in use
/// and no more, and when they are not said any more the first ones are back.
TEST_F(Client, SecondsThatTwoFirstHopsDoNotReachHaveOthersBesideThem) {
  const auto seconds = guards.ids(Layer::second);
  const auto drawn = [this] {
    std::set<NodeId> out;
    for (int i = 0; i < 400; ++i) out.insert(ids_of(draw(id_of(kTarget)))[1]);
    return out;
  };
  const auto none_is_reached_by = [this](const NodeId& first) {
    for (const NodeId& one : guards.ids(Layer::second)) guards.not_reached(first, one, now);
  };
  for (const NodeId& one : seconds) guards.reached(guards.ids()[0], one, now);
  none_is_reached_by(guards.ids()[0]);
  EXPECT_EQ(drawn(), (std::set<NodeId>(seconds.begin(), seconds.end())));
  none_is_reached_by(guards.ids()[1]);
  std::set<NodeId> others = drawn();
  EXPECT_EQ(others.size(), 4u);
  for (const NodeId& id : seconds) EXPECT_FALSE(others.contains(id));
  none_is_reached_by(guards.ids()[0]);
  none_is_reached_by(guards.ids()[1]);
  drawn();
  EXPECT_EQ(guards.ids(Layer::second).size(), 8u) << "nobody is walked through all relays";
  now.mono += 2h;
  EXPECT_EQ(drawn(), (std::set<NodeId>(seconds.begin(), seconds.end())));
}

/// A newcomer may have drawn dead ones only.
TEST_F(Client, OfSecondsThatWereNeverReachedOneFirstHopIsBelieved) {
  const auto seconds = guards.ids(Layer::second);
  guards.reached(guards.ids()[0], seconds[0], now);
  for (const NodeId& one : seconds) guards.not_reached(guards.ids()[1], one, now);
  std::set<NodeId> drawn;
  for (int i = 0; i < 400; ++i) drawn.insert(ids_of(draw(id_of(kTarget)))[1]);
  EXPECT_EQ(drawn.size(), 4u);
  EXPECT_TRUE(drawn.contains(seconds[0]));
  for (std::size_t i = 1; i < 4; ++i) EXPECT_FALSE(drawn.contains(seconds[i]));
}

/// What waits for our dial goes over the other guard in use; a third one sees us only if both were
/// waited for in vain for a second.
TEST_F(Client, AGuardThatDoesNotAnswerHasAnotherBesideIt) {
  const auto firsts_seen = [this] {
    std::set<NodeId> out;
    for (int i = 0; i < 100; ++i) out.insert(draw(id_of(kTarget))[0]->descriptor.id);
    return out;
  };
  const NodeId one = guards.ids()[0], other = guards.ids()[1];
  history_.unanswered(one, now);
  EXPECT_EQ(firsts_seen(), std::set<NodeId>{other});
  history_.unanswered(other, now);
  EXPECT_EQ(firsts_seen(), (std::set<NodeId>{one, other})) << "they are only slow";
  now.mono += 1s;
  const auto third = firsts_seen();
  EXPECT_EQ(third.size(), 1u);
  EXPECT_FALSE(third.contains(one) || third.contains(other));
  history_.answered(one);
  EXPECT_EQ(firsts_seen(), std::set<NodeId>{one}) << "and back";
  now.mono += 5s;
  EXPECT_EQ(firsts_seen(), (std::set<NodeId>{one, other})) << "it is asked again";
  // A dial that ended was waited for.
  history_.unanswered(one, now, true);
  history_.unanswered(other, now, true);
  EXPECT_FALSE(firsts_seen().contains(one) || firsts_seen().contains(other));
  now.mono += 29s;
  EXPECT_FALSE(firsts_seen().contains(one));
  now.mono += 1s;
  EXPECT_EQ(firsts_seen(), (std::set<NodeId>{one, other}));
}

/// Late relays are passed over for as long as there are others, and for a few seconds.
TEST_F(Client, BesideALateBuildOtherRelaysAreDrawn) {
  const auto seconds = guards.ids(Layer::second);
  std::set<NodeId> late(seconds.begin(), seconds.begin() + 3);
  for (std::uint64_t i = 20; i < 40; ++i) late.insert(id_of(i));
  for (const NodeId& id : late) history_.late(id, now);
  int third = 0;
  for (int i = 0; i < 400; ++i) {
    const auto route = ids_of(draw(id_of(kTarget)));
    EXPECT_EQ(route[1], seconds[3]);
    third += late.contains(route[2]) ? 1 : 0;
  }
  EXPECT_LE(third, 20);
  history_.late(seconds[3], now);
  std::set<NodeId> seen;
  for (int i = 0; i < 100; ++i) seen.insert(ids_of(draw(id_of(kTarget)))[1]);
  EXPECT_EQ(seen.size(), 4u) << "all are, so none is";
  now.mono += 5s;
  third = 0;
  for (int i = 0; i < 400; ++i) third += late.contains(draw(id_of(kTarget))[2]->descriptor.id);
  EXPECT_GE(third, 40) << "nothing is held against them";
}

TEST_F(Client, SmallNetworksStillHaveRoutes) {
  for (std::uint64_t relays = 1; relays <= 8; ++relays) {
    all_.clear();
    for (std::uint64_t i = 1; i <= relays; ++i) all_.push_back(plain(i));
    all_.push_back(target());
    const View view(all_);
    Guards own;
    for (int i = 0; i < 100; ++i) {
      for (unsigned count = 1; count <= std::min<std::uint64_t>(relays, 5); ++count) {
        const auto route =
            draw_route(view, kSelf, id_of(kTarget), count, policy, own, history_, now, rng);
        ASSERT_TRUE(route) << count << " of " << relays;
        const std::vector<NodeId> ids = ids_of(*route);
        EXPECT_EQ(std::set<NodeId>(ids.begin(), ids.end()).size(), count + 1);
      }
    }
    // To a relay: the others have to do.
    for (unsigned count = 1; count < relays && count <= 5; ++count) {
      EXPECT_TRUE(draw_route(view, kSelf, id_of(1), count, policy, own, history_, now, rng));
    }
  }
}

// ---- what relays say of each other --------------------------------------------------------------

TEST(Suspicion, OneWitnessCountsThreeTimesAndThenNoMore) {
  RelayHistory history;
  for (int i = 0; i < 1'000; ++i) history.suspect(id_of(1), id_of(2), at(0s));
  EXPECT_DOUBLE_EQ(history.trust(id_of(1), at(0s)), 1 / 2.5);
  EXPECT_EQ(history.reliability(id_of(1), at(0s)), 1) << "as a guard nothing is held against it";
  for (std::uint64_t i = 3; i < 40; ++i) history.suspect(id_of(1), id_of(i), at(0s));
  EXPECT_LT(history.trust(id_of(1), at(0s)), 0.1);
  EXPECT_GT(history.trust(id_of(1), at(1200s)), 0.95);
}

TEST(Suspicion, AFirstHopFailsByItsOwnLinkOnly) {
  RelayHistory history;
  const std::array route{id_of(1), id_of(2), id_of(3), id_of(4)};
  const Now now = at(0s);
  for (int i = 0; i < 100; ++i) {
    for (const std::size_t hop : {std::size_t{1}, std::size_t{2}, std::size_t{3}, SIZE_MAX}) {
      history.broke(route, hop, now);
    }
  }
  EXPECT_EQ(history.reliability(route[0], now), 1);
  EXPECT_EQ(history.trust(route[0], now), 1);
  EXPECT_LT(history.trust(route[1], now), 1);
  history.refused(route[0], now, false);
  EXPECT_FALSE(history.busy(route[0], now));
  EXPECT_LT(history.chance(route[0], now), 0.1);
  history.broke(route, 0, now);
  EXPECT_EQ(history.reliability(route[0], now), 0.5);
}

/// A relay that says of all others that it cannot reach them loses more than any of them.
TEST(Suspicion, WhoFramesOthersLosesMost) {
  RelayHistory history;
  const Now now = at(0s);
  for (std::uint64_t other = 10; other < 40; ++other) {
    for (int i = 0; i < 5; ++i) {
      history.broke(std::array{id_of(2), id_of(1), id_of(other), id_of(100)}, 2, now);
    }
  }
  for (std::uint64_t other = 10; other < 40; ++other) {
    EXPECT_LT(4 * history.trust(id_of(1), now), history.trust(id_of(other), now));
  }
}

/// Relays of one machine, each with an address in front that is in a network of its own.
TEST(Suspicion, AFalseAddressInFrontPutsNoTwoOfOneNetworkIntoOneRoute) {
  const auto beside = [](std::uint64_t number) {
    auto out = std::make_shared<Entry>(*plain(number));
    const SocketAddress real = SocketAddress::v4(45, 7, 1, 1, static_cast<std::uint16_t>(number));
    out->descriptor.addresses = {out->descriptor.addresses[0], real};
    return out;
  };
  EXPECT_TRUE(share_network(beside(1)->descriptor, beside(2)->descriptor));
  EXPECT_TRUE(share_network(beside(1)->descriptor, plain(1)->descriptor));
  EXPECT_FALSE(share_network(beside(1)->descriptor, plain(2)->descriptor));
}

/// A relay that lists an address in the network of others keeps itself out of their company, and
/// none of them out of other routes. It is one network: descriptors with more are not valid.
TEST(Suspicion, ClaimedNetworksKeepOutTheirClaimantOnly) {
  std::vector<EntryPtr> all{target()};
  const auto with_v6 = [](std::uint64_t number) {
    auto out = plain(number);
    out->descriptor.addresses.push_back(
        *SocketAddress::parse("[2a01:1::" + std::to_string(number) + "]:1"));
    return out;
  };
  for (std::uint64_t i = 1; i <= 12; ++i) all.push_back(i <= 3 ? with_v6(i) : plain(i));
  all.push_back(with_v6(13));
  const View view(std::move(all));
  SeededRng rng(6);
  const RelayHistory history;
  std::map<NodeId, int> behind;  // the claimant
  std::map<NodeId, int> all_seconds;
  int together = 0;
  for (int i = 0; i < 20'000; ++i) {
    Guards guards;
    const auto route =
        draw_route(view, kSelf, id_of(kTarget), 2, {.guards = 0}, guards, history, at(1000s), rng);
    ASSERT_TRUE(route);
    const NodeId first = (*route)[0]->descriptor.id;
    const NodeId second = (*route)[1]->descriptor.id;
    if (first == id_of(13)) ++behind[second];
    together +=
        (second == id_of(13) && first <= id_of(3)) || (first == id_of(13) && second <= id_of(3));
    ++all_seconds[second];
  }
  for (std::uint64_t i = 4; i <= 12; ++i) EXPECT_GT(behind[id_of(i)], 80) << i;
  for (std::uint64_t i = 1; i <= 13; ++i) EXPECT_GT(all_seconds[id_of(i)], 800) << i;
  EXPECT_EQ(together, 0);
}

}  // namespace
}  // namespace qudag::netmap
