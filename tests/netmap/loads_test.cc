// What relays report, and circuits counted by first hop.
#include "netmap/routes/loads.h"

#include "netmap/fixture.h"
#include "netmap/routes/first_hops.h"

#include <cmath>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(RelayLoads, AReportLowersTheShareAndNothingRaisesIt) {
  RelayLoads loads;
  EXPECT_EQ(loads.share(id_of(1), at(0s)), 1);
  for (const unsigned load : {0u, 1u, 4096u, 32'768u, 65'535u}) {
    RelayLoads one;
    ASSERT_TRUE(one.heard(id_of(1), link_number(7), static_cast<std::uint16_t>(load), at(0s)));
    EXPECT_LE(one.share(id_of(1), at(0s)), 1);
    EXPECT_DOUBLE_EQ(one.share(id_of(1), at(0s)), 1 - 0.75 * load / 65'535.0);
    EXPECT_EQ(one.share(id_of(2), at(0s)), 1);
  }
}

TEST(RelayLoads, TheHighestOfItsLinksCounts) {
  RelayLoads loads;
  ASSERT_TRUE(loads.heard(id_of(1), link_number(7), 65'535, at(0s)));
  ASSERT_TRUE(loads.heard(id_of(1), link_number(8), 0, at(0s)));
  EXPECT_EQ(loads.load(id_of(1), at(0s)), 1) << "another link takes nothing back";
  ASSERT_TRUE(loads.heard(id_of(1), link_number(7), 0, at(3s)));
  EXPECT_EQ(loads.load(id_of(1), at(3s)), 0);
}

TEST(RelayLoads, NewsFadesAndEndsWithTheLink) {
  RelayLoads loads;
  ASSERT_TRUE(loads.heard(id_of(1), link_number(7), 65'535, at(0s)));
  EXPECT_EQ(loads.load(id_of(1), at(30s)), 1);
  EXPECT_DOUBLE_EQ(loads.load(id_of(1), at(45s)), 0.5);
  EXPECT_EQ(loads.load(id_of(1), at(60s)), 0);
  EXPECT_EQ(loads.load(id_of(1), at(600s)), 0);
  ASSERT_TRUE(loads.heard(id_of(1), link_number(7), 65'535, at(600s)));
  loads.forget(link_number(7));
  EXPECT_EQ(loads.load(id_of(1), at(600s)), 0);
  EXPECT_EQ(loads.size(), 0u);
}

TEST(RelayLoads, WhatComesFasterThanAgreedIsIgnored) {
  RelayLoads loads;
  unsigned taken = 0;
  for (int i = 0; i < 1000; ++i)
    taken += loads.heard(id_of(1), link_number(7), 65'535, at(i * 10ms));
  EXPECT_EQ(taken, 4u + 4u) << "four at once, and one every two seconds of ten";
  // Every two seconds is what was agreed, with late and early ones in between.
  RelayLoads agreed;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(
        agreed.heard(id_of(1), link_number(7), 4096, at(2s * i + (i % 3 == 0 ? 1500ms : 0ms))));
  }
}

TEST(RelayLoads, SeveralLinksMayNotSayMoreThanOne) {
  RelayLoads loads;
  unsigned taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += loads.heard(id_of(1), link_number(7 + static_cast<std::uint64_t>(i % 5)), 65'535,
                         at(i * 10ms));
  }
  EXPECT_EQ(taken, 4u + 4u);
}

TEST(RelayLoads, ThereIsRoomForSoManyLinks) {
  RelayLoads loads(8);
  for (std::uint64_t link = 1; link <= 20; ++link) {
    EXPECT_EQ(loads.heard(id_of(link), link_number(link), 65'535, at(0s)), link <= 8);
  }
  EXPECT_EQ(loads.size(), 8u);
  loads.forget(link_number(1));
  EXPECT_TRUE(loads.heard(id_of(20), link_number(20), 65'535, at(1s)));
}

TEST(FirstHops, OursEndAtOnceAndLostOnesFade) {
  FirstHops hops;
  for (int i = 0; i < 3; ++i) hops.began(id_of(1), at(0s));
  EXPECT_EQ(hops.held(id_of(1), at(0s)), 3);
  hops.ended(id_of(1), true, 60s, at(1s));
  EXPECT_EQ(hops.held(id_of(1), at(1s)), 2);
  hops.ended(id_of(1), false, 1s, at(1s));
  EXPECT_EQ(hops.held(id_of(1), at(1s)), 2) << "who ends circuits has no fewer at once";
  EXPECT_NEAR(hops.held(id_of(1), at(61s)), 1 + std::exp(-1), 1e-9) << "ours live for a minute";
  hops.ended(id_of(1), true, 60s, at(61s));
  EXPECT_NEAR(hops.held(id_of(1), at(121s)), std::exp(-2), 1e-9);
  hops.ended(id_of(2), true, 1s, at(301s));
  EXPECT_EQ(hops.held(id_of(2), at(301s)), 0);
}

TEST(FirstHops, TheTableHasABoundAndForgetsWhatHasFaded) {
  FirstHops hops;
  for (std::uint64_t i = 0; i < 2'000; ++i) hops.began(id_of(i), at(0s));
  EXPECT_EQ(hops.size(), FirstHops::kEntriesMax);
  for (std::uint64_t i = 0; i < 2'000; ++i) hops.ended(id_of(i), false, 0s, at(0s));
  hops.began(id_of(5'000), at(1s));
  EXPECT_EQ(hops.held(id_of(5'000), at(1s)), 0) << "no room";
  hops.began(id_of(5'000), at(7200s));
  EXPECT_EQ(hops.held(id_of(5'000), at(7200s)), 1);
  EXPECT_EQ(hops.size(), 1u);
}

}  // namespace
}  // namespace qudag::netmap
