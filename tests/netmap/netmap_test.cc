// One Netmap with a recording sink: what it takes, what it drops, what it sends, and its bounds.
#include "netmap/netmap.h"

#include "netmap/fixture.h"

#include <string>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr NodeLink kA = node_link(11);
constexpr NodeLink kB = node_link(22);
constexpr NodeLink kC = node_link(33);

class NetmapTest : public ::testing::Test {
 protected:
  NetmapTest() { make({}); }
  void make(NetmapOptions options) { netmap = std::make_unique<Netmap>(options, rng, sink); }
  void ready(NodeLink link) { netmap->on_link_ready(link, now); }
  bool give(NodeLink link, Bytes raw) { return netmap->on_frame(link, kDescriptor, raw, now); }
  /// Runs turns until nothing is due any more.
  void settle() {
    for (int i = 0; i < 1000 && netmap->next_deadline() <= now.mono; ++i) netmap->on_time(now);
    ASSERT_GT(netmap->next_deadline(), now.mono);
  }
  void pass(std::chrono::seconds time) {
    now.mono += time;
    now.unix_seconds += static_cast<UnixSeconds>(time.count());
  }
  std::size_t sent(NodeLink link) const { return sink.count(link, wire::ControlType::descriptor); }

  SeededRng rng{1};
  RecordingSink sink;
  std::unique_ptr<Netmap> netmap;
  Now now = at(1s);
};

TEST_F(NetmapTest, AddVerifiesAtOnce) {
  auto raw = raw_of(1);
  EXPECT_TRUE(netmap->add(raw, now));
  EXPECT_EQ(netmap->version(), 1u);
  ASSERT_NE(netmap->view()->find(identity_of(1).id()), nullptr);
  EXPECT_EQ(netmap->view()->find(identity_of(1).id())->raw, raw);
  EXPECT_EQ(netmap->add(raw, now).error().code, Errc::already_exists);
  raw.back() ^= std::byte{1};
  EXPECT_EQ(netmap->add(raw, now).error().code, Errc::authentication_failed);
  EXPECT_EQ(netmap->add({}, now).error().code, Errc::malformed);
  const NetmapStats stats = netmap->stats();
  EXPECT_EQ(stats.accepted, 1u);
  EXPECT_EQ(stats.rejected_old, 1u);
  EXPECT_EQ(stats.rejected_signature, 1u);
  EXPECT_EQ(stats.rejected_malformed, 1u);
}

TEST_F(NetmapTest, ViewsAreSnapshots) {
  const ViewPtr before = netmap->view();
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  EXPECT_TRUE(before->entries().empty());
  const ViewPtr after = netmap->view();
  EXPECT_EQ(after->entries().size(), 1u);
  EXPECT_EQ(netmap->view(), after) << "the same until something changes";
}

TEST_F(NetmapTest, AReadyLinkGetsASummaryAndThenOneEveryInterval) {
  ready(kA);
  ASSERT_EQ(sink.frames.size(), 1u);
  EXPECT_EQ(sink.frames[0].type, kSummary);
  const auto summary = wire::parse_summary(sink.frames[0].body);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->range, wire::IdRange{});
  for (const auto& part : summary->parts) EXPECT_EQ(part.count, 0u);
  settle();
  EXPECT_EQ(sink.frames.size(), 1u);
  for (int i = 0; i < 600; ++i) {
    pass(1s);
    netmap->on_time(now);
  }
  EXPECT_GE(sink.frames.size(), 1u + 8u);
  EXPECT_LE(sink.frames.size(), 1u + 13u);
}

TEST_F(NetmapTest, NewDescriptorGoesOnToLinksWhoseDigestDidNotShowIt) {
  for (const NodeLink link : {kA, kB, kC}) ready(link);
  const auto raw = raw_of(1);
  const std::vector<wire::DigestEntry> shown{{identity_of(1).id(), rank_in(raw)}};
  ASSERT_TRUE(netmap->on_frame(kC, kDigest, digest_of(shown), now));
  EXPECT_EQ(sink.count(kC, wire::ControlType::want), 1u);
  ASSERT_TRUE(give(kA, raw));
  EXPECT_EQ(netmap->stats().held, 0u) << "waits for its signature";
  EXPECT_LE(netmap->next_deadline(), now.mono);
  settle();
  EXPECT_EQ(netmap->stats().held, 1u);
  EXPECT_EQ(sent(kA), 0u) << "it came from there";
  EXPECT_EQ(sent(kB), 1u);
  EXPECT_EQ(sent(kC), 0u) << "its digest showed it";
  for (const Frame& frame : sink.frames) {
    if (frame.type == kDescriptor) {
      EXPECT_EQ(frame.body, raw);
    }
  }
}

