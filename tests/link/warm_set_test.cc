// To whom links are kept, as a rule of time and demand.
#include "link/dialing/warm_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

namespace qudag::link {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000s};

NodeId peer(std::uint32_t number) {
  NodeId out;
  std::memcpy(out.bytes.data(), &number, sizeof number);
  return out;
}

bool has(const WarmSet& set, std::uint32_t number) {
  return std::ranges::find(set.chosen(), peer(number), &WarmSet::Place::peer) != set.chosen().end();
}

void ask(WarmSet& set, std::uint32_t number, int times, TimePoint now) {
  for (int i = 0; i < times; ++i) set.asked(peer(number), now);
}

TEST(WarmSet, TheMostAskedHaveThePlaces) {
  WarmSet set({.links_max = 3});
  for (std::uint32_t i = 1; i <= 6; ++i) ask(set, i, static_cast<int>(i), kStart);
  EXPECT_TRUE(set.choose({}, kStart).empty());
  EXPECT_EQ(set.chosen().size(), 3u);
  EXPECT_TRUE(has(set, 4) && has(set, 5) && has(set, 6));
}

TEST(WarmSet, FollowsADemandThatShifts) {
  WarmSet set({.links_max = 2, .half_life = 60s});
  TimePoint now = kStart;
  for (int second = 0; second < 300; ++second, now += 1s) ask(set, 1 + second % 2, 1, now);
  (void)set.choose({}, now);
  ASSERT_TRUE(has(set, 1) && has(set, 2));
  std::size_t lost = 0;
  Duration took{};
  for (int second = 0; second < 300; ++second, now += 1s) {
    ask(set, 3 + second % 2, 1, now);
    lost += set.choose({}, now).size();
    if (lost < 2) took = now - (kStart + 300s);
  }
  EXPECT_TRUE(has(set, 3) && has(set, 4));
  EXPECT_EQ(lost, 2u) << "each lost its place once";
  EXPECT_LT(took, 120s) << "in about a half-life and a little";
}

TEST(WarmSet, ALittleMoreDoesNotTakeAPlace) {
  WarmSet set({.links_max = 1});
  ask(set, 1, 10, kStart);
  (void)set.choose({}, kStart);
  ask(set, 2, 14, kStart);
  EXPECT_TRUE(set.choose({}, kStart).empty());
  EXPECT_TRUE(has(set, 1));
  ask(set, 2, 2, kStart);
  EXPECT_EQ(set.choose({}, kStart), std::vector{peer(1)});
  EXPECT_TRUE(has(set, 2));
}

TEST(WarmSet, WhoIsLikelyHasAPlaceIfItsPartIsWorthALink) {
  WarmSet set({.links_max = 3});
  const std::vector<Likely> guards{{peer(7), 0.5}, {peer(8), 0.5}};
  const std::vector<Likely> relays{{peer(20), 0.01}, {peer(21), 0.01}};
  ask(set, 7, 1, kStart);
  (void)set.choose(relays, kStart);
  EXPECT_EQ(set.chosen().size(), 1u) << "a hundredth of one request";
  (void)set.choose(guards, kStart);
  EXPECT_TRUE(has(set, 7) && has(set, 8)) << "the other guard, though nobody asked for it yet";
  for (std::uint32_t i = 30; i < 90; ++i) ask(set, i, 1, kStart);
  (void)set.choose(relays, kStart);
  EXPECT_FALSE(has(set, 20)) << "who was asked for goes first";
  WarmSet busy({.links_max = 100});
  for (std::uint32_t i = 30; i < 90; ++i) ask(busy, i, 1, kStart);
  (void)busy.choose(relays, kStart);
  EXPECT_TRUE(has(busy, 20) && has(busy, 21)) << "a hundredth of sixty";
}

TEST(WarmSet, OneRequestKeepsALinkAndMoreOpenOne) {
  WarmSet set({.links_max = 8});
  ask(set, 1, 1, kStart);
  ask(set, 2, 2, kStart);
  (void)set.choose(std::vector{Likely{peer(3), 0.3}}, kStart);
  ASSERT_EQ(set.chosen().size(), 3u);
  for (const auto& [id, worth_opening] : set.chosen()) EXPECT_EQ(worth_opening, id != peer(1));
}

TEST(WarmSet, IsEmptyWhenNobodyIsAskedForAnyMore) {
  WarmSet set({.links_max = 3, .idle_after = 120s});
  EXPECT_FALSE(set.in_use(kStart));
  (void)set.choose(std::vector{Likely{peer(7), 1}}, kStart);
  EXPECT_TRUE(set.chosen().empty()) << "nothing is opened for a node that does nothing";
  ask(set, 1, 100, kStart);
  (void)set.choose(std::vector{Likely{peer(7), 1}}, kStart + 119s);
  EXPECT_EQ(set.chosen().size(), 2u);
  EXPECT_EQ(set.choose(std::vector{Likely{peer(7), 1}}, kStart + 120s).size(), 2u);
  EXPECT_TRUE(set.chosen().empty());
  ask(set, 2, 1, kStart + 200s);
  (void)set.choose({}, kStart + 200s);
  EXPECT_TRUE(has(set, 1)) << "what was asked is known when traffic comes back";
}

TEST(WarmSet, WhatFadedHasNoPlaceThoughOthersAreAsked) {
  WarmSet set({.links_max = 8, .half_life = 60s});
  ask(set, 1, 1, kStart);
  for (TimePoint now = kStart; now < kStart + 200s; now += 10s) {
    ask(set, 2, 1, now);
    (void)set.choose({}, now);
    EXPECT_EQ(has(set, 1), now <= kStart + 120s);
  }
}

TEST(WarmSet, IsBoundedAndCanBeOff) {
  WarmSet set({.links_max = 4});
  for (std::uint32_t i = 0; i < 5'000; ++i) ask(set, i, i < 4 ? 10 : 1, kStart);
  BoundedList rows;
  set.report(rows);
  EXPECT_EQ(rows.front().items, WarmSet::kAskedMax);
  (void)set.choose({}, kStart);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(has(set, i)) << "others are forgotten first";

  WarmSet off({.links_max = 0});
  ask(off, 1, 1, kStart);
  (void)off.choose(std::vector{Likely{peer(2), 1}}, kStart);
  EXPECT_TRUE(off.chosen().empty());
  EXPECT_FALSE(off.in_use(kStart));
}

}  // namespace
}  // namespace qudag::link
