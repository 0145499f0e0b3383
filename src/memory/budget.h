// One memory bound per node, as a tree of budgets: everything big reserves before it allocates.
//
// A Budget has a limit and, unless it is the root, a parent; a reservation counts in every budget
// up to the root and fails, changing nothing, if any of them has no room. Reservation is the RAII
// handle. Thread-safe (atomics), because shards share the root.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace qudag::memory {

class Budget {
 public:
  Budget(std::string name, std::uint64_t bytes_max, Budget* parent = nullptr);
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();

  [[nodiscard]] bool reserve(std::uint64_t bytes) noexcept;
  void release(std::uint64_t bytes) noexcept;

  const std::string& name() const { return name_; }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_max() const { return bytes_max_; }

 private:
  std::string name_;
  std::uint64_t bytes_max_;
  Budget* parent_;
  std::atomic<std::uint64_t> used_{0};
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
  explicit operator bool() const { return budget_ != nullptr; }
  std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool grow(std::uint64_t more) noexcept;
  void shrink(std::uint64_t less) noexcept;
  void reset() noexcept;

 private:
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace qudag::memory
