// The books of a queue: what is in it against its bounds, and what became of everything that
// came. Queue keeps its books here; so does a room that keeps waiting items in lists of its own.
//
// Threads: one owner.
#pragma once

#include "base/assert.h"
#include "base/time_histogram.h"
#include "sync/bounds.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace qudag::sync {

class Ledger {
 public:
  explicit Ledger(const Bounds& bounds) : bounds_(bounds) {}

  /// Why an item of that size does not fit now.
  std::optional<DropReason> refusal(std::size_t bytes) const {
    if (items_ < bounds_.items_max && bytes <= bounds_.bytes_max - bytes_) return std::nullopt;
    if (bytes > bounds_.bytes_max) return DropReason::too_large;
    return items_ >= bounds_.items_max ? DropReason::items_full : DropReason::bytes_full;
  }
  void refuse(DropReason reason) { ++drops_[static_cast<std::size_t>(reason)]; }
  void enter(std::size_t bytes) {
    QUDAG_DCHECK(!refusal(bytes));
    ++items_;
    bytes_ += bytes;
    ++entered_;
  }
  void leave(std::size_t bytes, Duration waited) {
    take(bytes);
    ++left_;
    waited_.record(waited);
  }
  void drop(std::size_t bytes, DropReason reason) {
    take(bytes);
    ++drops_[static_cast<std::size_t>(reason)];
  }

  const Bounds& bounds() const { return bounds_; }
  std::size_t items() const { return items_; }
  std::size_t bytes() const { return bytes_; }
  std::uint64_t entered() const { return entered_; }
  std::uint64_t left() const { return left_; }
  std::uint64_t drops(DropReason reason) const { return drops_[static_cast<std::size_t>(reason)]; }

  Bounded report(std::string_view name, std::string_view level, Duration oldest) const {
    Bounded out;
    out.kind = Bounded::Kind::queue;
    out.name = name;
    out.level = level;
    out.when_full = name_of(bounds_.when_full);
    out.items = items_;
    out.items_max = bounds_.items_max;
    out.bytes = bytes_;
    out.bytes_max = bounds_.bytes_max;
    out.age_max = bounds_.age_max;
    out.oldest = oldest;
    out.waited = waited_;
    out.entered = entered_;
    out.left = left_;
    out.drops = drops_;
    return out;
  }

 private:
  void take(std::size_t bytes) {
    QUDAG_DCHECK(items_ > 0 && bytes_ >= bytes);
    --items_;
    bytes_ -= bytes;
  }

  Bounds bounds_;
  std::size_t items_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t entered_ = 0;
  std::uint64_t left_ = 0;
  std::array<std::uint64_t, kDropReasonCount> drops_{};
  TimeHistogram waited_;
};

}  // namespace qudag::sync