TEST_F(NetmapTest, ADigestIsAnsweredWithWhatItLacksAndAWantForWhatWeLack) {
  Descriptor newer = descriptor_of(2);
  newer.published += 5;
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ASSERT_TRUE(netmap->add(signed_by(identity_of(2), newer), now));
  ASSERT_TRUE(netmap->add(raw_of(3), now));
  ready(kA);
  sink.take();
  std::vector<wire::DigestEntry> shown{
      {identity_of(2).id(), rank_of(newer.published - 5, 0)},  // older than ours: send it
      {identity_of(3).id(),
       rank_of(descriptor_of(3).published + 1, 0)},  // newer than ours: want it
      {identity_of(4).id(), 1},                      // not ours: want it
  };
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest_of(shown), now));
  settle();
  ASSERT_EQ(sink.count(kA, wire::ControlType::want), 1u);
  std::vector wanted{identity_of(3).id(), identity_of(4).id()};
  std::ranges::sort(wanted);
  EXPECT_EQ(sink.frames[0].body, wire::encode_want(wanted));
  EXPECT_EQ(sent(kA), 2u) << "1 is missing there, 2 is older";
}

TEST_F(NetmapTest, AFullDigestFitsTheScratchMemory) {
  ready(kA);
  sink.take();
  std::vector<wire::DigestEntry> shown;
  for (std::size_t i = 0; i < wire::kDigestEntriesMax; ++i) {
    NodeId id{};
    id.bytes[0] = static_cast<std::byte>(i / 256);
    id.bytes[1] = static_cast<std::byte>(i % 256);
    shown.push_back({id, descriptor_of(1).published});
  }
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest_of(shown), now));
  ASSERT_EQ(sink.count(kA, wire::ControlType::want), 1u);
  const std::size_t each = sizeof(wire::DigestEntry) + NodeId::kSize;
  EXPECT_EQ(netmap->stats().scratch_bytes, shown.size() * each + wire::want_bytes(shown.size()));
  EXPECT_EQ(sink.frames[0].body.size(), wire::want_bytes(shown.size()));
}

TEST_F(NetmapTest, OneLinkIsAskedAtATimeAndAnotherWhenItDoesNotAnswer) {
  ready(kA);
  ready(kB);
  const auto digest = digest_of({{id_of(9), 5}});
  const auto wants = [&](NodeLink link) { return sink.count(link, wire::ControlType::want); };
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  ASSERT_TRUE(netmap->on_frame(kB, kDigest, digest, now));
  EXPECT_EQ(wants(kA), 1u);
  EXPECT_EQ(wants(kB), 0u);
  pass(6s);
  ASSERT_TRUE(netmap->on_frame(kB, kDigest, digest, now));
  EXPECT_EQ(wants(kB), 1u);
  netmap->on_link_closed(kB);
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  EXPECT_EQ(wants(kA), 2u) << "who was asked is gone";
}

TEST_F(NetmapTest, WantIsAnswered) {
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ready(kA);
  const auto want = wire::encode_want(std::vector{identity_of(1).id(), identity_of(2).id()});
  ASSERT_TRUE(netmap->on_frame(kA, kWant, want, now));
  ASSERT_TRUE(netmap->on_frame(kA, kWant, want, now));
  settle();
  EXPECT_EQ(sent(kA), 1u) << "asked twice before it left: sent once";
  ASSERT_TRUE(netmap->on_frame(kA, kWant, want, now));
  settle();
  EXPECT_EQ(sent(kA), 1u) << "it is on its way";
  pass(2s);
  ASSERT_TRUE(netmap->on_frame(kA, kWant, want, now));
  settle();
  EXPECT_EQ(sent(kA), 2u);
}

TEST_F(NetmapTest, NewerReplacesOlderAndOfEqualOnesAllKeepTheSame) {
  ready(kA);
  const auto identity = identity_of(1);
  Descriptor d = descriptor_of(1);
  auto first = signed_by(identity, d);
  d.capacity_kib_s = 7;
  auto equal = signed_by(identity, d);
  if (rank_in(first) < rank_in(equal)) std::swap(first, equal);
  d.published += 1;
  const auto newer = signed_by(identity, d);

  ASSERT_TRUE(give(kA, first));
  settle();
  ASSERT_TRUE(give(kA, equal));
  settle();
  EXPECT_EQ(netmap->view()->find(identity.id())->raw, first);
  EXPECT_EQ(netmap->stats().rejected_old, 1u);
  make({});  // one that hears of them the other way round
  ready(kA);
  ASSERT_TRUE(give(kA, equal));
  settle();
  ASSERT_TRUE(give(kA, first));
  settle();
  EXPECT_EQ(netmap->view()->find(identity.id())->raw, first);
  netmap->on_time(now);
  ASSERT_TRUE(give(kA, newer));
  settle();
  EXPECT_EQ(netmap->view()->find(identity.id())->raw, newer);
  EXPECT_EQ(netmap->stats().replaced, 2u);
  ASSERT_TRUE(give(kA, first));
  settle();
  EXPECT_EQ(netmap->view()->find(identity.id())->raw, newer);
  EXPECT_EQ(netmap->stats().held, 1u);
}

