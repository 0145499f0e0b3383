// A histogram of times in powers of two of a microsecond: 280 bytes and three additions a record,
// where Histogram has 15 KB and 3 % precision. Its buckets end where those of the metrics page do.
//
// Threads: one owner, who hands out copies.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace qudag {

class TimeHistogram {
 public:
  void record(Duration time, std::uint64_t times = 1) {
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(0, time.count()));
    const auto bits = static_cast<std::size_t>(std::bit_width(ns / 1'000));
    buckets_[std::min(bits, kBuckets - 1)] += times;
    sum_ns_ += ns * times;
    max_ns_ = std::max(max_ns_, ns);
  }
  void merge(const TimeHistogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    sum_ns_ += other.sum_ns_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
  }

  std::uint64_t count() const {
    return std::accumulate(buckets_.begin(), buckets_.end(), std::uint64_t{0});
  }
  /// In microseconds.
  double sum() const { return static_cast<double>(sum_ns_) / 1e3; }
  /// Records below `end` microseconds, a power of two.
  std::uint64_t below(std::uint64_t end) const {
    const auto bits = static_cast<std::size_t>(std::bit_width(end));
    return std::accumulate(buckets_.begin(),
                           buckets_.begin() + static_cast<std::ptrdiff_t>(std::min(bits, kBuckets)),
                           std::uint64_t{0});
  }
  /// An upper bound of what so many percent did not exceed.
  Duration percentile(unsigned percent) const {
    const std::uint64_t all = count();
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets && all > 0; ++i) {
      seen += buckets_[i];
      if (seen * 100 >= all * percent) {
        return std::min(max(), Duration((Duration::rep{1'000} << i) - 1));
      }
    }
    return max();
  }
  Duration max() const { return Duration(static_cast<Duration::rep>(max_ns_)); }

 private:
  static constexpr std::size_t kBuckets = 32;  // the last: above 18 minutes
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace qudag
