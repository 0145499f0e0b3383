// Which dials for circuits of others may run: places, shares by asking link, dead next hops.
#include "link/dialing/dial_places.h"

#include <gtest/gtest.h>

namespace qudag::link {
namespace {

using namespace std::chrono_literals;
using Answer = DialPlaces::Answer;

NodeId node(unsigned number) {
  NodeId out;
  out.bytes[0] = static_cast<std::byte>(number >> 8);
  out.bytes[1] = static_cast<std::byte>(number);
  return out;
}
LinkId link_number(std::uint64_t number) {
  return {.slot = static_cast<std::uint32_t>(number), .generation = 1};
}
TimePoint at(Duration since) { return TimePoint(1h + since); }

constexpr DialRules kRules{.dials_max = 8, .per_second = 16, .dead_for = 10s};

TEST(DialPlaces, WhoHasMostGivesUpTheFirst) {
  DialPlaces places(kRules);
  for (unsigned i = 0; i < 6; ++i) {
    EXPECT_FALSE(places.ask(link_number(1), node(i), 1, at(0s)).end);
    places.began(link_number(100 + i), link_number(1), node(i));
  }
  for (unsigned i = 6; i < 8; ++i) {
    EXPECT_FALSE(places.ask(link_number(2), node(i), 1, at(0s)).end);
    places.began(link_number(100 + i), link_number(2), node(i));
  }
  EXPECT_EQ(places.ask(link_number(3), node(20), 1, at(0s)).end, link_number(100))
      << "a newcomer gets one";
  EXPECT_EQ(places.ask(link_number(2), node(21), 1, at(0s)).end, link_number(100));
  EXPECT_EQ(places.ask(link_number(1), node(22), 1, at(0s)).end, link_number(100)) << "its own";
  EXPECT_TRUE(places.leave(link_number(100)));
  EXPECT_FALSE(places.leave(link_number(100)));
  EXPECT_FALSE(places.ask(link_number(3), node(20), 1, at(0s)).end);
  EXPECT_EQ(places.size(), 7u);
}

TEST(DialPlaces, ADialThatSomebodyWithFewerWaitsForCountsForThem) {
  DialPlaces places(kRules);
  for (unsigned i = 0; i < 8; ++i)
    places.began(link_number(100 + i), link_number(i < 6 ? 1 : 2), node(i));
  places.joined(link_number(100), link_number(3));
  EXPECT_EQ(places.ask(link_number(4), node(20), 1, at(0s)).end, link_number(101))
      << "not the one that 3 waits for";
}

TEST(DialPlaces, ADeadNextHopIsNotDialedTwiceForTheLinkThatAskedForIt) {
  DialPlaces places(kRules);
  EXPECT_EQ(places.ask(link_number(1), node(1), 2, at(0s)).address, 0u);
  places.began(link_number(100), link_number(1), node(1));
  places.failed(link_number(100), at(5s));
  const auto second = places.ask(link_number(1), node(1), 2, at(5s));
  EXPECT_EQ(second.answer, Answer::dial) << "it has another address";
  EXPECT_EQ(second.address, 1u);
  places.began(link_number(101), link_number(1), node(1));
  places.failed(link_number(101), at(10s));
  EXPECT_EQ(places.ask(link_number(1), node(1), 2, at(10s)).answer, Answer::dead);
  EXPECT_EQ(places.ask(link_number(2), node(1), 2, at(10s)).answer, Answer::dial)
      << "what one link found dead is no answer to another";
  EXPECT_EQ(places.ask(link_number(1), node(2), 2, at(10s)).answer, Answer::dial);
  EXPECT_EQ(places.ask(link_number(1), node(1), 2, at(20s)).answer, Answer::dial)
      << "and not for long";
  EXPECT_EQ(places.stats().known_dead, 1u);
}

TEST(DialPlaces, WhoWasGivenUpIsNotDead) {
  DialPlaces places(kRules);
  places.began(link_number(100), link_number(1), node(1));
  EXPECT_TRUE(places.leave(link_number(100)));
  places.failed(link_number(100), at(1s));  // the link's end comes later
  EXPECT_EQ(places.ask(link_number(1), node(1), 1, at(1s)).answer, Answer::dial);
}

TEST(DialPlaces, LinksThatTheyBecameAreSharedToo) {
  DialPlaces places(kRules);
  for (unsigned i = 0; i < 5; ++i) {
    places.began(link_number(100 + i), link_number(i < 3 ? 1 : 2), node(i));
    EXPECT_TRUE(places.ready(link_number(100 + i)));
    EXPECT_FALSE(places.ready(link_number(100 + i)));
  }
  EXPECT_EQ(places.size(), 0u);
  EXPECT_EQ(places.links_of_most(link_number(3)),
            (std::vector<LinkId>{link_number(100), link_number(101), link_number(102)}));
  places.forget_link(link_number(100));
  places.forget_link(link_number(101));
  EXPECT_EQ(places.links_of_most(link_number(3)),
            (std::vector<LinkId>{link_number(103), link_number(104)}));
  EXPECT_EQ(places.links_of_most(link_number(2)),
            (std::vector<LinkId>{link_number(103), link_number(104)}))
      << "its own";
}

TEST(DialPlaces, ALinkAsksForSoManyASecond) {
  DialPlaces places({.dials_max = 1'000, .per_second = 16});
  unsigned dialed = 0;
  for (unsigned i = 0; i < 1'000; ++i) {
    dialed += places.ask(link_number(1), node(i), 1, at(10ms * i)).answer == Answer::dial;
  }
  EXPECT_LE(dialed, 32u + 160u + 1u);
  EXPECT_GE(dialed, 180u);
  EXPECT_EQ(places.ask(link_number(2), node(7), 1, at(10s)).answer, Answer::dial);
}

TEST(DialPlaces, WhatIsRememberedIsBoundedByLink) {
  DialPlaces places({.dials_max = 10'000, .per_second = 100'000, .dead_for = 10s});
  BoundedList rows;
  std::uint64_t dial = 0;
  for (std::uint64_t asker = 0; asker < 50; ++asker) {
    for (unsigned i = 0; i < 200; ++i) {
      places.began(link_number(++dial), link_number(asker), node(i));
      places.failed(link_number(dial), at(1ms * i));
    }
  }
  places.report(rows);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].items, DialPlaces::kDeadMax);
  EXPECT_EQ(places.ask(link_number(0), node(10), 1, at(1s)).answer, Answer::dial)
      << "the first went first";
  EXPECT_EQ(places.ask(link_number(0), node(199), 1, at(1s)).answer, Answer::dead);
  for (std::uint64_t asker = 0; asker < 50; ++asker) places.forget(link_number(asker));
  rows.clear();
  places.report(rows);
  EXPECT_EQ(rows[1].items, 0u);
}

}  // namespace
}  // namespace qudag::link
