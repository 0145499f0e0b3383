// A log-linear histogram of fixed size: any 64-bit value, about 3 % precision, no allocation.
//
// Values below 32 have a bucket each. Above, every power of two is cut into 32 equal buckets, so a
// bucket is at most 1/32 of its value wide; percentile() answers with the upper end of the bucket,
// cut at the recorded maximum, so it never understates a latency and overstates it by at most 3.2
// %.
//
// Threads: none of its own. A shard records into its own histogram and hands out copies (15 KB);
// whoever shows them merges the copies.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace qudag {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 5;
  static constexpr std::size_t kSub = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * kSub;  // 1920

  void record(std::uint64_t value, std::uint64_t times = 1) {
    if (times == 0) return;
    buckets_[bucket_of(value)] += times;
    count_ += times;
    sum_ += static_cast<double>(value) * static_cast<double>(times);
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  }

  void clear() { *this = Histogram(); }

  std::uint64_t count() const { return count_; }
  /// 0 while nothing is recorded, as are max, mean and every percentile.
  std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const { return max_; }
  double sum() const { return sum_; }
  /// Records below `end`, a power of two: buckets begin at these, so this is exact.
  std::uint64_t below(std::uint64_t end) const {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < bucket_of(end); ++i) out += buckets_[i];
    return out;
  }
  double mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }

  /// The value that at least `percent` of the records do not exceed; percent in [0, 100].
  std::uint64_t percentile(double percent) const {
    if (count_ == 0) return 0;
    const double wanted = static_cast<double>(count_) * std::clamp(percent, 0.0, 100.0) / 100.0;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) {
        return std::clamp(upper_end(i), min_, max_);
      }
    }
    return max_;
  }

  /// Where a value is counted, and the largest value that is counted there.
  static constexpr std::size_t bucket_of(std::uint64_t value) {
    if (value < kSub) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return (shift + 1) * kSub + static_cast<std::size_t>((value >> shift) & (kSub - 1));
  }
  static constexpr std::uint64_t upper_end(std::size_t bucket) {
    if (bucket < kSub) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket / kSub) - 1;
    const std::uint64_t low = (kSub + bucket % kSub) << shift;
    return low + ((std::uint64_t{1} << shift) - 1);
  }

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
  std::uint64_t min_ = UINT64_MAX;
  std::uint64_t max_ = 0;
};

}  // namespace qudag
