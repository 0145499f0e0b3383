#include "memory/bound.h"

#include "memory/block.h"
#include "memory/slab_heap.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

TEST(Budget, WhatIsKeptNobodyElseCanTake) {
  Budget root("node", 100);
  Budget high("high", 100, &root, 30);
  Budget low("low", 100, &root);
  EXPECT_EQ(root.used(), 30u) << "kept from the start";
  EXPECT_TRUE(low.reserve(70));
  EXPECT_FALSE(low.reserve(1)) << "low cannot take the share of high";
  EXPECT_TRUE(high.reserve(30));
  EXPECT_FALSE(high.reserve(1));
  EXPECT_EQ(root.used(), 100u);
  low.release(70);
  EXPECT_TRUE(high.reserve(60)) << "and high borrows what low does not use";
  EXPECT_FALSE(low.reserve(20));
  high.release(50);
  EXPECT_EQ(root.used(), 40u) << "what was borrowed goes back first";
  high.release(40);
  EXPECT_EQ(root.used(), 30u);
}

TEST(Budget, WhatIsKeptAndNoMoreIsWalledOff) {
  Budget root("node", 100);
  Budget walled("handshakes", 10, &root, 10);
  EXPECT_TRUE(walled.reserve(10));
  EXPECT_FALSE(walled.reserve(1)) << "there is room in the node, but not for these";
  EXPECT_EQ(root.used(), 10u);
  walled.release(10);
}

TEST(Budget, WhatIsThereCountsBeyondTheBound) {
  Budget root("node", 100);
  Budget process("process", 100, &root);
  process.reserve_anyway(130);
  EXPECT_EQ(root.used(), 130u);
  EXPECT_FALSE(root.reserve(1));
  process.release(130);
  EXPECT_TRUE(root.reserve(100));
  root.release(100);
}

