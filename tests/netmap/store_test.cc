// The store and the verification queue alone: digests that always fit, bounds, turns.
#include "netmap/map/store.h"
#include "support/allocation_count.h"

#include "netmap/fixture.h"
#include "netmap/gossip/verify_queue.h"

#include <set>

namespace qudag::netmap {
namespace {

using namespace test;

constexpr Now kNow{.unix_seconds = kToday};

EntryPtr entry_with(std::uint8_t first, std::uint64_t number) {
  auto entry = entry_of(number);
  entry->descriptor.id.bytes[0] = std::byte{first};
  store_be(entry->descriptor.id.bytes.data() + 1, number);
  return entry;
}

TEST(Store, DigestsCoverEverythingAndFit) {
  Store store({.descriptors_max = 5000});
  SeededRng rng(3);
  std::set<NodeId> ids;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const auto first = static_cast<std::uint8_t>(rng.below(i % 2 == 0 ? 256 : 8));
    const EntryPtr entry = entry_with(first, i);
    ASSERT_EQ(store.judge(entry->descriptor.id, 1, kToday), Store::Judgement::newcomer);
    store.put(entry, kNow);
    ids.insert(entry->descriptor.id);
  }
  unsigned next = 0;
  std::set<NodeId> shown;
  for (const auto& body : store.digests()) {
    const auto digest = wire::DigestView::parse(body);
    ASSERT_TRUE(digest) << "at most 400, all in range";
    EXPECT_EQ(digest->lo(), next) << "without gaps";
    next = digest->hi() + 1u;
    for (std::size_t i = 0; i < digest->size(); ++i) shown.insert(digest->at(i).id);
  }
  EXPECT_EQ(next, 256u);
  EXPECT_EQ(shown, ids);
}

TEST(Store, OneFirstByteHasABoundSoThatItsDigestFits) {
  const NodeId self = entry_with(5, 1'000'000)->descriptor.id;
  Store store({.self = self, .descriptors_max = 5000});
  std::size_t taken = 0;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const EntryPtr entry = entry_with(5, i);
    if (store.judge(entry->descriptor.id, 1, kToday) == Store::Judgement::full) continue;
    store.put(entry, kNow);
    ++taken;
  }
  EXPECT_EQ(taken, wire::kDigestEntriesMax - 1);
  ASSERT_EQ(store.judge(self, 1, kToday), Store::Judgement::newcomer) << "our own place";
  store.put(entry_with(5, 1'000'000), kNow);
  EXPECT_EQ(store.count_range(5, 5), wire::kDigestEntriesMax);
  for (const auto& body : store.digests()) EXPECT_TRUE(wire::DigestView::parse(body));
}

TEST(Store, ExpireMakesRoom) {
  Store store({.descriptors_max = 1});
  store.put(entry_with(5, 1), kNow);
  const NodeId other = entry_with(5, 2)->descriptor.id;
  EXPECT_EQ(store.judge(other, 1, kToday), Store::Judgement::full);
  EXPECT_EQ(store.expire(kToday + kDay - 1), 0u);
  EXPECT_EQ(store.expire(kToday + kDay), 1u);
  EXPECT_EQ(store.judge(other, 1, kToday), Store::Judgement::newcomer);
  EXPECT_EQ(store.count_range(0, 255), 0u);
}

/// A node's clock was two days ahead, ours too, and now both are right.
TEST(Store, WhatLiesTooFarAheadGivesWayToAnything) {
  Store store({.descriptors_max = 10});
  const EntryPtr entry = entry_with(5, 1);
  const UnixSeconds published = entry->descriptor.published;
  const NodeId id = entry->descriptor.id;
  const std::uint64_t lower = rank_of(published - 1, 0);
  store.put(entry, {.unix_seconds = published});
  EXPECT_EQ(store.judge(id, lower, published - kPublishedAheadMax), Store::Judgement::old);
  EXPECT_EQ(store.judge(id, lower, published - kPublishedAheadMax - 1), Store::Judgement::newer);
  EXPECT_EQ(store.judge(id, lower, published - 2 * kDay), Store::Judgement::newer);
  EXPECT_EQ(store.judge(id, entry->descriptor.rank, published), Store::Judgement::old);
}

std::vector<std::byte> item(unsigned value) { return {static_cast<std::byte>(value)}; }

TEST(VerifyQueue, LinksTakeTurns) {
  VerifyQueue queue(10);
  for (const unsigned value : {1u, 2u, 3u}) queue.push(node_link(100), item(value), TimePoint{});
  queue.push(node_link(200), item(4), TimePoint{});
  queue.push(node_link(300), item(5), TimePoint{});
  std::vector<std::uint32_t> links;
  std::vector<unsigned> values;
  while (const auto next = queue.pop(TimePoint{})) {
    links.push_back(next->link.link.slot);
    values.push_back(std::to_integer<unsigned>(next->raw[0]));
  }
  EXPECT_EQ(links, (std::vector<std::uint32_t>{100, 200, 300, 100, 100}));
  EXPECT_EQ(values, (std::vector<unsigned>{1, 4, 5, 2, 3}));
}

TEST(VerifyQueue, WhoHasMostLosesItsOldest) {
  VerifyQueue queue(4);
  queue.push(node_link(200), item(9), TimePoint{});
  for (const unsigned value : {1u, 2u, 3u, 4u, 5u})
    queue.push(node_link(100), item(value), TimePoint{});
  queue.push(node_link(300), item(7), TimePoint{});
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_EQ(queue.dropped(), 3u);
  std::vector<unsigned> values;
  while (const auto next = queue.pop(TimePoint{}))
    values.push_back(std::to_integer<unsigned>(next->raw[0]));
  EXPECT_EQ(values, (std::vector<unsigned>{4, 9, 7, 5}));
}

TEST(VerifyQueue, IsBoundedInBytesAndAge) {
  using namespace std::chrono_literals;
  VerifyQueue queue(4);
  BoundedList rows;
  queue.report(rows, TimePoint{});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].bytes_max, 4 * limits::kDescriptorBytesMax);
  queue.push(node_link(100), item(1), TimePoint{});
  queue.push(node_link(100), item(2), TimePoint{30s});
  const auto next = queue.pop(TimePoint{61s});
  ASSERT_TRUE(next);
  EXPECT_EQ(std::to_integer<unsigned>(next->raw[0]), 2u) << "the first was too old";
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_TRUE(queue.empty());
}

TEST(VerifyQueue, OwnsItsPlacesFromTheBeginning) {
  VerifyQueue queue(64);
  const std::vector<std::byte> descriptor(6'500, std::byte{7});
  std::size_t verified = 0;
  const std::uint64_t before = qudag::test::allocations();
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    queue.push(node_link(i % 40), descriptor, TimePoint{});
    if (i % 3 != 0) verified += queue.pop(TimePoint{}) ? 1 : 0;
  }
  EXPECT_EQ(qudag::test::allocations(), before);
  EXPECT_EQ(queue.size(), 64u);
  EXPECT_GT(verified, 60'000u);
  const auto next = queue.pop(TimePoint{});
  ASSERT_TRUE(next);
  EXPECT_TRUE(std::ranges::equal(next->raw, descriptor));
}

}  // namespace
}  // namespace qudag::netmap
