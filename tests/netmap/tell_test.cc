// What a netmap tells its links: nothing that would make them dial what the teller would not, and,
// if it is no relay's, nothing but itself.
#include "netmap/netmap.h"

#include "netmap/fixture.h"
#include "netmap/gossip/fingerprint.h"
#include "netmap/kept.h"

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr NodeLink kNear = node_link(11);
constexpr NodeLink kFar = node_link(22);

class TellTest : public ::testing::Test {
 protected:
  void make(NetmapOptions options) {
    netmap = std::make_unique<Netmap>(options, rng, sink);
    netmap->on_link_ready(kNear, now, {.reach = Reach::machine});
    netmap->on_link_ready(kFar, now, {.reach = Reach::world});
  }
  void settle() {
    for (int i = 0; i < 1000 && netmap->next_deadline() <= now.mono; ++i) netmap->on_time(now);
  }
  std::vector<std::byte> at_addresses(std::uint64_t number, std::vector<SocketAddress> addresses) {
    Descriptor d = descriptor_of(number);
    d.addresses = std::move(addresses);
    return signed_by(identity_of(number), d);
  }
  std::size_t sent(NodeLink link) const { return sink.count(link, wire::ControlType::descriptor); }
  /// Ids that the digests to a link have shown.
  std::vector<NodeId> shown(NodeLink link) const {
    std::vector<NodeId> out;
    for (const Frame& frame : sink.frames) {
      if (frame.link != link || frame.type != kDigest) continue;
      const auto digest = wire::DigestView::parse(frame.body);
      for (std::size_t i = 0; i < digest->size(); ++i) out.push_back(digest->at(i).id);
    }
    return out;
  }

  /// How many the last summary to a link has.
  std::size_t counted(NodeLink link) const {
    std::size_t out = 0;
    for (const Frame& frame : sink.frames) {
      if (frame.link != link || frame.type != kSummary) continue;
      out = 0;
      const auto summary = wire::parse_summary(frame.body);
      for (const auto& part : summary->parts) out += part.count;
    }
    return out;
  }

  SeededRng rng{1};
  RecordingSink sink;
  std::unique_ptr<Netmap> netmap;
  Now now = at(1s);
};

const SocketAddress kWorld = SocketAddress::v4(8, 8, 8, 8, 4433);
const SocketAddress kLoopback = SocketAddress::v4(127, 0, 0, 1, 22);

TEST_F(TellTest, AnAddressNearerThanThePathThatToldItIsNotDialed) {
  make({});
  ASSERT_TRUE(netmap->on_frame(kFar, kDescriptor, at_addresses(1, {kLoopback, kWorld}), now));
  ASSERT_TRUE(netmap->on_frame(kNear, kDescriptor, at_addresses(2, {kLoopback}), now));
  settle();
  const Entry* far = netmap->view()->find(identity_of(1).id());
  ASSERT_NE(far, nullptr);
  EXPECT_FALSE(far->dialable(kLoopback));
  EXPECT_TRUE(far->dialable(kWorld));
  const Entry* near = netmap->view()->find(identity_of(2).id());
  ASSERT_NE(near, nullptr);
  EXPECT_TRUE(near->dialable(kLoopback)) << "networks of one machine go on working";
}

/// Else who is told over loopback would dial what we would not.
TEST_F(TellTest, ADescriptorWithAnAddressNearerThanItsPathIsNotPassedOnToWhoWouldDialIt) {
  make({});
  ASSERT_TRUE(netmap->on_frame(kFar, kDescriptor, at_addresses(1, {kLoopback, kWorld}), now));
  ASSERT_TRUE(netmap->on_frame(kFar, kDescriptor, at_addresses(2, {kWorld}), now));
  settle();
  ASSERT_EQ(netmap->stats().held, 2u);
  EXPECT_EQ(sent(kNear), 1u) << "the second one";
  sink.take();
  ASSERT_TRUE(netmap->on_frame(kNear, kDigest, digest_of({}), now));
  ASSERT_TRUE(
      netmap->on_frame(kNear, kWant, wire::encode_want(std::vector{identity_of(1).id()}), now));
  settle();
  EXPECT_EQ(sent(kNear), 1u) << "the second one, not the first: not when asked for, either";
  for (const NodeLink link : {kNear, kFar}) {
    ASSERT_TRUE(netmap->on_frame(link, kAsk, ask_of({}), now));
    ASSERT_TRUE(netmap->on_frame(link, kAsk, ask_of({}, false), now));
  }
  settle();
  EXPECT_EQ(shown(kNear), std::vector{identity_of(2).id()});
  EXPECT_EQ(shown(kFar).size(), 2u) << "over a path like the one that it came by it goes on";
  EXPECT_EQ(counted(kNear), 1u) << "nor is the first one in a summary";
  EXPECT_EQ(counted(kFar), 2u);
}

