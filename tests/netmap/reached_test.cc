// Who counts as a relay, whose descriptors have a place, and whom a relay tries: attacks of who
// makes identities by the thousand, names other people's addresses, or says what is not so.
#include "netmap/fixture.h"
#include "netmap/reached/belief.h"
#include "netmap/reached/tries.h"

#include <set>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr NodeLink kStranger = node_link(11);
constexpr NodeLink kHonest = node_link(22);
constexpr NodeLink kAnother = node_link(23);

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
    netmap->on_link_ready(link, now,
                          {.dialed = identity_of(number).id(), .remote = address_of(number)});
  }
  void give(NodeLink link, Bytes raw) {
    ASSERT_TRUE(netmap->on_frame(link, kDescriptor, raw, now));
    settle();
  }
  void show(NodeLink link, const std::vector<std::uint64_t>& numbers) {
    std::vector<wire::DigestEntry> entries;
    for (const std::uint64_t i : numbers) {
      entries.push_back({identity_of(i).id(), rank_in(raw_of(i))});
    }
    std::ranges::sort(entries);
    ASSERT_TRUE(netmap->on_frame(link, kDigest, wire::encode_digest(0, 255, entries), now));
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
      return relay->descriptor.id == identity_of(number).id();
    });
  }
  bool holds(std::uint64_t number) const {
    return netmap->view()->find(identity_of(number).id()) != nullptr;
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
  EXPECT_GE(sink.count(kHonest, wire::ControlType::digest), 1u);
  for (const Frame& frame : sink.frames) {
    EXPECT_EQ(wire::DigestView::parse(frame.body)->size(), 0u) << "digests do not show it";
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
  netmap->on_link_ready(kHonest, now, {.dialed = identity_of(1).id(), .remote = address_of(7)});
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

TEST_F(ReachedTest, AClientBelievesItsEntriesAndTriesNobody) {
  make({.passes_on = false});
  netmap->believe({identity_of(1).id()}, now);
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
  netmap->believe({identity_of(1).id(), identity_of(2).id(), identity_of(3).id()}, now);
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
  netmap->believe({identity_of(1).id(), identity_of(2).id(), identity_of(3).id()}, now);
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
  EXPECT_TRUE(std::ranges::any_of(tried, [](const RelayTry& one) {
    return one.id == identity_of(1).id();
  })) << "in its turn, not behind the flood";
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
  netmap->believe({identity_of(3).id()}, now);
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
    netmap->on_link_ready(link, now, {.dialed = identity_of(number).id(), .remote = at});
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
  netmap->believe({identity_of(1).id()}, now);
  dialed(kHonest, 1);
  give(kHonest, raw_of(1));
  dialed(kAnother, 2);
  give(kAnother, raw_of(2));
  ready(kStranger);
  give(kStranger, raw_of(3));
  auto kept = netmap->worth_keeping(10);
  ASSERT_EQ(kept.size(), 2u) << "not whom nobody reached";
  EXPECT_EQ(kept[0].entry->descriptor.id, identity_of(1).id()) << "who is believed goes first";
  EXPECT_EQ(netmap->worth_keeping(1).size(), 1u);
  make({});
  netmap->restore(std::move(kept), now);
  EXPECT_TRUE(counts(1));
  EXPECT_TRUE(counts(2));
  EXPECT_FALSE(holds(3));
}

}  // namespace
}  // namespace qudag::netmap