TEST(Budget, ThreadsAndKeptSharesNeverPassTheBound) {
  Budget root("node", 1000);
  Budget a("a", 900, &root, 150), b("b", 1000, &root, 100), c("c", 1000, &root);
  const auto work = [&root](Budget& mine, std::uint64_t bytes) {
    for (int i = 0; i < 20'000; ++i) {
      Reservation one = Reservation::take(mine, bytes);
      Reservation two = Reservation::take(mine, 70);
      EXPECT_LE(root.used(), 1000u);
      one.reset();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back(work, std::ref(a), 200);
    threads.emplace_back(work, std::ref(b), 310);
    threads.emplace_back(work, std::ref(c), 450);
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(a.used() + b.used() + c.used(), 0u);
  EXPECT_EQ(root.used(), 250u);
}

TEST(Allowance, ReservesInStepsAndGivesBack) {
  Budget root("node", 10 * Allowance::kStepBytes);
  {
    Allowance owner(&root);
    EXPECT_TRUE(owner.take(100));
    EXPECT_EQ(root.used(), Allowance::kStepBytes);
    EXPECT_TRUE(owner.take(1000));
    EXPECT_EQ(root.used(), Allowance::kStepBytes) << "no second step yet";
    owner.give(1000);
    owner.trim();
    EXPECT_EQ(root.used(), 100u);
    EXPECT_FALSE(owner.take(11 * Allowance::kStepBytes));
    EXPECT_TRUE(owner.take(root.bytes_max() - 100)) << "the last step is as small as it must be";
    EXPECT_FALSE(owner.take(1));
  }
  EXPECT_EQ(root.used(), 0u);
}

TEST(Bound, PartsKeepTheirShares) {
  Bound bound(64 * kMiB);
  Budget& blocks = bound.part(Part::blocks);
  std::uint64_t taken = 0;
  while (blocks.reserve(kMiB)) taken += kMiB;
  EXPECT_EQ(taken, 54 * kMiB);
  EXPECT_TRUE(bound.part(Part::high_blocks).reserve(4 * kMiB));
  EXPECT_TRUE(bound.part(Part::quic).reserve(4 * kMiB));
  EXPECT_TRUE(bound.part(Part::handshakes).reserve(2 * kMiB));
  for (const Part part : {Part::high_blocks, Part::quic, Part::handshakes, Part::circuits}) {
    EXPECT_FALSE(bound.part(part).reserve(kMiB));
  }
  EXPECT_EQ(bound.pressure(), 1.0);
  EXPECT_EQ(bound.accounted(), 64 * kMiB);
  blocks.release(taken);
  bound.part(Part::high_blocks).release(4 * kMiB);
  bound.part(Part::quic).release(4 * kMiB);
  bound.part(Part::handshakes).release(2 * kMiB);
  EXPECT_EQ(bound.accounted(), 0u);
}

TEST(Bound, TheProcessCountsAsItIs) {
  Bound bound(64 * kMiB);
  bound.set_process(20 * kMiB);
  EXPECT_EQ(bound.node().used(), 30 * kMiB) << "and 10 are kept";
  bound.set_process(70 * kMiB);
  EXPECT_FALSE(bound.part(Part::blocks).reserve(1));
  EXPECT_GT(bound.pressure(), 1.0);
  bound.set_process(12 * kMiB);
  EXPECT_EQ(bound.node().used(), 22 * kMiB);
}

TEST(Bound, LowCannotClaimWhatHighAndNormalKeep) {
  Bound bound(64 * kMiB);
  Reservation low = Reservation::take(bound.claim(2), 50 * kMiB);  // 58 less what is kept
  ASSERT_TRUE(low);
  EXPECT_FALSE(Reservation::take(bound.claim(2), 1));
  const Reservation normal = Reservation::take(bound.claim(1), 4 * kMiB);
  const Reservation high = Reservation::take(bound.claim(0), 4 * kMiB);
  EXPECT_TRUE(normal && high);
  EXPECT_FALSE(Reservation::take(bound.claim(0), 1));
  low.shrink(20 * kMiB);
  EXPECT_TRUE(Reservation::take(bound.claim(0), 20 * kMiB)) << "high borrows";
}

PoolOptions bounded(const std::shared_ptr<Bound>& bound) {
  return {.keep = {0, 0, 0},
          .budget = share(bound, Part::blocks),
          .high_budget = share(bound, Part::high_blocks)};
}

// P12: no shard has a fixed part; the reserve is the kept shares (10 of 64) and no more.
TEST(Bound, OneBusyPoolTakesNearlyAll) {
  const auto bound = std::make_shared<Bound>(64 * kMiB);
  BlockPool idle(bounded(bound)), busy(bounded(bound));
  { const Block once = idle.take(BlockSize::bulk); }
  std::vector<Block> held;
  while (Block block = busy.take(BlockSize::bulk)) held.push_back(std::move(block));
  EXPECT_GT(held.size() * 8192, 64 * kMiB * 80 / 100);
  EXPECT_LE(bound->node().used(), 64 * kMiB);

  // A pool that was busy lends what it has free to the next.
  held.clear();
  EXPECT_FALSE(idle.take(BlockSize::cell) && idle.take(BlockSize::cell) &&
               bound->part(Part::blocks).reserve(kMiB));
  EXPECT_FALSE(busy.release_free());
  while (Block block = idle.take(BlockSize::bulk)) held.push_back(std::move(block));
  EXPECT_GT(held.size() * 8192, 64 * kMiB * 80 / 100);
}

TEST(Bound, HighHasBlocksWhenAllOthersHaveNone) {
  const auto bound = std::make_shared<Bound>(64 * kMiB);
  BlockPool pool(bounded(bound));
  std::vector<Block> low;
  while (Block block = pool.take(BlockSize::cell)) low.push_back(std::move(block));
  std::vector<Block> high;
  while (Block block = pool.take(BlockSize::cell, For::high)) high.push_back(std::move(block));
  EXPECT_GT(high.size() * 1312, 3 * kMiB);
  EXPECT_LE(bound->node().used(), 64 * kMiB);

  const std::size_t share = high.size();
  high.clear();
  EXPECT_FALSE(pool.take(BlockSize::cell)) << "what came back is for high alone";
  while (Block block = pool.take(BlockSize::cell, For::high)) high.push_back(std::move(block));
  EXPECT_EQ(high.size(), share);
  low.pop_back();
  EXPECT_TRUE(pool.take(BlockSize::cell, For::high)) << "and high takes what all may";

  high.clear();
  low.clear();
  EXPECT_FALSE(pool.release_free());
  EXPECT_EQ(bound->accounted(), 0u);
}

TEST(Bound, BlocksThatOutliveTheirPoolStayReserved) {
  auto bound = std::make_shared<Bound>(64 * kMiB);
  const std::weak_ptr<Bound> alive = bound;
  auto pool = std::make_unique<BlockPool>(bounded(bound));
  Block kept = pool->take(BlockSize::bulk);
  pool.reset();
  EXPECT_GE(bound->part(Part::blocks).used(), 8192u);
  bound.reset();
  EXPECT_FALSE(alive.expired());
  kept.reset();
  EXPECT_TRUE(alive.expired()) << "and gave all back, which the budgets assert";
}

TEST(SlabHeapBound, ReservesBeforeItTakesAndFailsCleanly) {
  Budget budget("quic", kMiB);
  {
    SlabHeap heap(&budget);
    std::vector<void*> out;
    for (std::size_t size : {40u, 700u, 5000u, 20'000u}) {
      while (void* object = heap.allocate(size)) {
        std::memset(object, 1, size);
        out.push_back(object);
        ASSERT_LE(budget.used(), kMiB);
        if (out.size() % 64 == 0) break;
      }
    }
    EXPECT_GE(budget.used(), heap.stats().bytes_used);
    while (void* object = heap.allocate(3000)) out.push_back(object);
    EXPECT_EQ(heap.reallocate(nullptr, 3000), nullptr);
    EXPECT_GT(budget.refused(), 0u);
    EXPECT_GT(budget.used(), kMiB - 64 * 1024);
    for (void* object : out) SlabHeap::release(object);
    heap.trim();
    EXPECT_EQ(budget.used(), 0u);
  }
}

}  // namespace
}  // namespace qudag::memory
