// The lists of guards: what fills them, what takes somebody out of them, and their form in a file.
#include "netmap/routes/guards.h"

#include "netmap/fixture.h"

#include <set>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr std::size_t kWanted = 4;

class GuardsTest : public ::testing::Test {
 protected:
  void add(Layer layer, std::uint64_t number) {
    guards.add(layer, id_of(number), kWanted, now, rng);
  }
  void fill(Layer layer, std::uint64_t from = 1) {
    for (std::uint64_t i = from; guards.has_place(layer, kWanted, now); ++i) add(layer, i);
  }
  void update() {
    guards.update([this](const NodeId& id) { return !gone.contains(id); }, now);
  }
  void pass(std::chrono::seconds time) {
    now.mono += time;
    now.unix_seconds += static_cast<UnixSeconds>(time.count());
    update();
  }
  Guards again() {
    auto parsed = Guards::parse(guards.encode(), now.unix_seconds);
    EXPECT_TRUE(parsed) << parsed.error().message();
    return std::move(*parsed);
  }

  Guards guards;
  std::set<NodeId> gone;
  Now now = at(1000s);
  SeededRng rng{7};
};

TEST_F(GuardsTest, AreBoundedDistinctAndInOrder) {
  fill(Layer::first);
  add(Layer::first, 99);
  add(Layer::first, 1);
  EXPECT_EQ(guards.ids(), (std::vector{id_of(1), id_of(2), id_of(3), id_of(4)}));
  EXPECT_TRUE(guards.ids(Layer::second).empty());
}

TEST_F(GuardsTest, ConfirmedOnesComeFirstTheOldestBeforeOthers) {
  fill(Layer::first);
  guards.confirmed(id_of(3), now);
  guards.confirmed(id_of(2), now);
  guards.confirmed(id_of(3), now);
  guards.confirmed(id_of(50), now);
  EXPECT_EQ(guards.ids(), (std::vector{id_of(3), id_of(2), id_of(1), id_of(4)}));
}

TEST_F(GuardsTest, OneThatIsGoneKeepsItsPlaceForWeeks) {
  fill(Layer::first);
  gone = {id_of(1)};
  update();
  EXPECT_EQ(guards.ids().size(), 3u);
  add(Layer::first, 5);
  EXPECT_EQ(guards.ids().back(), id_of(5));
  pass(std::chrono::days(19));
  gone.clear();
  update();
  EXPECT_EQ(guards.ids().front(), id_of(1)) << "it is back, where it was";
  gone = {id_of(1)};
  update();
  pass(std::chrono::days(21));
  EXPECT_FALSE(guards.contains(Layer::first, id_of(1)));
}

/// Whoever hides relays from our netmap, one after the other, does not walk us through all of them.
TEST_F(GuardsTest, HidingThemDoesNotWalkUsThroughAllRelays) {
  std::set<NodeId> ever;
  for (std::uint64_t i = 1; i < 1'000; ++i) {
    if (guards.has_place(Layer::first, kWanted, now)) add(Layer::first, i);
    for (const NodeId& id : guards.ids()) ever.insert(id);
    gone = ever;
    pass(1min);
  }
  EXPECT_EQ(ever.size(), Guards::kKeptForEach * kWanted);
  pass(std::chrono::days(1) + 1h);
  EXPECT_TRUE(guards.has_place(Layer::first, kWanted, now))
      << "but we are not without any for ever";
}

TEST_F(GuardsTest, LiveForMonthsAndSecondOnesForDaysEachForATimeOfItsOwn) {
  std::set<UnixSeconds> lives;
  for (std::uint64_t i = 0; i < 400; ++i) {
    for (const Layer layer : {Layer::first, Layer::second}) {
      Guards one;
      one.add(layer, id_of(i), kWanted, now, rng);
      const UnixSeconds life = one.all(layer)[0].until - now.unix_seconds;
      const bool first = layer == Layer::first;
      EXPECT_GE(life, (first ? 90 : 1) * kDay);
      EXPECT_LE(life, (first ? 150 : 12) * kDay);
      lives.insert(life);
    }
  }
  EXPECT_GT(lives.size(), 750u);
  fill(Layer::first);
  fill(Layer::second, 11);
  for (int hour = 0; hour < 24 * 13; ++hour) pass(1h);
  EXPECT_EQ(guards.ids().size(), 4u);
  EXPECT_TRUE(guards.ids(Layer::second).empty());
  for (int day = 0; day < 140; ++day) pass(std::chrono::days(1));
  EXPECT_TRUE(guards.ids().empty());
}

TEST_F(GuardsTest, AClockThatJumpsAheadDoesNotExchangeThemAll) {
  fill(Layer::first);
  fill(Layer::second, 11);
  const UnixSeconds before = now.unix_seconds;
  now.unix_seconds += 10 * 365 * kDay;
  for (int i = 0; i < 100; ++i) update();
  EXPECT_EQ(guards.ids().size(), 3u);
  EXPECT_EQ(guards.ids(Layer::second).size(), 3u);
  now.unix_seconds = before;
  for (int i = 0; i < 100; ++i) pass(1min);
  EXPECT_EQ(guards.ids().size(), 3u);
}

TEST_F(GuardsTest, TheVersionGrowsWithWhatIsWorthKeeping) {
  std::uint64_t last = guards.version();
  const auto grew = [&] { return std::exchange(last, guards.version()) < last; };
  EXPECT_FALSE(grew());
  fill(Layer::first);
  EXPECT_TRUE(grew());
  update();
  guards.linked(id_of(99), SocketAddress::v4(10, 9, 9, 9, 9));
  guards.confirmed(id_of(99), now);
  last = guards.version();
  guards.confirmed(id_of(1), now);
  EXPECT_GT(guards.version(), last);
  last = guards.version();
  guards.confirmed(id_of(1), now);
  EXPECT_EQ(guards.version(), last);
  guards.linked(id_of(1), SocketAddress::v4(10, 9, 9, 9, 9));
  EXPECT_GT(guards.version(), last);
  last = guards.version();
  gone = {id_of(2)};
  update();
  EXPECT_GT(guards.version(), last);
}

