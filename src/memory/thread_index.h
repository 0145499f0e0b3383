// A small number for the calling thread among those that live: what a thread has in an array at its
// index is its own, and the next one's when it has ended. Process-wide, because threads are.
//
// Threads: any. The release of a index and its next taking are in order (release, acquire), so what
// stands in the array needs no other care. Limits: the last index is shared by all who came late.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace qudag::memory {

inline constexpr std::uint32_t kThreadIndices = 64;
inline constexpr std::uint32_t kSharedThreadIndex = kThreadIndices - 1;

namespace detail {

class ThreadIndex {
 public:
  static std::uint32_t mine() {
    if (index_ == kUnknown) [[unlikely]] {
      index_ = take();
      thread_local ThreadIndex releases_it;
    }
    return index_;
  }

 private:
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  ThreadIndex() = default;
  ~ThreadIndex() {
    // Whatever else ends with this thread later has the shared index.
    const std::uint32_t index = index_;
    index_ = kSharedThreadIndex;
    if (index != kSharedThreadIndex) {
      taken_.fetch_and(~(std::uint64_t{1} << index), std::memory_order_release);
    }
  }
  static std::uint32_t take() {
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      const auto free = static_cast<std::uint32_t>(std::countr_one(taken));
      if (free >= kSharedThreadIndex) return kSharedThreadIndex;
      if (taken_.compare_exchange_weak(taken, taken | std::uint64_t{1} << free,
                                       std::memory_order_acquire, std::memory_order_relaxed)) {
        return free;
      }
    }
  }

  static inline std::atomic<std::uint64_t> taken_{0};
  static inline thread_local std::uint32_t index_ = kUnknown;  // outlives `releases_it`
};

}  // namespace detail

/// Below kThreadIndices. Nobody else has it while this thread lives, unless it is
/// kSharedThreadIndex.
inline std::uint32_t thread_index() { return detail::ThreadIndex::mine(); }

}  // namespace qudag::memory