TEST_F(NetmapTest, WrongFormClosesTheLinkWrongTimeDoesNot) {
  ready(kA);
  auto raw = raw_of(1);
  EXPECT_FALSE(give(kA, Bytes(raw).first(raw.size() - 1)));
  EXPECT_FALSE(netmap->on_frame(kA, kDigest, {}, now));
  EXPECT_FALSE(netmap->on_frame(kA, kWant, {}, now));
  EXPECT_FALSE(netmap->on_frame(kA, kSummary, {}, now));
  EXPECT_FALSE(netmap->on_frame(kA, kAsk, {}, now));
  EXPECT_FALSE(netmap->on_frame(kA, 0x20, {}, now)) << "no frame of gossip";
  EXPECT_EQ(netmap->stats().frames_malformed, 6u);
  now.unix_seconds += 2 * kDay;
  EXPECT_TRUE(give(kA, raw));
  EXPECT_EQ(netmap->stats().rejected_expired, 1u);
  raw[0] = std::byte{9};
  EXPECT_TRUE(give(kA, raw)) << "a later version";
  EXPECT_EQ(netmap->stats().held, 0u);
}

TEST_F(NetmapTest, AForgedDescriptorClosesTheLinkAtItsNextFrame) {
  ready(kA);
  ready(kB);
  auto raw = raw_of(1);
  raw.back() ^= std::byte{1};
  EXPECT_TRUE(give(kA, raw));
  settle();
  EXPECT_EQ(netmap->stats().rejected_signature, 1u);
  EXPECT_EQ(netmap->stats().held, 0u);
  EXPECT_EQ(sent(kB), 0u);
  EXPECT_FALSE(give(kA, raw_of(1)));
  EXPECT_TRUE(give(kB, raw_of(1)));
  netmap->on_link_closed(kA);
  ready(kA);  // the key may be used again for another link
  EXPECT_TRUE(give(kA, raw_of(2)));
  settle();
  EXPECT_EQ(netmap->stats().held, 2u);
}

TEST_F(NetmapTest, ExpiredDescriptorsLeave) {
  Descriptor longer = descriptor_of(2);
  longer.expires += kDay;
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ASSERT_TRUE(netmap->add(signed_by(identity_of(2), longer), now));
  netmap->on_time(now);
  const auto version = netmap->version();
  pass(std::chrono::seconds(kDay));
  netmap->on_time(now);
  EXPECT_EQ(netmap->view()->find(identity_of(1).id()), nullptr);
  EXPECT_NE(netmap->view()->find(identity_of(2).id()), nullptr);
  EXPECT_EQ(netmap->stats().expired, 1u);
  EXPECT_GT(netmap->version(), version);
}

TEST_F(NetmapTest, FullKeepsAPlaceForOurselvesAndTakesNewerOnes) {
  make({.self = identity_of(9).id(), .descriptors_max = 2});
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ASSERT_TRUE(netmap->add(raw_of(2), now));
  EXPECT_EQ(netmap->add(raw_of(3), now).error().code, Errc::refused_memory);
  Descriptor newer = descriptor_of(1);
  newer.published += 1;
  EXPECT_TRUE(netmap->add(signed_by(identity_of(1), newer), now));
  EXPECT_TRUE(netmap->add(raw_of(9), now));
  EXPECT_EQ(netmap->stats().held, 3u);

  ready(kA);
  sink.take();
  const auto digest = digest_of({{id_of(77), 5}});
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  EXPECT_EQ(sink.count(kA, wire::ControlType::want), 0u) << "no room: not asked for";
  ASSERT_TRUE(give(kA, raw_of(3)));
  EXPECT_EQ(netmap->stats().rejected_full, 2u);
  EXPECT_EQ(netmap->stats().waiting, 0u) << "no signature is looked at";
}