// ---- the file -----------------------------------------------------------------------------------

TEST_F(GuardsTest, ComeBackFromAFileAsTheyWere) {
  fill(Layer::first);
  fill(Layer::second, 11);
  guards.confirmed(id_of(3), now);
  guards.linked(id_of(3), SocketAddress::v4(10, 3, 0, 1, 4433));
  gone = {id_of(12)};
  update();
  const Guards parsed = again();
  EXPECT_EQ(parsed.ids(), guards.ids());
  EXPECT_EQ(parsed.ids(Layer::second), guards.ids(Layer::second));
  EXPECT_EQ(parsed.encode(), guards.encode());
  EXPECT_EQ(parsed.find(Layer::first, id_of(3))->at, SocketAddress::v4(10, 3, 0, 1, 4433));
  EXPECT_EQ(parsed.all(Layer::second).size(), 4u);
  EXPECT_EQ(Guards::parse(Guards().encode(), 0)->all(Layer::first).size(), 0u);
}

TEST_F(GuardsTest, AFileThatWasCutOrChangedIsNone) {
  fill(Layer::first);
  fill(Layer::second, 11);
  const auto raw = guards.encode();
  for (std::size_t size = 0; size < raw.size(); ++size) {
    const auto cut = Guards::parse(Bytes(raw).first(size), now.unix_seconds);
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error(), Errc::malformed);
  }
  for (std::size_t at = 0; at < raw.size(); ++at) {
    auto changed = raw;
    changed[at] ^= std::byte{1};
    ASSERT_FALSE(Guards::parse(changed, now.unix_seconds)) << at;
  }
  auto longer = raw;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(Guards::parse(longer, now.unix_seconds));
}

TEST_F(GuardsTest, TimesThatCannotBeAreMovedToWhereTheyCan) {
  Now wrong = now;
  wrong.unix_seconds += 30 * 365 * kDay;
  guards.add(Layer::first, id_of(1), kWanted, wrong, rng);
  guards.confirmed(id_of(1), wrong);
  guards.update([](const NodeId&) { return false; }, wrong);
  const Guards parsed = again();
  const Guard& guard = parsed.all(Layer::first)[0];
  EXPECT_LE(guard.added, now.unix_seconds);
  EXPECT_LE(guard.confirmed, now.unix_seconds);
  EXPECT_LE(guard.gone, now.unix_seconds);
  EXPECT_EQ(guard.until, now.unix_seconds + 150 * kDay);
}

/// A machine that begins with a clock of long ago (no battery, forged time) and is set right later.
TEST_F(GuardsTest, AClockThatWasBehindAtTheStartExchangesNobody) {
  fill(Layer::first);
  fill(Layer::second, 11);
  const auto first = guards.ids();
  const auto second = guards.ids(Layer::second);
  const UnixSeconds right = now.unix_seconds;
  for (const UnixSeconds behind : {20 * kDay, 80 * kDay}) {
    now.unix_seconds = right - behind;
    guards = again();
    for (const auto& one : {first, second}) gone.insert(one.begin(), one.end());
    update();  // the netmap is empty at first
    pass(5min);
    gone.clear();
    now.unix_seconds = right;
    for (int hour = 0; hour < 12; ++hour) pass(1h);
    EXPECT_EQ(guards.ids(), first) << behind / kDay << " days behind";
    EXPECT_EQ(guards.ids(Layer::second), second);
  }
}

TEST_F(GuardsTest, OneThatIsGoneIsNotDroppedBecauseTheClockWasSet) {
  fill(Layer::first);
  gone = {id_of(1)};
  update();
  now.unix_seconds += 100 * kDay;
  pass(1min);
  EXPECT_TRUE(guards.contains(Layer::first, id_of(1)));
}

/// A first hop that says it reaches none of the second ones is believed of half of them.
TEST_F(GuardsTest, WhatAFirstHopSaysTakesHalfOfTheSecondOnesAtMost) {
  fill(Layer::first);
  fill(Layer::second, 11);
  for (std::uint64_t i = 11; i < 15; ++i) guards.not_reached(id_of(1), id_of(i), now);
  std::size_t passed_over = 0;
  for (std::uint64_t i = 11; i < 15; ++i)
    passed_over += guards.passed_over(id_of(1), id_of(i), now);
  EXPECT_EQ(passed_over, 2u);
}

/// Those of the file are waited for before others take their places.
TEST_F(GuardsTest, AfterARestartNobodyIsDrawnUntilTheNetmapHadTimeToShowThem) {
  fill(Layer::first);
  guards = again();
  gone = {id_of(1), id_of(2), id_of(3), id_of(4)};
  update();
  EXPECT_TRUE(guards.ids().empty());
  EXPECT_FALSE(guards.has_place(Layer::first, kWanted, now));
  EXPECT_TRUE(guards.has_place(Layer::second, kWanted, now)) << "there was none";
  gone = {id_of(1)};
  update();
  EXPECT_EQ(guards.ids().size(), 3u);
  EXPECT_FALSE(guards.has_place(Layer::first, kWanted, now));
  pass(61s);
  EXPECT_TRUE(guards.has_place(Layer::first, kWanted, now));
}

}  // namespace
}  // namespace qudag::netmap
