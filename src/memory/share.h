// What one owner takes from a budget and gives back for many small things, added up: an atomic
// operation for each of them costs more, between threads, than all else that is done for a message.
//
// Between take() and settle() a step more than asked for may be reserved; after settle() nothing
// is. One thread at a time.
#pragma once

#include "memory/budget.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace qudag::memory {

class Share {
 public:
  static constexpr std::uint64_t kStepBytes = 64 * 1024;

  explicit Share(Budget& budget) noexcept : budget_(budget) {}
  ~Share() { settle(); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  /// As Reservation::take(). The reservation may go to any thread.
  Reservation take(std::uint64_t bytes) noexcept {
    if (bytes > ahead_ && !reserve(bytes - ahead_)) return {};
    ahead_ -= bytes;
    return Reservation::adopt(budget_, bytes);
  }
  /// A reservation of another budget just ends.
  void give(Reservation&& back) noexcept {
    ahead_ += back.hand_over(budget_);
    back.reset();
  }
  /// Gives back what is not taken.
  void settle() noexcept {
    if (ahead_ > 0) budget_.release(std::exchange(ahead_, 0));
  }

 private:
  bool reserve(std::uint64_t missing) noexcept {
    std::uint64_t step = std::max(missing, kStepBytes);
    if (!budget_.reserve(step) && !budget_.reserve(step = missing)) return false;
    ahead_ += step;
    return true;
  }

  Budget& budget_;
  std::uint64_t ahead_ = 0;
};

}  // namespace qudag::memory
