#include "memory/budget.h"

#include "base/assert.h"

#include <algorithm>

namespace qudag::memory {

namespace {

/// Adds if the sum stays within `most`.
bool add_within(std::atomic<std::uint64_t>& sum, std::uint64_t bytes, std::uint64_t most) {
  std::uint64_t now = sum.load(std::memory_order_relaxed);
  do {
    if (bytes > most || now > most - bytes) return false;
  } while (!sum.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return true;
}

/// Adds as much as fits, takes as much as there is: returns how much.
std::uint64_t add_up_to(std::atomic<std::uint64_t>& sum, std::uint64_t bytes, std::uint64_t most) {
  std::uint64_t now = sum.load(std::memory_order_relaxed);
  std::uint64_t part = 0;
  do {
    part = std::min(bytes, most - std::min(now, most));
  } while (part > 0 && !sum.compare_exchange_weak(now, now + part, std::memory_order_relaxed));
  return part;
}
std::uint64_t take_up_to(std::atomic<std::uint64_t>& sum, std::uint64_t bytes) {
  std::uint64_t now = sum.load(std::memory_order_relaxed);
  std::uint64_t part = 0;
  do {
    part = std::min(bytes, now);
  } while (part > 0 && !sum.compare_exchange_weak(now, now - part, std::memory_order_relaxed));
  return part;
}

}  // namespace

Budget::Budget(std::string name, std::uint64_t bytes_max, Budget* parent, std::uint64_t kept)
    : name_(std::move(name)),
      kept_(parent == nullptr ? 0 : std::min(kept, bytes_max)),
      beyond_max_(bytes_max - kept_),
      parent_(parent) {
  if (kept_ > 0) {
    const bool room = parent_->reserve(kept_);
    QUDAG_ASSERT(room);
  }
}

// A budget that ends while something is reserved means that its owner ends before its users.
Budget::~Budget() {
  QUDAG_ASSERT(used() == 0);
  if (kept_ > 0) parent_->release(kept_);
}

// First from what is kept here, the rest like everybody. The parent comes before `beyond_`, because
// whoever releases takes from there: what stands in it must be backed. No bound is ever passed; a
// reservation that fails may have others refused while it tries.
bool Budget::reserve(std::uint64_t bytes) noexcept {
  const std::uint64_t own = kept_ == 0 ? 0 : add_up_to(kept_used_, bytes, kept_);
  if (bytes > own && !reserve_beyond(bytes - own)) {
    if (own > 0) kept_used_.fetch_sub(own, std::memory_order_relaxed);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  note_peak();
  return true;
}

bool Budget::reserve_beyond(std::uint64_t bytes) noexcept {
  const std::uint64_t now = beyond_.load(std::memory_order_relaxed);
  if (bytes > beyond_max_ || now > beyond_max_ - bytes) return false;  // the parent is not asked
  if (parent_ != nullptr && !parent_->reserve(bytes)) return false;
  if (add_within(beyond_, bytes, beyond_max_)) return true;
  if (parent_ != nullptr) parent_->release(bytes);
  return false;
}

void Budget::reserve_anyway(std::uint64_t bytes) noexcept {
  const std::uint64_t own = kept_ == 0 ? 0 : add_up_to(kept_used_, bytes, kept_);
  if (parent_ != nullptr && bytes > own) parent_->reserve_anyway(bytes - own);
  beyond_.fetch_add(bytes - own, std::memory_order_relaxed);
  note_peak();
}

// What goes beyond goes back first, so that others can have it. The two parts together are never
// less than what is held, and only new holders add to `beyond_`: so what this one did not find
// there is in the kept part, whatever the others do meanwhile.
void Budget::release(std::uint64_t bytes) noexcept {
  std::uint64_t rest = bytes;
  if (kept_ > 0) {
    rest = take_up_to(beyond_, bytes);
    const std::uint64_t own = bytes - rest;
    const std::uint64_t before = kept_used_.fetch_sub(own, std::memory_order_relaxed);
    QUDAG_ASSERT(before >= own);
  } else {
    const std::uint64_t before = beyond_.fetch_sub(bytes, std::memory_order_relaxed);
    QUDAG_ASSERT(before >= bytes);
  }
  if (parent_ != nullptr && rest > 0) parent_->release(rest);
}

void Budget::note_peak() noexcept {
  const std::uint64_t now = used();
  std::uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
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

Reservation Reservation::adopt(Budget& budget, std::uint64_t bytes) noexcept {
  Reservation out;
  out.budget_ = &budget;
  out.bytes_ = bytes;
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

bool Allowance::reserve_for(std::uint64_t bytes) noexcept {
  const std::uint64_t missing = bytes - ahead_;
  if (budget_ == nullptr) {
    ahead_ += missing;
    return true;
  }
  // Near the bound a whole step may be too much where the thing itself still fits.
  std::uint64_t more = std::max(missing, kStepBytes);
  if (!budget_->reserve(more)) {
    more = missing;
    if (missing >= kStepBytes || !budget_->reserve(missing)) return false;
  }
  ahead_ += more;
  return true;
}

void Allowance::give_back(std::uint64_t bytes) noexcept {
  ahead_ -= bytes;
  if (budget_ != nullptr && bytes > 0) budget_->release(bytes);
}

}  // namespace qudag::memory