TEST_F(NetmapTest, AFloodIsBoundedPerTurnAndDoesNotStarveOtherLinks) {
  make({.verifies_per_turn_max = 4, .waiting_max = 32});
  ready(kA);
  ready(kB);
  // Well formed, of ever new ids, with signatures of nobody: the most expensive thing to send.
  const auto honest = raw_of(1);
  auto forged = honest;
  for (std::uint32_t i = 0; i < 200; ++i) {
    store_be(forged.data() + 1, i);  // the identity key
    ASSERT_TRUE(give(kA, forged));
  }
  ASSERT_TRUE(give(kB, honest));
  EXPECT_EQ(netmap->stats().waiting, 32u);
  EXPECT_EQ(netmap->stats().waiting_dropped, 200u - 31u);
  netmap->on_time(now);
  EXPECT_EQ(netmap->stats().rejected_signature + netmap->stats().held, 4u) << "a turn";
  EXPECT_EQ(netmap->stats().held, 1u) << "the other link was not starved";
  EXPECT_LE(netmap->next_deadline(), now.mono);
  settle();
  EXPECT_EQ(netmap->stats().rejected_signature, 31u);
  EXPECT_EQ(netmap->stats().waiting, 0u);
}

TEST_F(NetmapTest, CopiesOfOneDescriptorCostOneSignature) {
  make({.verifies_per_turn_max = 1});
  const auto raw = raw_of(1);
  for (std::uint64_t link = 1; link <= 20; ++link) ready(node_link(link));
  sink.take();
  for (std::uint64_t link = 1; link <= 20; ++link) ASSERT_TRUE(give(node_link(link), raw));
  netmap->on_time(now);
  netmap->on_time(now);
  EXPECT_EQ(netmap->stats().waiting, 0u);
  EXPECT_EQ(netmap->stats().rejected_old, 19u);
}

TEST_F(NetmapTest, SmallFramesCannotMakeLargeWork) {
  make({.descriptors_max = 100});
  ASSERT_TRUE(netmap->add(raw_of(1), now));
  ready(kA);
  const auto digest = digest_of({});
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  EXPECT_GT(netmap->stats().frames_ignored, 1500u);
  const auto before = netmap->stats().frames_ignored;
  pass(60s);
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  EXPECT_EQ(netmap->stats().frames_ignored, before) << "the allowance comes back";
}

TEST_F(NetmapTest, DescriptorsLeaveAtASteadyRateAndWaitForTheSink) {
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(netmap->add(raw_of(i), now));
  ready(kA);
  ready(kB);
  sink.take();
  const auto digest = digest_of({});
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest, now));
  ASSERT_TRUE(netmap->on_frame(kB, kDigest, digest, now));
  EXPECT_EQ(netmap->stats().owed, 200u);
  netmap->on_time(now);
  EXPECT_EQ(sent(kA), 32u) << "64 in a turn, links in turn";
  EXPECT_EQ(sent(kB), 32u);
  settle();
  EXPECT_EQ(sent(kA), 64u) << "a burst";
  EXPECT_LT(netmap->next_deadline(), now.mono + 10ms);
  sink.refuse = true;
  now.mono += 1s;
  settle();
  EXPECT_GE(netmap->next_deadline(), now.mono + 100ms) << "no spinning on a sink without room";
  sink.refuse = false;
  now.mono += 1s;
  settle();
  EXPECT_EQ(sent(kA), 100u);
  EXPECT_EQ(sent(kB), 100u);
  EXPECT_EQ(netmap->stats().owed, 0u);
}

TEST_F(NetmapTest, LinksBeyondTheLimitAreServedNoGossip) {
  make({.links_max = 1});
  ready(kA);
  ready(kB);
  EXPECT_TRUE(give(kB, raw_of(1)));
  EXPECT_EQ(netmap->stats().frames_ignored, 1u);
  EXPECT_EQ(netmap->stats().waiting, 0u);
  EXPECT_EQ(sink.frames.size(), 1u);
  netmap->on_link_closed(kA);
  ready(kB);
  EXPECT_EQ(sink.frames.size(), 2u);
}

TEST_F(NetmapTest, AClosedLinkLeavesNothingBehind) {
  for (std::uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(netmap->add(raw_of(i), now));
  ready(kA);
  ASSERT_TRUE(netmap->on_frame(kA, kDigest, digest_of({}), now));
  EXPECT_EQ(netmap->stats().owed, 10u);
  netmap->on_link_closed(kA);
  EXPECT_EQ(netmap->stats().owed, 0u);
  ready(kB);  // takes the slot of kA: what kA had does not count for it
  ASSERT_TRUE(netmap->on_frame(kB, kDigest, digest_of({}), now));
  settle();
  EXPECT_EQ(sent(kA), 0u);
  EXPECT_EQ(sent(kB), 10u);
}

}  // namespace
}  // namespace qudag::netmap
