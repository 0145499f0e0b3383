// What a netmap tells its links: nothing that would make them dial what the teller would not, and,
// if it is no relay's, nothing but itself.
#include "netmap/netmap.h"

#include "netmap/fixture.h"

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
  ASSERT_TRUE(netmap->on_frame(kNear, kDigest, wire::encode_digest(0, 255, {}), now));
  ASSERT_TRUE(
      netmap->on_frame(kNear, kWant, wire::encode_want(std::vector{identity_of(1).id()}), now));
  settle();
  EXPECT_EQ(sent(kNear), 1u) << "the second one, not the first: not when asked for, either";
  now.mono += 100s;
  netmap->on_time(now);
  EXPECT_EQ(shown(kNear), std::vector{identity_of(2).id()});
  EXPECT_EQ(shown(kFar).size(), 2u) << "over a path like the one that it came by it goes on";
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
  ASSERT_TRUE(netmap->on_frame(kFar, kDigest, wire::encode_digest(0, 255, {}), now));
  ASSERT_TRUE(
      netmap->on_frame(kFar, kWant, wire::encode_want(std::vector{identity_of(2).id()}), now));
  for (int i = 0; i < 600; ++i) {
    now.mono += 1s;
    netmap->on_time(now);
  }
  EXPECT_EQ(sent(kFar), 1u) << "the digest did not show it: its own, once more";
  EXPECT_EQ(sink.count(kFar, wire::ControlType::digest), 0u);
  EXPECT_EQ(sink.count(kNear, wire::ControlType::digest), 0u);
}

TEST_F(TellTest, ItAsksForWhatDigestsShow) {
  make({.self = identity_of(1).id(), .passes_on = false});
  const std::vector<wire::DigestEntry> entries{{identity_of(5).id(), descriptor_of(5).published}};
  ASSERT_TRUE(netmap->on_frame(kFar, kDigest, wire::encode_digest(0, 255, entries), now));
  EXPECT_EQ(sink.count(kFar, wire::ControlType::want), 1u);
}

}  // namespace
}  // namespace qudag::netmap
