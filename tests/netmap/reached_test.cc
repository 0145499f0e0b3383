// Who counts as a relay, whose descriptors have a place, and whom a relay tries: attacks of who
// makes identities by the thousand, names other people's addresses, or says what is not so.
#include "netmap/fixture.h"
#include "netmap/reached/belief.h"
#include "netmap/reached/tries.h"
#include "netmap/routes/route.h"

#include <set>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr NodeLink kStranger = node_link(11);
constexpr NodeLink kHonest = node_link(22);
constexpr NodeLink kAnother = node_link(23);

/// The id of identity_of(), which takes time to make.
NodeId relay_id(std::uint64_t number) {
  static std::map<std::uint64_t, NodeId> made;
  const auto [at, is_new] = made.try_emplace(number);
  if (is_new) at->second = identity_of(number).id();
  return at->second;
}

SocketAddress address_of(std::uint64_t number) { return descriptor_of(number).addresses.front(); }

class ReachedTest : public ::testing::Test {
 protected:
  ReachedTest() { make({}); }
  void make(NetmapOptions options) {
    options.only_reached = true;
    netmap = std::make_unique<Netmap>(options, rng, sink);
  }
  void ready(NodeLink link) { netmap->on_link_ready(link, now); }
  void dialed(NodeLink link, std::uint64_t number) {
    netmap->on_link_ready(link, now, {.dialed = relay_id(number), .remote = address_of(number)});
  }
  void give(NodeLink link, Bytes raw) {
    ASSERT_TRUE(netmap->on_frame(link, kDescriptor, raw, now));
    settle();
  }
  void show(NodeLink link, const std::vector<std::uint64_t>& numbers) {
    std::vector<wire::DigestEntry> entries;
    for (const std::uint64_t i : numbers) {
      entries.push_back({relay_id(i), rank_in(raw_of(i))});
    }
    std::ranges::sort(entries);
    ASSERT_TRUE(netmap->on_frame(link, kDigest, digest_of(entries), now));
    settle();
  }
  void settle() {
    for (int i = 0; i < 1000 && netmap->next_deadline() <= now.mono; ++i) netmap->on_time(now);
  }
  void pass(Duration time) {
    now = at((now.mono + time).time_since_epoch());
    settle();
  }
  bool counts(std::uint64_t number) const {
    return std::ranges::any_of(netmap->view()->relays(), [&](const EntryPtr& relay) {
      return relay->descriptor.id == relay_id(number);
    });
  }
  bool holds(std::uint64_t number) const {
    return netmap->view()->find(relay_id(number)) != nullptr;
  }
  std::size_t told(NodeLink link) const { return sink.count(link, wire::ControlType::descriptor); }
  /// Every relay that is to be dialed in that time.
  std::vector<RelayTry> tries(Duration time) {
    std::vector<RelayTry> out;
    for (const TimePoint end = now.mono + time; now.mono < end; pass(100ms)) {
      while (const auto next = netmap->next_try(now)) out.push_back(*next);
    }
    return out;
  }

  SeededRng rng{1};
  RecordingSink sink;
  std::unique_ptr<Netmap> netmap;
  Now now = at(1s);
};

TEST_F(ReachedTest, ARelayThatNobodyReachedIsNeverDrawnAndNeverPassedOn) {
  ready(kStranger);
  ready(kHonest);
  give(kStranger, raw_of(1));
  EXPECT_TRUE(holds(1));
  EXPECT_FALSE(counts(1));
  EXPECT_EQ(told(kHonest), 0u);
  const auto first = tries(2s);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].at, address_of(1));
  const auto later = tries(20min);
  EXPECT_GE(later.size(), 4u) << "it may have been away";
  EXPECT_LE(later.size(), 8u);
  EXPECT_FALSE(counts(1));
  sink.take();
  pass(100s);
  ASSERT_TRUE(netmap->on_frame(kHonest, kAsk, ask_of({}), now));
  settle();
  EXPECT_GE(sink.count(kHonest, wire::ControlType::summary), 1u);
  EXPECT_EQ(sink.count(kHonest, wire::ControlType::digest), 1u);
  for (const Frame& frame : sink.frames) {
    if (frame.type == kDigest) {
      EXPECT_EQ(wire::DigestView::parse(frame.body)->size(), 0u) << "digests do not show it";
    } else if (const auto summary = wire::parse_summary(frame.body)) {
      for (const auto& part : summary->parts) EXPECT_EQ(part.count, 0u) << "nor summaries";
    }
  }
}