/// A node that was killed and comes back in the same second, or with a clock that was set back,
/// publishes one that does not stand. Only who hears of the other one can supersede it.
TEST_F(TellTest, WhoComesBackHearsOfWhatStandsForItThoughNobodyReachesIt) {
  make({.only_reached = true});
  const NodeId self = identity_of(1).id();
  Descriptor earlier = descriptor_of(1), later = descriptor_of(1);
  later.published += 1;
  const auto stands = signed_by(identity_of(1), later);
  ASSERT_TRUE(netmap->on_frame(kNear, kDescriptor, stands, now));
  settle();
  constexpr NodeLink kOther = node_link(33), kItself = node_link(44);
  netmap->on_link_ready(kOther, now, {.peer = identity_of(2).id()});
  netmap->on_link_ready(kItself, now, {.peer = self});
  const auto came = signed_by(identity_of(1), earlier);
  for (const NodeLink link : {kOther, kItself}) {
    ASSERT_TRUE(netmap->on_frame(link, kDescriptor, came, now));
  }
  settle();
  EXPECT_EQ(sent(kOther), 0u) << "nobody else hears of who was not reached";
  ASSERT_EQ(sent(kItself), 1u);
  EXPECT_EQ(sink.frames.back().body, stands);
  for (const NodeLink link : {kOther, kItself}) {
    ASSERT_TRUE(netmap->on_frame(link, kAsk, ask_of({}), now));
  }
  settle();
  EXPECT_EQ(shown(kOther), std::vector<NodeId>{});
  EXPECT_EQ(shown(kItself), std::vector{self}) << "and what it compares shows it";
}

// A stranger could give a node a descriptor that nobody else has, and know it by that again.
TEST_F(TellTest, ANodeThatIsNoRelayTellsOfItselfOnly) {
  make({.self = identity_of(1).id(), .passes_on = false});
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ASSERT_TRUE(netmap->on_frame(kFar, kDescriptor, raw_of(2), now));
  settle();
  ASSERT_EQ(netmap->stats().held, 2u);
  EXPECT_EQ(sent(kNear), 1u) << "its own";
  EXPECT_EQ(sent(kFar), 1u);
  sink.take();
  ASSERT_TRUE(netmap->on_frame(kFar, kDigest, digest_of({}), now));
  ASSERT_TRUE(
      netmap->on_frame(kFar, kWant, wire::encode_want(std::vector{identity_of(2).id()}), now));
  for (int i = 0; i < 600; ++i) {
    now.mono += 1s;
    netmap->on_time(now);
  }
  EXPECT_EQ(sent(kFar), 1u) << "the digest did not show it: its own, once more";
  ASSERT_TRUE(netmap->on_frame(kFar, kAsk, ask_of({}), now));
  ASSERT_TRUE(netmap->on_frame(kFar, kAsk, ask_of({}, false), now));
  netmap->on_clock_set(now);
  settle();
  for (const NodeLink link : {kNear, kFar}) {
    EXPECT_EQ(sink.count(link, wire::ControlType::digest), 0u);
    EXPECT_EQ(sink.count(link, wire::ControlType::summary), 0u);
  }
}

