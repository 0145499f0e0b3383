#include "memory/slab_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

struct Out {
  unsigned char* at;
  std::size_t size;
  unsigned char fill;
};

bool intact(const Out& out) {
  for (std::size_t i = 0; i < out.size; ++i) {
    if (out.at[i] != out.fill) return false;
  }
  return true;
}

// Whatever order things come and go in, nobody writes into what somebody else holds.
TEST(SlabHeap, ObjectsAreApartAndKeepTheirBytes) {
  std::mt19937 chance(7);
  SlabHeap heap;
  std::vector<Out> out;
  for (int step = 0; step < 40'000; ++step) {
    const bool take = out.size() < 50 || (out.size() < 900 && chance() % 2 == 0);
    if (take) {
      const std::size_t size = chance() % 8 == 0 ? chance() % 40'000 : chance() % 700;
      auto* at = static_cast<unsigned char*>(heap.allocate(size));
      ASSERT_NE(at, nullptr);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(at) % 16, 0u);
      out.push_back({at, size, static_cast<unsigned char>(chance())});
      std::memset(at, out.back().fill, size);
      continue;
    }
    const std::size_t i = chance() % out.size();
    ASSERT_TRUE(intact(out[i])) << "step " << step;
    if (chance() % 4 == 0) {
      const std::size_t size = chance() % 3'000;
      out[i].at = static_cast<unsigned char*>(heap.reallocate(out[i].at, size));
      out[i].size = std::min(out[i].size, size);
      ASSERT_TRUE(intact(out[i])) << "step " << step;
      out[i].size = size;
      std::memset(out[i].at, out[i].fill, size);
    } else {
      SlabHeap::release(out[i].at);
      out[i] = out.back();
      out.pop_back();
    }
    if (step % 1'000 == 0) heap.trim();
  }
  std::uint64_t bytes = 0;
  for (const Out& one : out) bytes += one.size;
  EXPECT_GE(heap.stats().bytes_used, bytes);
  EXPECT_GE(heap.stats().bytes_held, heap.stats().bytes_used);
  for (const Out& one : out) SlabHeap::release(one.at);
  EXPECT_EQ(heap.stats().bytes_used, 0u);
  heap.trim();
  EXPECT_EQ(heap.stats().bytes_held, 0u);
}

TEST(SlabHeap, EverySizeFitsAndWastesLittle) {
  for (std::size_t size = 0; size <= SlabHeap::kObjectBytesMax + 16; ++size) {
    SlabHeap heap;
    void* const object = heap.allocate(size);
    std::memset(object, 1, size);
    const std::uint64_t used = heap.stats().bytes_used;
    EXPECT_GE(used, size);
    EXPECT_LE(used, std::max<std::size_t>(size + 40, (size + 16) * 17 / 16)) << size;
    SlabHeap::release(object);
  }
}

TEST(SlabHeap, SteadyStateTakesNothingFromTheSystem) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "every object is malloc's there";
#endif
  SlabHeap heap;
  std::vector<void*> out(500);
  for (void*& object : out) object = heap.allocate(300);
  const std::uint64_t before = heap.stats().system_allocations;
  for (int round = 0; round < 100; ++round) {
    for (void* object : out) SlabHeap::release(object);
    for (void*& object : out) object = heap.allocate(300);
  }
  EXPECT_EQ(heap.stats().system_allocations, before);
  EXPECT_EQ(heap.stats().allocations, 500u * 101);
  for (void* object : out) SlabHeap::release(object);
}

TEST(SlabHeap, TrimKeepsWhatIsUsed) {
  SlabHeap heap;
  std::vector<void*> out;
  for (int i = 0; i < 1'000; ++i) out.push_back(heap.allocate(1'000));
  const std::uint64_t peak = heap.stats().bytes_held;
  for (std::size_t i = 1; i < out.size(); ++i) SlabHeap::release(out[i]);
  heap.trim();
  EXPECT_LT(heap.stats().bytes_held, peak / 10);
  std::memset(out[0], 1, 1'000);
  SlabHeap::release(out[0]);
}

TEST(SlabHeap, OtherThreadsMayAllocateAndRelease) {
  SlabHeap heap;
  std::vector<void*> ours;
  for (int i = 0; i < 2'000; ++i) ours.push_back(heap.allocate(200));
  std::vector<void*> theirs;
  std::thread other([&] {
    for (void* object : ours) SlabHeap::release(object);
    for (int i = 0; i < 2'000; ++i) theirs.push_back(heap.allocate(200));
  });
  std::vector<void*> more;
  for (int i = 0; i < 5'000; ++i) {
    void* const object = heap.allocate(200);
    std::memset(object, i, 200);
    i % 2 == 0 ? more.push_back(object) : SlabHeap::release(object);
  }
  other.join();
  for (void* object : theirs) SlabHeap::release(object);
  for (void* object : more) SlabHeap::release(object);
  heap.trim();
  EXPECT_EQ(heap.stats().bytes_used, 0u);
  EXPECT_EQ(heap.stats().bytes_held, 0u);
}

TEST(SlabHeap, TooMuchIsNull) {
  SlabHeap heap;
  EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(heap.reallocate(nullptr, SIZE_MAX - 8), nullptr);
  SlabHeap::release(nullptr);
}

}  // namespace
}  // namespace qudag::memory
