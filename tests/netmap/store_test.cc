// The store and the verification queue alone: ranges, bounds, turns.
#include "netmap/map/store.h"
#include "support/allocation_count.h"

#include "netmap/fixture.h"
#include "netmap/gossip/verify_queue.h"

#include <malloc.h>

#include <cstdio>
#include <set>

namespace qudag::netmap {
namespace {

using namespace test;

constexpr Now kNow{.unix_seconds = kToday};

EntryPtr entry_with(std::uint8_t first, std::uint64_t number) {
  auto entry = entry_of(number);
  entry->descriptor.id.bytes[0] = std::byte{first};
  store_be(entry->descriptor.id.bytes.data() + 1, static_cast<std::uint32_t>(number));
  return entry;
}

TEST(Store, RangesOfIdsAreCountedAndSplitUntilTheyAreSmall) {
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
  const auto expect_counted = [&](const wire::IdRange& range) {
    std::vector<NodeId> seen;
    store.for_range(range, [&](const Record& held) { seen.push_back(held.entry->descriptor.id); });
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    std::vector<NodeId> there;
    for (const NodeId& id : ids) {
      if (range.contains(id)) there.push_back(id);
    }
    EXPECT_EQ(seen, there) << int{range.depth};
    EXPECT_EQ(store.count(range), there.size()) << int{range.depth};
  };
  expect_counted({});
  for (std::size_t i = 0; i < 16; ++i) {
    expect_counted(wire::IdRange{}.part(i));
    expect_counted(wire::IdRange{}.part(0).part(i));
    expect_counted(wire::IdRange{}.part(0).part(3).part(0).part(i));
  }
  for (const NodeId& id : ids) {
    const wire::IdRange range = store.around(id, 8);
    EXPECT_TRUE(range.contains(id));
    EXPECT_LE(store.count(range), 8u);
    ASSERT_GT(range.depth, 0);
    const auto wider = static_cast<std::uint8_t>(range.depth - 1);
    EXPECT_GT(store.count(wire::IdRange::around(id, wider)), 8u);
  }
}

/// Bytes of the heap for each descriptor that is held, with 16 links that have it.
double bytes_each(bool whole) {
  constexpr std::size_t kEntries = 2'000, kLinks = 16;
  SeededRng rng(9);
  Store store({.descriptors_max = kEntries});
  const Descriptor d = descriptor_of(1);
  std::vector<std::byte> raw = encode_unsigned(d);
  raw.resize(raw.size() + crypto::kSignatureSize);
  const std::size_t before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < kEntries; ++i) {
    auto entry = unverified_entry(d, raw);
    rng.fill(entry->descriptor.id.bytes);
    Record* held = store.put(whole ? EntryPtr(std::move(entry)) : without_raw(*entry), kNow);
    for (std::size_t link = 0; link < kLinks; ++link) {
      held->has.insert(link);
      held->owed.insert(link);
      held->sent.insert(link);
      held->shown.insert(link);
      held->dropped.insert(link);
    }
  }
  static_cast<void>(store.view());
  return static_cast<double>(mallinfo2().uordblks - before) / kEntries;
}

/// Of a relay that hands descriptors on, 6.5 KB are keys and a signature, which nothing makes
/// shorter. Who is no relay keeps what it needs.
TEST(Store, AnEntryTakesWhatItIsReckonedAt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "another allocator";
#endif
  const double whole = bytes_each(true), client = bytes_each(false);
  std::printf("bytes of an entry: %.0f of a relay's netmap, %.0f of a client's\n", whole, client);
  EXPECT_LE(whole, 8 * 1024);
  EXPECT_LE(client, 4 * 1024 / 1.5);
}

TEST(Store, ExpireMakesRoom) {
  Store store({.descriptors_max = 1});
  store.put(entry_with(5, 1), kNow);
  const NodeId other = entry_with(5, 2)->descriptor.id;
  EXPECT_EQ(store.judge(other, 1, kToday), Store::Judgement::full);
  EXPECT_EQ(store.expire(kToday + kDay - 1), 0u);
  EXPECT_EQ(store.expire(kToday + kDay), 1u);
  EXPECT_EQ(store.judge(other, 1, kToday), Store::Judgement::newcomer);
  EXPECT_EQ(store.count({}), 0u);
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