/// What it tells of itself may be dropped there, and nobody asks it for that again.
TEST_F(TellTest, ANodeThatIsNoRelayTellsOfItselfAgainWhereItIsNotShown) {
  make({.self = identity_of(1).id(), .passes_on = false});
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  settle();
  const auto says = [&](NodeLink link, bool shows) {
    Fingerprints all({}, 7);
    if (shows) all.add(identity_of(1).id(), rank_in(raw_of(1)));
    ASSERT_TRUE(netmap->on_frame(link, kSummary, wire::encode_summary(all.finish()), now));
    if (shows) {
      const std::vector<wire::DigestEntry> own{{identity_of(1).id(), rank_in(raw_of(1))}};
      ASSERT_TRUE(netmap->on_frame(link, kDigest, digest_of(own), now));
    }
    settle();
  };
  for (int minute = 0; minute < 60; ++minute) {
    now = at((now.mono + 1min).time_since_epoch());
    says(kNear, true);
    says(kFar, false);
  }
  EXPECT_EQ(sent(kNear), 1u) << "its peer shows it";
  EXPECT_GE(sent(kFar), 5u);
  EXPECT_LE(sent(kFar), 7u) << "one in ten minutes";
}

/// What it asks a link for depends on what came over that link only: else the ranges that it asks
/// for would tell what it holds from elsewhere.
TEST_F(TellTest, WhatANodeThatIsNoRelayHoldsDoesNotShowInWhatItAsksFor) {
  const auto asked = [&](const std::vector<std::uint64_t>& from_elsewhere) {
    sink.take();
    rng = SeededRng{1};
    make({.self = identity_of(1).id(), .passes_on = false});
    for (const std::uint64_t i : from_elsewhere) {
      EXPECT_TRUE(netmap->on_frame(kNear, kDescriptor, raw_of(i), now));
    }
    settle();
    Fingerprints all({}, 7);
    std::map<NodeId, std::uint64_t> shown;
    for (std::uint64_t i = 10; i < 40; ++i) shown[identity_of(i).id()] = rank_in(raw_of(i));
    for (const auto& [id, rank] : shown) all.add(id, rank);
    EXPECT_TRUE(netmap->on_frame(kFar, kSummary, wire::encode_summary(all.finish()), now));
    std::vector<std::byte> out;
    for (const Frame& frame : sink.frames) {
      if (frame.link == kFar && frame.type == kAsk) out = frame.body;
    }
    return out;
  };
  const auto nothing = asked({});
  EXPECT_FALSE(nothing.empty());
  EXPECT_EQ(asked({50}), nothing);
  EXPECT_EQ(asked({10, 11, 12, 13}), nothing);
}

/// It passes nothing on: of most it lets go of what only others would need.
TEST_F(TellTest, ANodeThatIsNoRelayHoldsTheBytesOfAsManyAsItsFileTakes) {
  constexpr std::size_t kNodes = 3'000;
  const auto unsigned_one = [](Bytes raw, UnixSeconds today, Reach) -> Result<EntryPtr> {
    auto descriptor = parse(raw, today);
    if (!descriptor) return std::unexpected(descriptor.error());
    return unverified_entry(*descriptor, {raw.begin(), raw.end()});
  };
  for (const bool relay : {true, false}) {
    make({.passes_on = relay, .make = unsigned_one});
    for (std::size_t i = 0; i < kNodes; ++i) {
      Descriptor d = descriptor_of(i);
      store_be<std::uint64_t>(d.identity.data(), i);
      auto raw = encode_unsigned(d);
      raw.resize(raw.size() + crypto::kSignatureSize);
      ASSERT_TRUE(netmap->add(raw, now));
    }
    std::size_t whole = 0, usable = 0;
    for (const EntryPtr& entry : netmap->view()->entries()) {
      whole += entry->raw.empty() ? 0 : 1;
      usable += entry->has_onion_key(kToday) ? 1 : 0;
    }
    EXPECT_EQ(usable, kNodes);
    if (relay) {
      EXPECT_EQ(whole, kNodes);
    } else {
      EXPECT_GE(whole, kKeptMax);
      EXPECT_LE(whole, 3 * kKeptMax) << "those of the time when it held fewer are still there";
    }
    EXPECT_EQ(netmap->worth_keeping(kKeptMax).size(), kKeptMax);
  }
}

TEST_F(TellTest, ItAsksForWhatDigestsShow) {
  make({.self = identity_of(1).id(), .passes_on = false});
  const std::vector<wire::DigestEntry> entries{{identity_of(5).id(), descriptor_of(5).published}};
  ASSERT_TRUE(netmap->on_frame(kFar, kDigest, digest_of(entries), now));
  EXPECT_EQ(sink.count(kFar, wire::ControlType::want), 1u);
}

}  // namespace
}  // namespace qudag::netmap
