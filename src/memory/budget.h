// Bounds on memory, as a tree: everything big reserves before it allocates.
//
// A Budget has a limit and, unless it is the root, a parent; a reservation counts in every budget
// up to the root and fails, changing nothing, if any of them has no room. A budget may keep a part
// of its parent for itself: that part is taken from the parent when the budget is made, so nobody
// else can have it, and the parent is asked only for what goes beyond.
//
//   kept:    | #####---- |   used first, given back last
//   beyond:  from the parent, up to bytes_max, like everybody
//
// Reservation is the RAII handle; Allowance is for an owner of many small things, which reserves in
// steps: an atomic operation for each of them would cost more, between threads, than all else that
// is done for a message. Budgets are thread-safe (atomics), because shards share them; the handles
// are not.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace qudag::memory {

class Budget {
 public:
  /// The parent must have room for `kept` (asserted).
  Budget(std::string name, std::uint64_t bytes_max, Budget* parent = nullptr,
         std::uint64_t kept = 0);
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();

  [[nodiscard]] bool reserve(std::uint64_t bytes) noexcept;
  /// For what is there already and cannot be refused, such as the code of the process: counts, also
  /// beyond the limits, so that others are refused.
  void reserve_anyway(std::uint64_t bytes) noexcept;
  void release(std::uint64_t bytes) noexcept;

  const std::string& name() const { return name_; }
  /// Reserved here and below; of a parent, also what its children keep and do not use.
  std::uint64_t used() const {
    return kept_used_.load(std::memory_order_relaxed) + beyond_.load(std::memory_order_relaxed);
  }
  std::uint64_t kept() const { return kept_; }
  std::uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_max() const { return kept_ + beyond_max_; }

 private:
  bool reserve_beyond(std::uint64_t bytes) noexcept;
  void note_peak() noexcept;

  const std::string name_;
  const std::uint64_t kept_;
  const std::uint64_t beyond_max_;
  Budget* const parent_;
  std::atomic<std::uint64_t> kept_used_{0};
  std::atomic<std::uint64_t> beyond_{0};
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<std::uint64_t> refused_{0};
};

class Reservation {
 public:
  Reservation() = default;
  ~Reservation() { reset(); }
  Reservation(Reservation&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&& other) noexcept;

  /// Holds nothing if the budget has no room: test it.
  static Reservation take(Budget& budget, std::uint64_t bytes) noexcept;
  /// For bytes that somebody reserved from the budget before, and hands over.
  static Reservation adopt(Budget& budget, std::uint64_t bytes) noexcept;
  /// The other way: whoever gets the number gives the bytes back. 0, and nothing changes, if they
  /// are of another budget.
  std::uint64_t hand_over(const Budget& budget) noexcept {
    if (budget_ != &budget) return 0;
    budget_ = nullptr;
    return std::exchange(bytes_, 0);
  }
  explicit operator bool() const { return budget_ != nullptr; }
  std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool grow(std::uint64_t more) noexcept;
  void shrink(std::uint64_t less) noexcept;
  void reset() noexcept;

 private:
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// What one owner holds of a budget, reserved a step ahead, so that taking and giving back small
/// things costs no atomic operation. What it takes it holds itself, or hands out as reservations
/// that may go to any thread. Without a budget everything is allowed, and nothing can be handed
/// out. One thread at a time.
class Allowance {
 public:
  static constexpr std::uint64_t kStepBytes = 64 * 1024;

  explicit Allowance(Budget* budget = nullptr) noexcept : budget_(budget) {}
  ~Allowance() { reset(); }
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  [[nodiscard]] bool take(std::uint64_t bytes) noexcept {
    if (bytes > ahead_ && !reserve_for(bytes)) return false;
    ahead_ -= bytes;
    used_ += bytes;
    return true;
  }
  /// For what must not fail: see Budget::reserve_anyway.
  void take_anyway(std::uint64_t bytes) noexcept {
    if (take(bytes)) return;
    budget_->reserve_anyway(bytes);
    used_ += bytes;
  }
  void give(std::uint64_t bytes) noexcept {
    used_ -= bytes;
    ahead_ += bytes;
    if (ahead_ > 2 * kStepBytes) give_back(ahead_ - kStepBytes);
  }
  /// As Reservation::take().
  Reservation hand_out(std::uint64_t bytes) noexcept {
    if (bytes > ahead_ && !reserve_for(bytes)) return {};
    ahead_ -= bytes;
    return Reservation::adopt(*budget_, bytes);
  }
  /// Stays ahead until trim(). A reservation of another budget just ends.
  void take_back(Reservation&& back) noexcept {
    ahead_ += back.hand_over(*budget_);
    back.reset();
  }
  /// Keeps nothing ahead.
  void trim() noexcept { give_back(ahead_); }
  /// Gives everything back, used or not: its owner ends.
  void reset() noexcept {
    ahead_ += std::exchange(used_, 0);
    trim();
  }
  std::uint64_t used() const { return used_; }
  std::uint64_t held() const { return used_ + ahead_; }

 private:
  bool reserve_for(std::uint64_t bytes) noexcept;
  void give_back(std::uint64_t bytes) noexcept;

  Budget* budget_;
  std::uint64_t used_ = 0;
  std::uint64_t ahead_ = 0;
};

}  // namespace qudag::memory
