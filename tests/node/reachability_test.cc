// Whether others reach a node: what proves it, and when it is said that nobody does.
#include "node/reachability.h"

#include <gtest/gtest.h>

#include <vector>

namespace qudag::node {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{std::chrono::hours(1)};

SocketAddress world(std::uint8_t host, std::uint16_t port = 4433) {
  return SocketAddress::v4(8, host, 0, 1, port);
}

NodeId id_of(std::uint8_t number) {
  NodeId out;
  out.bytes.fill(std::byte{number});
  return out;
}

/// Relays 1 to `count`, each at world(number).
netmap::View relays(std::uint8_t count) {
  std::vector<netmap::EntryPtr> all;
  for (std::uint8_t i = 1; i <= count; ++i) {
    auto entry = std::make_shared<netmap::Entry>();
    entry->descriptor.id = id_of(i);
    entry->descriptor.relay = true;
    entry->descriptor.addresses = {world(i)};
    all.push_back(entry);
  }
  return netmap::View(std::move(all));
}

TEST(Reachability, ALinkFromWhereNothingWasSentProvesIt) {
  Reachability reach;
  reach.begin(id_of(1), true);
  EXPECT_FALSE(reach.reached());
  reach.on_link(world(2), true);
  reach.on_link(world(2, 999), false);
  EXPECT_FALSE(reach.reached()) << "a router that lets answers of a host in is no proof";
  EXPECT_FALSE(reach.take_change());
  reach.on_link(world(3), false);
  EXPECT_EQ(reach.reached(), true);
  EXPECT_EQ(reach.take_change(), true);
  EXPECT_FALSE(reach.take_change()) << "said once";
}

TEST(Reachability, OfOneMachineThePortTells) {
  Reachability reach;
  reach.begin(id_of(1), true);
  reach.on_link(SocketAddress::v4(127, 0, 0, 1, 1'000), true);
  reach.on_link(SocketAddress::v4(127, 0, 0, 1, 1'000), false);
  EXPECT_FALSE(reach.reached());
  reach.on_link(SocketAddress::v4(127, 0, 0, 1, 1'001), false);
  EXPECT_EQ(reach.reached(), true);
}

TEST(Reachability, NobodyCameThoughTheyKnowOfIt) {
  Reachability reach;
  reach.begin(id_of(1), true);
  reach.on_link(world(2), true);
  TimePoint now = kStart;
  for (; now < kStart + Reachability::kPatience; now += 61s) reach.look(relays(5), true, now);
  EXPECT_FALSE(reach.reached());
  reach.look(relays(4), true, now);
  EXPECT_FALSE(reach.reached()) << "itself and the one that it dialed are none";
  reach.look(relays(5), true, now + 30s);
  EXPECT_FALSE(reach.reached()) << "once a minute is enough";
  reach.look(relays(5), false, now + 61s);
  for (int i = 2; i < 11; ++i) reach.look(relays(5), true, now + i * 61s);
  EXPECT_FALSE(reach.reached()) << "it was away in between, and the time begins anew";
  for (int i = 11; i < 13; ++i) reach.look(relays(5), true, now + i * 61s);
  EXPECT_EQ(reach.take_change(), false);
  reach.on_link(world(3), false);
  EXPECT_EQ(reach.take_change(), true) << "somebody came later";
  reach.look(relays(5), true, now + 1h);
  EXPECT_EQ(reach.reached(), true);
}

TEST(Reachability, WhoPublishesNothingKnowsNothing) {
  Reachability reach;
  reach.begin(id_of(1), false);
  reach.on_link(world(3), false);
  for (int i = 0; i < 20; ++i) reach.look(relays(9), true, kStart + i * 61s);
  EXPECT_FALSE(reach.reached());
}

TEST(Reachability, RemembersABoundedNumberOfAddresses) {
  Reachability reach;
  reach.begin(id_of(1), true);
  const auto local = [](std::size_t i) {
    return SocketAddress::v4(10, 0, 0, 1, static_cast<std::uint16_t>(i + 1));
  };
  for (std::size_t i = 0; i <= Reachability::kSentToMax; ++i) reach.on_link(local(i), true);
  for (std::size_t i = 1; i <= Reachability::kSentToMax; ++i) reach.on_link(local(i), false);
  EXPECT_FALSE(reach.reached());
  reach.on_link(local(0), false);
  EXPECT_EQ(reach.reached(), true) << "the oldest was forgotten";
}

}  // namespace
}  // namespace qudag::node
