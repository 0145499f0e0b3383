// Pools against the system allocator: one piece, a burst of pieces, and pieces that end on another
// thread.
// modules: memory
#include "memory/block.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

constexpr std::size_t kPieceBytes = 1024 + kHeadroomBytes + kTailroomBytes;

void pool_take_and_end(benchmark::State& state) {
  BlockPool pool;
  for (auto _ : state) benchmark::DoNotOptimize(pool.take(BlockSize::cell));
}
BENCHMARK(pool_take_and_end);

void malloc_take_and_end(benchmark::State& state) {
  for (auto _ : state) {
    void* piece = std::malloc(kPieceBytes);
    benchmark::DoNotOptimize(piece);
    std::free(piece);
  }
}
BENCHMARK(malloc_take_and_end);

// A window's worth of cells comes in and goes out: beyond what malloc keeps in its thread cache.
void pool_burst(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  BlockPool pool;
  std::vector<Block> blocks(n);
  for (auto _ : state) {
    for (Block& block : blocks) block = pool.take(BlockSize::cell);
    for (Block& block : blocks) block.reset();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(pool_burst)->Arg(512)->Arg(8192);

void malloc_burst(benchmark::State& state) {
  std::vector<void*> pieces(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    for (void*& piece : pieces) {
      piece = std::malloc(kPieceBytes);
      benchmark::DoNotOptimize(piece);
    }
    for (void* piece : pieces) std::free(piece);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(malloc_burst)->Arg(512)->Arg(8192);

/// Runs `take` here and `end` on a second thread, in step, through one slot per piece.
template <class Take, class End>
void handed_over(benchmark::State& state, Take take, End end) {
  constexpr std::size_t kSlots = 256;
  std::vector<std::atomic<void*>> slots(kSlots);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (std::size_t at = 0;; at = (at + 1) % kSlots) {
      void* piece = nullptr;
      while ((piece = slots[at].exchange(nullptr, std::memory_order_acq_rel)) == nullptr) {
        if (stop.load(std::memory_order_acquire) && slots[at].load() == nullptr) return;
      }
      end(piece);
    }
  });
  std::size_t at = 0;
  for (auto _ : state) {
    while (slots[at].load(std::memory_order_acquire) != nullptr) {
    }
    slots[at].store(take(), std::memory_order_release);
    at = (at + 1) % kSlots;
  }
  stop.store(true, std::memory_order_release);
  other.join();
}

void pool_end_elsewhere(benchmark::State& state) {
  BlockPool pool;
  handed_over(
      state, [&pool] { return static_cast<void*>(pool.take(BlockSize::cell).release()); },
      [](void* piece) { Block(static_cast<BlockHeader*>(piece)).reset(); });
}
BENCHMARK(pool_end_elsewhere)->UseRealTime();

void malloc_end_elsewhere(benchmark::State& state) {
  handed_over(
      state, [] { return std::malloc(kPieceBytes); }, [](void* piece) { std::free(piece); });
}
BENCHMARK(malloc_end_elsewhere)->UseRealTime();

}  // namespace
}  // namespace qudag::memory