TEST_F(ReachedTest, OneThatWasReachedCountsAtOnceAndIsPassedOn) {
  ready(kStranger);
  ready(kHonest);
  give(kStranger, raw_of(1));
  ASSERT_EQ(tries(2s).size(), 1u);
  dialed(node_link(33), 1);
  settle();
  EXPECT_TRUE(counts(1));
  EXPECT_EQ(told(kHonest), 1u);
  // The same when the link was there before the descriptor.
  dialed(node_link(44), 2);
  give(node_link(44), raw_of(2));
  EXPECT_TRUE(counts(2));
}

/// Its identity is proven by that, and not that anybody reaches it where it says it is.
TEST_F(ReachedTest, ALinkElsewhereThanWhatItPublishesProvesNothing) {
  netmap->on_link_ready(kHonest, now, {.dialed = relay_id(1), .remote = address_of(7)});
  give(kHonest, raw_of(1));
  EXPECT_FALSE(counts(1));
}

TEST_F(ReachedTest, WithOtherAddressesItHasToBeReachedAnew) {
  dialed(kHonest, 1);
  give(kHonest, raw_of(1));
  ASSERT_TRUE(counts(1));
  netmap->on_link_closed(kHonest);
  ready(kStranger);
  Descriptor moved = descriptor_of(1);
  moved.published += 1;
  moved.addresses = {SocketAddress::v4(10, 99, 0, 1, 1)};
  give(kStranger, signed_by(identity_of(1), moved));
  EXPECT_TRUE(counts(1)) << "for a moment, in which it is tried";
  const auto again = tries(2s);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].at, moved.addresses[0]);
  pass(6min);
  EXPECT_FALSE(counts(1));
}

TEST_F(ReachedTest, OneThatIsGoneCountsNoLongerUnlessNobodyIsReached) {
  dialed(kHonest, 1);
  give(kHonest, raw_of(1));
  netmap->on_link_closed(kHonest);
  static_cast<void>(tries(8h));
  EXPECT_TRUE(counts(1)) << "nobody was reached: it may be we who are cut off";
  for (int i = 0; i < 48; ++i) {
    static_cast<void>(tries(10min));
    dialed(node_link(100), 2);
    if (i == 0) give(node_link(100), raw_of(2));
    netmap->on_link_closed(node_link(100));
  }
  EXPECT_FALSE(counts(1));
}

// ---- relays that die ----------------------------------------------------------------------------

class DyingTest : public ReachedTest {
 protected:
  DyingTest() {
    for (const std::uint64_t i : {1, 2, 3}) reach(i);
    settle();
    sink.frames.clear();
  }
  static NodeLink link_of(std::uint64_t number) { return node_link(100 + number); }
  void reach(std::uint64_t number) {
    static_cast<void>(netmap->add(raw_of(number), now));
    netmap->on_link_ready(
        link_of(number), now,
        {.dialed = relay_id(number), .peer = relay_id(number), .remote = address_of(number)});
  }
  void falls_silent(std::uint64_t number) {
    netmap->on_link_silent(link_of(number), now);
    netmap->on_link_closed(link_of(number));
  }
  std::size_t tried(std::uint64_t number, Duration time) {
    const auto all = tries(time);
    return static_cast<std::size_t>(std::ranges::count_if(
        all, [&](const RelayTry& one) { return one.id == relay_id(number); }));
  }
};

