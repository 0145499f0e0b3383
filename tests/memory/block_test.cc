#include "memory/block.h"

#include "support/allocation_count.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

PoolOptions small_pool(std::size_t cells, std::size_t bulks) {
  PoolOptions options;
  options.blocks_max = {cells, bulks};
  options.keep = {2, 1};
  return options;
}

std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 256);
  return out;
}

TEST(Block, StartsEmptyWithFullHeadroom) {
  BlockPool pool;
  for (const BlockSize size : {BlockSize::cell, BlockSize::bulk}) {
    Block block = pool.take(size);
    ASSERT_TRUE(block);
    EXPECT_EQ(block.size(), 0u);
    EXPECT_EQ(block.headroom(), kHeadroomBytes);
    EXPECT_EQ(block.tailroom(), block.capacity() + kTailroomBytes);
    EXPECT_EQ(block.capacity(), capacity_of(size));
  }
}

TEST(Block, WindowMovesWithoutMovingBytes) {
  BlockPool pool;
  Block block = pool.take(BlockSize::cell);
  block.append(1024);
  std::byte* payload = block.data();
  const auto bytes = pattern(1024);
  std::memcpy(payload, bytes.data(), bytes.size());
  block.prepend(16);
  EXPECT_EQ(block.data(), payload - 16);
  EXPECT_EQ(block.size(), 1040u);
  block.drop_front(16);
  block.drop_back(24);
  EXPECT_EQ(block.data(), payload);
  EXPECT_TRUE(std::equal(block.bytes().begin(), block.bytes().end(), bytes.begin()));
  block.append(24 + kTailroomBytes);
  EXPECT_EQ(block.tailroom(), 0u);
  block.prepend(kHeadroomBytes);
  EXPECT_EQ(block.headroom(), 0u);
  std::memset(block.data(), 0x5a, block.size());  // all of it is ours
  block.clear();
  EXPECT_EQ(block.size(), 0u);
  EXPECT_EQ(block.headroom(), kHeadroomBytes);
}

TEST(Block, WindowCannotLeaveThePiece) {
  BlockPool pool;
  Block block = pool.take(BlockSize::cell);
  EXPECT_DEATH(block.prepend(kHeadroomBytes + 1), "assertion failed");
  EXPECT_DEATH(block.append(1024 + kTailroomBytes + 1), "assertion failed");
  EXPECT_DEATH(block.drop_front(1), "assertion failed");
  EXPECT_DEATH(block.drop_back(1), "assertion failed");
}

TEST(BlockPool, LimitsEachSizeAndTellsHowOften) {
  BlockPool pool(small_pool(3, 1));
  std::vector<Block> cells;
  for (int i = 0; i < 3; ++i) cells.push_back(pool.take(BlockSize::cell));
  EXPECT_FALSE(pool.take(BlockSize::cell));
  Block bulk = pool.take(BlockSize::bulk);
  EXPECT_TRUE(bulk) << "sizes have limits of their own";
  EXPECT_FALSE(pool.take(BlockSize::bulk));
  cells.pop_back();
  EXPECT_TRUE(pool.take(BlockSize::cell));
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.exhausted, 2u);
  EXPECT_EQ(stats.taken, 5u);
  EXPECT_EQ(stats.allocated, 4u);
  EXPECT_EQ(stats.in_use[0], 2u);
  EXPECT_EQ(stats.free[0], 1u);
  EXPECT_EQ(stats.in_use[1], 1u);
}

TEST(BlockPool, UsedPieceComesBackClean) {
  BlockPool pool(small_pool(1, 1));
  std::byte* place = nullptr;
  {
    Block block = pool.take(BlockSize::cell);
    block.append(100);
    block.drop_front(50);
    place = block.header()->data();
  }
  Block again = pool.take(BlockSize::cell);
  EXPECT_EQ(again.header()->data(), place);
  EXPECT_EQ(again.size(), 0u);
  EXPECT_EQ(again.headroom(), kHeadroomBytes);
}

TEST(BlockPool, TrimKeepsWhatItIsToldTo) {
  BlockPool pool(small_pool(10, 10));
  {
    std::vector<Block> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(pool.take(BlockSize::cell));
  }
  EXPECT_EQ(pool.stats().free[0], 10u);
  EXPECT_FALSE(pool.trim());
  EXPECT_EQ(pool.stats().free[0], 10u) << "they were needed since the last round";
  EXPECT_FALSE(pool.trim());
  EXPECT_EQ(pool.stats().free[0], 2u);
  EXPECT_EQ(pool.stats().trimmed, 8u);
  std::vector<Block> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(pool.take(BlockSize::cell));
  EXPECT_FALSE(pool.take(BlockSize::cell)) << "trimmed pieces do not count, new ones do";
}

