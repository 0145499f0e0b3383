// A small number for the calling thread among those that live: what a thread has in an array at its
// seat is its own, and the next one's when it has ended. Process-wide, because threads are.
//
// Threads: any. The release of a seat and its next taking are in order (release, acquire), so what
// stands in the array needs no other care. Limits: the last seat is shared by all who came late.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace qudag::memory {

inline constexpr std::uint32_t kSeats = 64;
inline constexpr std::uint32_t kSharedSeat = kSeats - 1;

namespace detail {

class Seat {
 public:
  static std::uint32_t mine() {
    if (index_ == kUnknown) [[unlikely]] {
      index_ = take();
      thread_local Seat releases_it;
    }
    return index_;
  }

 private:
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  Seat() = default;
  ~Seat() {
    // Whatever else ends with this thread later has the shared seat.
    const std::uint32_t index = index_;
    index_ = kSharedSeat;
    if (index != kSharedSeat) {
      taken_.fetch_and(~(std::uint64_t{1} << index), std::memory_order_release);
    }
  }
  static std::uint32_t take() {
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      const auto free = static_cast<std::uint32_t>(std::countr_one(taken));
      if (free >= kSharedSeat) return kSharedSeat;
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

/// Below kSeats. Nobody else has it while this thread lives, unless it is kSharedSeat.
inline std::uint32_t thread_seat() { return detail::Seat::mine(); }

}  // namespace qudag::memory