TEST_F(DyingTest, WhoFellSilentIsAskedAtOnceAndShownNoMoreIfItDoesNotAnswer) {
  falls_silent(1);
  EXPECT_TRUE(counts(1)) << "not yet asked";
  EXPECT_EQ(tried(1, 1100ms), 1u);
  show(link_of(2), {1, 2, 3});  // we are not cut off
  EXPECT_TRUE(counts(1)) << "it may answer yet";
  EXPECT_EQ(tried(1, 7s), 1u) << "asked again later";
  EXPECT_FALSE(counts(1));
  EXPECT_GE(sink.count(link_of(2), wire::ControlType::digest), 1u) << "others hear of it soon";
  reach(1);
  EXPECT_TRUE(counts(1)) << "and it may come back";
}

TEST_F(DyingTest, WhoFellSilentAndAnswersIsThereAsBefore) {
  falls_silent(1);
  EXPECT_EQ(tried(1, 1100ms), 1u);
  reach(1);
  show(link_of(2), {2, 3});
  EXPECT_EQ(tried(1, 20s), 0u);
  EXPECT_TRUE(counts(1));
}

TEST_F(DyingTest, WhoHearsNobodyBuriesNobody) {
  for (const std::uint64_t i : {1, 2, 3}) falls_silent(i);
  static_cast<void>(tries(20s));
  for (const std::uint64_t i : {1, 2, 3}) EXPECT_TRUE(counts(i)) << i;
}

/// What was dialed while nobody was heard does not count when somebody is heard again.
TEST_F(DyingTest, WhoWasCutOffForAWhileBuriesNobody) {
  for (const std::uint64_t i : {1, 2, 3}) falls_silent(i);
  EXPECT_FALSE(tries(40s).empty());
  reach(2);
  for (const std::uint64_t i : {1, 3}) {
    falls_silent(i);  // a circuit's dial did not get through either
    EXPECT_TRUE(counts(i)) << i;
  }
  static_cast<void>(tries(20s));
  for (const std::uint64_t i : {1, 3}) {
    EXPECT_TRUE(counts(i)) << i;
    reach(i);
  }
  static_cast<void>(tries(2min));
  for (const std::uint64_t i : {1, 2, 3}) EXPECT_TRUE(counts(i)) << i;
}

TEST_F(DyingTest, WhomANeighbourShowsNoMoreIsAskedAndGoneIfItDoesNotAnswerTwice) {
  for (const std::uint64_t i : {2, 3}) show(link_of(i), {1, 2, 3});
  netmap->on_link_closed(link_of(1));
  pass(31s);
  show(link_of(2), {2, 3});
  EXPECT_EQ(tried(1, 2s), 1u);
  show(link_of(3), {1, 2, 3});
  EXPECT_EQ(tried(1, 7s), 1u);
  show(link_of(3), {1, 2, 3});
  EXPECT_TRUE(counts(1)) << "one that is only lost on the way";
  EXPECT_EQ(tried(1, 16s), 1u);
  EXPECT_FALSE(counts(1));
}

/// When most neighbours say so one dial is enough, and it comes sooner.
TEST_F(DyingTest, WhomMostNeighboursShowNoMoreIsGoneIfItDoesNotAnswerOnce) {
  for (std::uint64_t i = 4; i <= 12; ++i) reach(i);
  settle();
  for (std::uint64_t i = 2; i <= 12; ++i) show(link_of(i), {1, 2, 3});
  netmap->on_link_closed(link_of(1));
  pass(31s);
  for (std::uint64_t i = 2; i <= 10; ++i) show(link_of(i), {2, 3});
  EXPECT_EQ(tried(1, 4s), 1u) << "an eighth of 29 s";
  show(link_of(3), {2, 3});
  static_cast<void>(tries(7s));
  EXPECT_FALSE(counts(1));
}

TEST_F(DyingTest, WhoAnsweredAMomentAgoIsNotAskedForWhatOthersSay) {
  show(link_of(2), {1, 2, 3});
  show(link_of(2), {2, 3});
  EXPECT_EQ(tried(1, 29s), 0u);
  EXPECT_EQ(tried(1, 3s), 1u);
}