TEST(BlockPool, TrimLeavesWhatIsNeededAtPeaks) {
  BlockPool pool({.keep = {0, 0}});
  const auto use = [&](std::size_t n) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < n; ++i) blocks.push_back(pool.take(BlockSize::cell));
  };
  use(100);
  pool.trim();
  for (int round = 0; round < 3; ++round) {
    use(30);
    pool.trim();
    EXPECT_EQ(pool.stats().free[0], 30u);
  }
  pool.trim();
  EXPECT_EQ(pool.stats().free[0], 0u);
}

TEST(BlockPool, TrimIsDoneInPartsOfBoundedWork) {
  BlockPool pool({.keep = {0, 0}});
  std::vector<Block> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(pool.take(BlockSize::cell));
  blocks.clear();
  EXPECT_FALSE(pool.trim(40)) << "the first round only looks";
  EXPECT_TRUE(pool.trim(40));
  EXPECT_TRUE(pool.trim(40));
  EXPECT_EQ(pool.stats().free[0], 20u);
  EXPECT_FALSE(pool.trim(40));
  EXPECT_EQ(pool.stats().free[0], 0u);
}

// Threads take in turn under a lock; blocks return without it, from any of them, at the same time.
TEST(BlockPool, SharedPoolHasNoOwner) {
  BlockPool pool({.shared = true});
  std::mutex mutex;
  const auto work = [&] {
    for (int i = 0; i < 5'000; ++i) {
      Block block;
      {
        const std::lock_guard lock(mutex);
        block = pool.take(BlockSize::cell);
      }
      block.append(8);
      std::memset(block.data(), i, 8);
    }
  };
  std::thread other(work);
  work();
  other.join();
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.taken, 10'000u);
  EXPECT_EQ(stats.in_use[0], 0u);
  EXPECT_LE(stats.allocated, 10u);
}

TEST(BlockPool, SteadyStateAllocatesNothing) {
  BlockPool pool;
  const auto bytes = pattern(50'000);
  const auto turn = [&] {
    Chain chain;
    EXPECT_TRUE(Chain::copy_in(pool, BlockSize::cell, bytes, chain));
    Chain other;
    EXPECT_TRUE(Chain::copy_in(pool, BlockSize::bulk, bytes, other));
    chain.append(std::move(other));
    chain.pop_front();
  };
  turn();
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 1000; ++i) turn();
  EXPECT_EQ(test::allocations() - before, 0u);
  EXPECT_EQ(pool.stats().allocated, 49u + 7u);
}

TEST(BlockPool, BlocksMayOutliveThePool) {
  auto pool = std::make_unique<BlockPool>();
  Block kept = pool->take(BlockSize::bulk);
  pool->take(BlockSize::cell).reset();
  kept.append(8192);
  pool.reset();
  std::memset(kept.data(), 1, kept.size());
  kept.reset();  // LeakSanitizer and AddressSanitizer judge this
}

TEST(BlockPool, PiecesComeHomeFromOtherThreads) {
  BlockPool pool(small_pool(64, 1));
  const auto round = [&pool] {
    std::vector<Block> blocks;
    for (int i = 0; i < 64; ++i) {
      blocks.push_back(pool.take(BlockSize::cell));
      if (!blocks.back()) return false;
    }
    std::thread other([moved = std::move(blocks)]() mutable {
      for (Block& block : moved) {
        block.append(1024);
        std::memset(block.data(), 3, block.size());
        block.reset();
      }
    });
    other.join();
    return true;
  };
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(round()) << i;
  EXPECT_EQ(pool.stats().allocated, 64u);
  EXPECT_EQ(pool.stats().in_use[0], 0u);
}

