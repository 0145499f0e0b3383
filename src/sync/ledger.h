// The books of a queue: what is in it against its bounds, and what became of everything that
// came. Queue keeps its books here; so does a room that keeps waiting items in lists of its own.
//
// Threads: one owner.
#pragma once

#include "base/assert.h"
#include "sync/bounds.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace qudag::sync {

/// Waiting times in powers of two of a microsecond: 256 bytes instead of a whole histogram.
class WaitingTimes {
 public:
  void record(Duration waited, std::uint64_t times = 1) {
    const auto us = static_cast<std::uint64_t>(std::max<Duration::rep>(0, waited.count())) / 1'000;
    buckets_[std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(us)), kBuckets - 1)] +=
        times;
    max_ = std::max(max_, waited);
  }
  /// An upper bound of what so many percent did not exceed.
  Duration percentile(unsigned percent) const {
    std::uint64_t all = 0, seen = 0;
    for (const std::uint64_t n : buckets_) all += n;
    for (std::size_t i = 0; i < kBuckets && all > 0; ++i) {
      seen += buckets_[i];
      if (seen * 100 >= all * percent) {
        return std::min(max_, Duration((Duration::rep{1'000} << i) - 1));
      }
    }
    return max_;
  }
  Duration max() const { return max_; }

 private:
  static constexpr std::size_t kBuckets = 32;  // the last: above 18 minutes
  std::array<std::uint64_t, kBuckets> buckets_{};
  Duration max_{};
};

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
    out.waited_p50 = waited_.percentile(50);
    out.waited_p99 = waited_.percentile(99);
    out.waited_max = waited_.max();
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
  WaitingTimes waited_;
};

}  // namespace qudag::sync