/// Where it was reached, and not at another address of its descriptor.
TEST_F(DyingTest, ItIsAskedWhereItWasReached) {
  Descriptor two = descriptor_of(4);
  two.addresses.insert(two.addresses.begin(), SocketAddress::v4(10, 77, 0, 1, 4433));
  static_cast<void>(netmap->add(signed_by(identity_of(4), two), now));
  netmap->on_link_ready(link_of(4), now,
                        {.dialed = relay_id(4), .peer = relay_id(4), .remote = address_of(4)});
  falls_silent(4);
  const auto asked = tries(1100ms);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].at, address_of(4));
}

/// Several that die within seconds are told, and not only the first.
TEST_F(DyingTest, AllThatDieAreTold) {
  for (const std::uint64_t i : {4, 5, 6}) reach(i);
  settle();
  for (const std::uint64_t i : {4, 5, 6}) {
    falls_silent(i);
    static_cast<void>(tries(2s));
  }
  show(link_of(2), {1, 2, 3});
  static_cast<void>(tries(9s));
  sink.frames.clear();
  static_cast<void>(tries(11s));
  std::size_t shown = SIZE_MAX;
  for (const Frame& frame : sink.frames) {
    if (frame.link != link_of(2) || frame.type != kDigest) continue;
    shown = wire::DigestView::parse(frame.body)->size();
  }
  EXPECT_EQ(shown, 3u);
}

TEST_F(DyingTest, WhomAStrangerShowsNoMoreIsNotAsked) {
  ready(kStranger);
  show(kStranger, {1, 2, 3});
  show(kStranger, {2, 3});
  EXPECT_EQ(tried(1, 10min), 0u);
}

// ---- relays that say of others that they died ---------------------------------------------------

/// A node and twelve relays that answer it; some of these show the others, and then show them no
/// more, for half an hour.
class BuryingTest : public DyingTest {
 protected:
  static constexpr std::uint64_t kRelays = 12;
  static constexpr unsigned kHops = 3;

  BuryingTest() {
    for (std::uint64_t i = 1; i <= kRelays; ++i) reach(i);
    settle();
  }
  /// The first ones lie.
  void lie(std::uint64_t liars) {
    std::vector<std::uint64_t> all, liars_only;
    for (std::uint64_t i = 1; i <= kRelays; ++i) {
      all.push_back(i);
      if (i <= liars) liars_only.push_back(i);
    }
    const bool hide = std::exchange(hides, !hides);
    for (std::uint64_t i = 1; i <= kRelays; ++i) {
      show(link_of(i), i <= liars && hide ? liars_only : all);
    }
  }
  std::size_t answer_dials(Duration time) {
    std::size_t dials = 0;
    for (const TimePoint end = now.mono + time; now.mono < end; pass(100ms)) {
      while (const auto next = netmap->next_try(now)) {
        ++dials;
        for (std::uint64_t i = 1; i <= kRelays; ++i) {
          if (relay_id(i) == next->id) reach(i);
        }
      }
    }
    return dials;
  }
  /// Of the least and the most likely relay, in any position, for one that draws freely.
  std::pair<double, double> shares(int draws) {
    std::array<std::map<NodeId, int>, kHops> seen;
    const ViewPtr view = netmap->view();
    const RelayHistory history(kRelays);
    Guards guards;
    const NodeId to = relay_id(kTarget);
    for (int i = 0; i < draws; ++i) {
      const auto route = draw_route(*view, {}, to, kHops, {.guards = 0}, guards, history, now, rng);
      for (unsigned hop = 0; hop < kHops; ++hop) ++seen[hop][(*route)[hop]->descriptor.id];
    }
    std::pair<double, double> out{1, 0};
    for (const auto& of_hop : seen) {
      for (std::uint64_t i = 1; i <= kRelays; ++i) {
        const auto at = of_hop.find(relay_id(i));
        const double share = at == of_hop.end() ? 0 : static_cast<double>(at->second) / draws;
        out = {std::min(out.first, share), std::max(out.second, share)};
      }
    }
    return out;
  }
  static constexpr std::uint64_t kTarget = 100;
  bool hides = false;
};

