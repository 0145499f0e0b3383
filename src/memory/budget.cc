#include "memory/budget.h"

#include "base/assert.h"

namespace qudag::memory {

Budget::Budget(std::string name, std::uint64_t bytes_max, Budget* parent)
    : name_(std::move(name)), bytes_max_(bytes_max), parent_(parent) {}

// A budget that ends while something is reserved means that its owner ends before its users.
Budget::~Budget() { QUDAG_ASSERT(used() == 0); }

// From the leaf up, and back down if an ancestor has no room: between the two another thread may
// be refused by a reservation that then fails, but the bound is never passed.
bool Budget::reserve(std::uint64_t bytes) noexcept {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ || used > bytes_max_ - bytes) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  if (parent_ != nullptr && !parent_->reserve(bytes)) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  std::uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (used + bytes > peak &&
         !peak_.compare_exchange_weak(peak, used + bytes, std::memory_order_relaxed)) {
  }
  return true;
}

void Budget::release(std::uint64_t bytes) noexcept {
  const std::uint64_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  QUDAG_ASSERT(before >= bytes);
  if (parent_ != nullptr) parent_->release(bytes);
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    reset();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Reservation Reservation::take(Budget& budget, std::uint64_t bytes) noexcept {
  Reservation out;
  if (budget.reserve(bytes)) {
    out.budget_ = &budget;
    out.bytes_ = bytes;
  }
  return out;
}

bool Reservation::grow(std::uint64_t more) noexcept {
  if (budget_ == nullptr || !budget_->reserve(more)) return false;
  bytes_ += more;
  return true;
}

void Reservation::shrink(std::uint64_t less) noexcept {
  QUDAG_ASSERT(less <= bytes_);
  if (budget_ != nullptr) budget_->release(less);
  bytes_ -= less;
}

void Reservation::reset() noexcept {
  if (budget_ != nullptr) budget_->release(bytes_);
  budget_ = nullptr;
  bytes_ = 0;
}

}  // namespace qudag::memory