TEST(BlockPool, OwnerTakesWhileOthersGiveBack) {
  constexpr std::size_t kRounds = 20'000;
  BlockPool pool(small_pool(128, 1));
  std::array<std::atomic<BlockHeader*>, 2> hand_over{};
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (auto& place : hand_over) {
    others.emplace_back([&place, &stop] {
      while (true) {
        const bool last = stop.load();
        Block block(place.exchange(nullptr));
        if (block) {
          block.append(8);
        } else if (last) {
          break;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::size_t taken = 0;
  while (taken < kRounds) {
    for (auto& place : hand_over) {
      if (place.load() != nullptr) continue;
      Block block = pool.take(BlockSize::cell);
      if (!block) continue;
      std::memset(block.header()->data(), 9, kHeadroomBytes);
      place.store(block.release());
      ++taken;
    }
  }
  stop = true;
  for (auto& thread : others) thread.join();
  EXPECT_EQ(pool.stats().in_use[0], 0u);
  EXPECT_LE(pool.stats().allocated, 128u);
}

TEST(BlockPool, PoolMayEndWhileOtherThreadsGiveBack) {
  for (int round = 0; round < 200; ++round) {
    auto pool = std::make_unique<BlockPool>();
    std::vector<Block> blocks;
    for (int i = 0; i < 8; ++i) blocks.push_back(pool->take(BlockSize::cell));
    std::thread other([moved = std::move(blocks)]() mutable { moved.clear(); });
    pool.reset();
    other.join();
  }
}

TEST(BlockPool, OwnershipMovesWhenItIsSaidSo) {
  BlockPool pool(small_pool(4, 1));
  pool.take(BlockSize::cell).reset();
  std::thread shard([&pool] {
    pool.bind_to_this_thread();
    EXPECT_TRUE(pool.take(BlockSize::cell));
    EXPECT_EQ(pool.stats().allocated, 1u);
  });
  shard.join();
#ifdef QUDAG_DEBUG_CHECKS
  EXPECT_DEATH(pool.take(BlockSize::cell), "assertion failed");
#endif
}

// ---- Chain --------------------------------------------------------------------------------------

TEST(Chain, CopiesInAndOutAnySize) {
  BlockPool pool;
  for (const std::size_t size : {0u, 1u, 1023u, 1024u, 1025u, 8192u, 100'000u}) {
    for (const BlockSize block : {BlockSize::cell, BlockSize::bulk}) {
      const auto bytes = pattern(size);
      Chain chain;
      ASSERT_TRUE(Chain::copy_in(pool, block, bytes, chain));
      const std::size_t capacity = kBlockCapacity[static_cast<std::size_t>(block)];
      EXPECT_EQ(chain.bytes(), size);
      EXPECT_EQ(chain.blocks(), (size + capacity - 1) / capacity);
      EXPECT_EQ(chain.empty(), size == 0);
      std::vector<std::byte> out(size);
      chain.copy_out(out);
      EXPECT_EQ(out, bytes);
    }
  }
}

TEST(Chain, CopyInIsAllOrNothing) {
  BlockPool pool(small_pool(3, 1));
  Chain chain;
  EXPECT_FALSE(Chain::copy_in(pool, BlockSize::cell, pattern(4 * 1024), chain));
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(pool.stats().in_use[0], 0u);
  EXPECT_TRUE(Chain::copy_in(pool, BlockSize::cell, pattern(3 * 1024), chain));
}

TEST(Chain, AppendsAndPopsInOrder) {
  BlockPool pool;
  const auto first = pattern(3000), second = pattern(5000);
  Chain a, b, empty;
  ASSERT_TRUE(Chain::copy_in(pool, BlockSize::cell, first, a));
  ASSERT_TRUE(Chain::copy_in(pool, BlockSize::cell, second, b));
  a.append(std::move(empty));
  empty.append(std::move(a));
  empty.append(std::move(b));
  EXPECT_TRUE(a.empty() && b.empty());  // NOLINT: that is the promise
  EXPECT_EQ(a.bytes() + a.blocks() + b.bytes() + b.blocks(), 0u);
  EXPECT_EQ(empty.bytes(), 8000u);
  EXPECT_EQ(empty.blocks(), 3u + 5u);
  std::vector<std::byte> joined;
  while (!empty.empty()) {
    const std::size_t before = empty.bytes();
    const Block block = empty.pop_front();
    EXPECT_EQ(empty.bytes(), before - block.size());
    joined.insert(joined.end(), block.bytes().begin(), block.bytes().end());
  }
  EXPECT_EQ(empty.front(), nullptr);
  EXPECT_EQ(empty.back(), nullptr);
  std::vector<std::byte> expected = first;
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(joined, expected);
  EXPECT_EQ(pool.stats().in_use[0], 0u);
}

TEST(Chain, MoveEmptiesTheSourceAndReleasesTheTarget) {
  BlockPool pool;
  Chain a, b;
  ASSERT_TRUE(Chain::copy_in(pool, BlockSize::cell, pattern(2000), a));
  ASSERT_TRUE(Chain::copy_in(pool, BlockSize::cell, pattern(1000), b));
  b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT
  EXPECT_EQ(b.bytes(), 2000u);
  EXPECT_EQ(pool.stats().in_use[0], 2u);
  b.clear();
  EXPECT_EQ(pool.stats().in_use[0], 0u);
}

}  // namespace
}  // namespace qudag::memory