/// Nobody's word takes a relay that answers out of the map, or more than half of its share.
TEST_F(BuryingTest, LiarsBuryNobodyAndTakeNoMoreThanHalfOfAShare) {
  Descriptor target = descriptor_of(kTarget);
  target.relay = false;
  ASSERT_TRUE(netmap->add(signed_by(identity_of(kTarget), target), now));
  constexpr double kEven = 1.0 / kRelays;
  for (const std::uint64_t liars : {1, 4, 8, 11}) {
    std::size_t dials = 0;
    double least = 1, most = 0;
    for (int round = 0; round < 180; ++round) {
      lie(liars);
      dials += answer_dials(10s);
      for (std::uint64_t i = 1; i <= kRelays; ++i) ASSERT_TRUE(counts(i)) << liars << ", " << i;
      if (round % 45 > 3) continue;
      const auto [low, high] = shares(10'000);
      least = std::min(least, low);
      most = std::max(most, high);
    }
    EXPECT_GE(least, kEven / 2) << liars;
    EXPECT_LE(most, 2 * kEven) << liars;
    // Each at most once in the 30 s in which its answer holds.
    EXPECT_LE(dials, (kRelays - liars) * 60) << liars;
  }
  EXPECT_EQ(netmap->stats().unreached, 0u);
}

/// A share falls by the part of those whose word counts, and is whole again when it was asked.
TEST_F(BuryingTest, AShareFallsByThePartOfThoseThatShowItNoMore) {
  const auto standing = [&](std::uint64_t number) {
    return netmap->view()->standing(relay_id(number));
  };
  lie(0);
  pass(31s);
  for (const std::uint64_t i : {1, 2, 3}) show(link_of(i), {1, 2, 3});
  EXPECT_DOUBLE_EQ(standing(12), 1 - 0.5 * 2 / 8) << "3 of 12 are 2 of 8, rounded down";
  EXPECT_DOUBLE_EQ(standing(3), 1);
  for (std::uint64_t i = 4; i < kRelays; ++i) show(link_of(i), {1, 2, 3});
  show(link_of(12), {1, 2, 3});
  EXPECT_DOUBLE_EQ(standing(11), 0.5) << "all but itself";
  reach(12);
  EXPECT_DOUBLE_EQ(standing(12), 1) << "it answered";
  for (std::uint64_t i = 1; i <= kRelays; ++i) netmap->on_link_closed(link_of(i));
  EXPECT_DOUBLE_EQ(standing(11), 1) << "nobody speaks of it any more";
}

/// Dials for what others say are theirs: 2 a second for a link, 8 in all.
TEST(Burying, DialsForWhatOthersSayAreBounded) {
  constexpr std::uint64_t kMany = 2'000;
  const auto nowhere = [](const NodeId&, unsigned) { return std::optional<std::uint64_t>(); };
  for (const std::uint64_t liars : {1, 3, 20}) {
    SeededRng rng(1);
    Tries tries(rng);
    Now now = at(1s);
    for (std::uint64_t i = 0; i < kMany; ++i) tries.reached(id_of(i), kMany, now);
    std::size_t dials = 0;
    constexpr std::size_t kSeconds = 60;
    for (std::size_t tenth = 0; tenth < 10 * kSeconds; ++tenth, now.mono += 100ms) {
      for (std::uint64_t i = 0; i < kMany; ++i) {
        EXPECT_TRUE(tries.sooner(id_of(i), node_link(i % liars), 0s, {}, now));
      }
      while (const auto next = tries.next(nowhere, now)) {
        ++dials;
        tries.reached(next->id, kMany, now);
      }
    }
    EXPECT_LE(dials, liars * (16 + 2 * kSeconds)) << liars;
    EXPECT_LE(dials, 32 + 8 * kSeconds) << liars;
    EXPECT_GE(dials, kSeconds);
    // What we saw ourselves does not wait behind them.
    EXPECT_TRUE(tries.sooner(id_of(7), Tries::kSeen, 1s, now.mono, now));
    bool asked = false;
    for (int tenth = 0; tenth < 20; ++tenth, now.mono += 100ms) {
      while (const auto next = tries.next(nowhere, now)) asked = asked || next->id == id_of(7);
    }
    EXPECT_TRUE(asked) << liars;
  }
}

/// A client believes few, asks nobody, and one liar among three that it believes takes a sixth.
TEST_F(DyingTest, AClientWhoseEntriesShowARelayNoMoreDrawsItMoreRarely) {
  make({.passes_on = false});
  netmap->believe({relay_id(1), relay_id(2), relay_id(3)}, now);
  for (const std::uint64_t i : {1, 2, 3}) reach(i);
  for (const std::uint64_t i : {4, 5}) give(link_of(1), raw_of(i));
  const auto standing = [&] { return netmap->view()->standing(relay_id(4)); };
  for (const std::uint64_t i : {1, 2, 3}) show(link_of(i), {1, 2, 3, 4, 5});
  ASSERT_TRUE(counts(4));
  for (int minute = 0; minute < 60; ++minute) {
    show(link_of(1), {1, 2, 3, 5});
    for (const std::uint64_t i : {2, 3}) show(link_of(i), {1, 2, 3, 4, 5});
    pass(1min);
    EXPECT_TRUE(counts(4));
    EXPECT_DOUBLE_EQ(standing(), 1 - 0.5 * 2 / 8);
  }
  for (const std::uint64_t i : {2, 3}) show(link_of(i), {1, 2, 3, 5});
  EXPECT_TRUE(counts(4));
  EXPECT_DOUBLE_EQ(standing(), 0.5);
  pass(6min);
  EXPECT_FALSE(counts(4)) << "nobody shows it";
  EXPECT_TRUE(tries(1h).empty());
}

TEST_F(ReachedTest, AClientBelievesItsEntriesAndTriesNobody) {
  make({.passes_on = false});
  netmap->believe({relay_id(1)}, now);
  ready(kStranger);
  dialed(kHonest, 1);
  give(kStranger, raw_of(5));
  show(kStranger, {5, 6});
  EXPECT_FALSE(counts(5)) << "a stranger's word";
  give(kHonest, raw_of(6));
  EXPECT_TRUE(counts(6));
  show(kHonest, {5, 6});
  EXPECT_TRUE(counts(5));
  EXPECT_TRUE(tries(1h).empty());
  show(kHonest, {5});
  pass(6min);
  EXPECT_FALSE(counts(6)) << "it is shown no longer";
  EXPECT_TRUE(counts(5));
}

TEST_F(ReachedTest, OfThreeThatAreBelievedOneAloneIsNotEnough) {
  make({.passes_on = false});
  netmap->believe({relay_id(1), relay_id(2), relay_id(3)}, now);
  const std::vector<std::uint64_t> honest{10, 11, 12, 13};
  ready(kStranger);
  for (std::uint64_t i = 10; i < 24; ++i) give(kStranger, raw_of(i));
  for (const std::uint64_t i : {1, 2, 3}) dialed(node_link(100 + i), i);
  for (const std::uint64_t i : {1, 2, 3}) show(node_link(100 + i), honest);
  for (const std::uint64_t i : honest) EXPECT_TRUE(counts(i));
  std::vector<std::uint64_t> lies = honest;
  for (std::uint64_t i = 14; i < 24; ++i) lies.push_back(i);
  show(node_link(103), lies);
  for (std::uint64_t i = 14; i < 24; ++i) EXPECT_FALSE(counts(i));
  for (const std::uint64_t i : honest) EXPECT_TRUE(counts(i));
}

/// Descriptors come from one of them, long after the digests of all.
TEST_F(ReachedTest, WhoShowedARelayBeforeItsDescriptorCameIsNotForgotten) {
  make({.passes_on = false});
  netmap->believe({relay_id(1), relay_id(2), relay_id(3)}, now);
  for (const std::uint64_t i : {1, 2, 3}) dialed(node_link(100 + i), i);
  for (const std::uint64_t i : {1, 2, 3}) show(node_link(100 + i), {10, 11});
  for (const std::uint64_t i : {10, 11}) give(node_link(101), raw_of(i));
  for (const std::uint64_t i : {10, 11}) EXPECT_TRUE(counts(i));
}

// ---- places -------------------------------------------------------------------------------------

TEST_F(ReachedTest, AFloodOfIdentitiesHasTheShareOfItsLinkAndNewcomersAreLearned) {
  ready(kStranger);
  for (std::uint64_t i = 1'000; i < 1'300; ++i) give(kStranger, raw_of(i));
  EXPECT_EQ(netmap->stats().held, Store::kStrangerMax);
  EXPECT_EQ(netmap->stats().rejected_full, 300u - Store::kStrangerMax);
  ready(kHonest);
  give(kHonest, raw_of(1));
  EXPECT_TRUE(holds(1));
  const auto tried = tries(2s);
  EXPECT_LE(tried.size(), 16u + 1 + 4 + 1);
  EXPECT_TRUE(std::ranges::any_of(tried, [](const RelayTry& one) { return one.id == relay_id(1); }))
      << "in its turn, not behind the flood";
  dialed(node_link(33), 1);
  settle();
  EXPECT_TRUE(counts(1));
}

TEST_F(ReachedTest, WhenAllIsFullTheLinkWithMostGivesWayAndNeverWhoWasReached) {
  make({.descriptors_max = 100});
  dialed(kHonest, 1);
  give(kHonest, raw_of(1));
  // Sixty-four links of a flood.
  for (std::uint64_t link = 0; link < 10; ++link) {
    ready(node_link(1'000 + link));
    for (std::uint64_t i = 0; i < 20; ++i)
      give(node_link(1'000 + link), raw_of(2'000 + 20 * link + i));
  }
  EXPECT_EQ(netmap->stats().held, 100u);
  ready(kStranger);
  give(kStranger, raw_of(2));
  EXPECT_TRUE(holds(2));
  EXPECT_TRUE(holds(1));
  EXPECT_EQ(netmap->stats().held, 100u);
  EXPECT_GE(netmap->stats().evicted, 1u);
  for (std::uint64_t i = 0; i < 20; ++i) give(node_link(1'000), raw_of(5'000 + i));
  EXPECT_TRUE(holds(2)) << "who has most displaces nobody else";
  // A guard or bootstrap entry always has a place.
  netmap->believe({relay_id(3)}, now);
  give(node_link(1'000), raw_of(3));
  EXPECT_TRUE(holds(3));
}

TEST_F(ReachedTest, OneNetworkHasAShareOfWhatNobodyProved) {
  const auto in_network = [&](std::uint64_t number) {
    Descriptor d = descriptor_of(number);
    d.addresses = {SocketAddress::v4(45, 7, static_cast<std::uint8_t>(number), 1, 4433)};
    return signed_by(identity_of(number), d);
  };
  for (std::uint64_t link = 0; link < 5; ++link) {
    ready(node_link(1'000 + link));
    for (std::uint64_t i = 0; i < 20; ++i)
      give(node_link(1'000 + link), in_network(100 + 20 * link + i));
  }
  EXPECT_EQ(netmap->stats().held, Store::kNetworkMax);
  ready(kHonest);
  give(kHonest, in_network(1));
  EXPECT_TRUE(holds(1)) << "an honest one in the network that is crowded";
  const auto tried = tries(60s);
  EXPECT_LE(tried.size(), 8u + 30u) << "dials into one network are few";
}

/// One machine makes relays that really answer, as many as it likes.
TEST_F(ReachedTest, RelaysThatAreThereHaveAShareByHostAndByNetwork) {
  const auto at_host = [&](std::uint64_t number, SocketAddress at) {
    Descriptor d = descriptor_of(number);
    d.addresses = {at};
    const NodeLink link = node_link(5'000 + number);
    netmap->on_link_ready(link, now, {.dialed = relay_id(number), .remote = at});
    give(link, signed_by(identity_of(number), d));
  };
  for (std::uint64_t i = 0; i < 20; ++i) {
    at_host(100 + i, SocketAddress::v4(45, 7, 1, 1, static_cast<std::uint16_t>(4'000 + i)));
  }
  EXPECT_EQ(netmap->stats().reached, Store::kReachedOfHostMax);
  for (std::uint64_t i = 0; i < 80; ++i) {
    at_host(200 + i, SocketAddress::v4(45, 7, 2, static_cast<std::uint8_t>(1 + i), 4'433));
  }
  EXPECT_EQ(netmap->stats().reached, Store::kReachedOfNetworkMax);
  EXPECT_EQ(netmap->stats().reached_beyond_share, 100 - Store::kReachedOfNetworkMax);
  at_host(300, SocketAddress::v4(45, 8, 1, 1, 4'433));
  EXPECT_EQ(netmap->stats().reached, Store::kReachedOfNetworkMax + 1) << "one of another network";
}

/// An address where nobody is, in front of the one that answers: it opens no other shares.
TEST_F(ReachedTest, AFalseAddressInFrontChangesNoShareAndNoRate) {
  const auto false_front = [&](std::uint64_t number) {
    Descriptor d = descriptor_of(number);
    d.addresses = {*SocketAddress::parse("[2a0" + std::to_string(number % 10) + ":" +
                                         std::to_string(number) + "::1]:1"),
                   SocketAddress::v4(45, 7, 1, 1, static_cast<std::uint16_t>(4'000 + number))};
    return signed_by(identity_of(number), d);
  };
  for (std::uint64_t link = 0; link < 5; ++link) {
    ready(node_link(1'000 + link));
    for (std::uint64_t i = 0; i < 20; ++i)
      give(node_link(1'000 + link), false_front(100 + 20 * link + i));
  }
  EXPECT_EQ(netmap->stats().held, Store::kNetworkMax);
  std::size_t into_network = 0;
  for (const auto& one : tries(60s)) into_network += one.at.is_v4();
  EXPECT_LE(into_network, 8u + 30u);
}

/// It was there, and now says that it is elsewhere, beside an address that it keeps.
TEST_F(ReachedTest, WhoLeavesTheAddressWhereItWasReachedWasNotReached) {
  Descriptor d = descriptor_of(1);
  const SocketAddress other = *SocketAddress::parse("[2001:db8::1]:4433");
  d.addresses = {other, address_of(1)};
  dialed(kHonest, 1);
  give(kHonest, signed_by(identity_of(1), d));
  EXPECT_EQ(netmap->stats().unproven, 0u);
  netmap->on_link_closed(kHonest);
  d.published += 60;
  d.addresses = {other};
  ready(kStranger);
  give(kStranger, signed_by(identity_of(1), d));
  const auto again = tries(60s);
  ASSERT_FALSE(again.empty()) << "it is looked at anew";
  EXPECT_EQ(again[0].at, other);
}

TEST_F(ReachedTest, RenewalsOfOneIdentityAreFew) {
  ready(kStranger);
  for (std::uint64_t i = 0; i < 100; ++i) {
    Descriptor d = descriptor_of(1);
    d.published += i;
    give(kStranger, signed_by(identity_of(1), d));
  }
  EXPECT_LE(netmap->stats().replaced, 8u);
  EXPECT_GE(netmap->stats().rejected_rate, 90u);
}

// ---- over a restart -----------------------------------------------------------------------------

TEST_F(ReachedTest, WhatWasReachedIsKeptOverARestart) {
  netmap->believe({relay_id(1)}, now);
  dialed(kHonest, 1);
  give(kHonest, raw_of(1));
  dialed(kAnother, 2);
  give(kAnother, raw_of(2));
  ready(kStranger);
  give(kStranger, raw_of(3));
  auto kept = netmap->worth_keeping(10);
  ASSERT_EQ(kept.size(), 2u) << "not whom nobody reached";
  EXPECT_EQ(kept[0].entry->descriptor.id, relay_id(1)) << "who is believed goes first";
  EXPECT_EQ(netmap->worth_keeping(1).size(), 1u);
  make({});
  netmap->restore(std::move(kept), now);
  EXPECT_TRUE(counts(1));
  EXPECT_TRUE(counts(2));
  EXPECT_FALSE(holds(3));
}

}  // namespace
}  // namespace qudag::netmap
