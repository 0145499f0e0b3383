// A rate with a burst, in whole numbers: tokens are counted in billionths, so that no rate loses
// anything to rounding however often it is asked.
//
// Threads: one owner. Limits: burst up to 9 * 10^9 tokens.
#pragma once

#include "base/assert.h"
#include "base/time.h"

#include <algorithm>
#include <cstdint>

namespace qudag::sync {

class TokenBucket {
 public:
  static constexpr std::uint64_t kBurstMax = 9'000'000'000;

  /// Starts full. Rate 0: the burst is all there is.
  TokenBucket(std::uint64_t tokens_per_second, std::uint64_t burst, TimePoint now)
      : rate_(tokens_per_second), full_(burst * kParts), level_(full_), at_(now) {
    QUDAG_ASSERT(burst <= kBurstMax && tokens_per_second <= kBurstMax);
  }

  /// Takes all n or none.
  [[nodiscard]] bool take(std::uint64_t n, TimePoint now) {
    refill(now);
    if (n > level_ / kParts) {
      ++refused_;
      return false;
    }
    level_ -= n * kParts;
    return true;
  }

  /// Puts back what was taken for nothing.
  void give_back(std::uint64_t n, TimePoint now) {
    refill(now);
    level_ += std::min(n * kParts, full_ - level_);
  }

  /// When take(n) would succeed if nobody else takes: `now` if at once, kNever if it cannot.
  TimePoint ready_at(std::uint64_t n, TimePoint now) const {
    TokenBucket then = *this;
    then.refill(now);
    if (n > full_ / kParts) return kNever;
    if (n * kParts <= then.level_) return now;
    if (rate_ == 0) return kNever;
    const std::uint64_t missing = n * kParts - then.level_;
    return then.at_ + Duration(static_cast<Duration::rep>((missing - 1) / rate_ + 1));
  }

  /// Changes the rate from now on; the level stays, cut to the new burst.
  void set_rate(std::uint64_t tokens_per_second, std::uint64_t burst, TimePoint now) {
    QUDAG_ASSERT(burst <= kBurstMax && tokens_per_second <= kBurstMax);
    refill(now);
    rate_ = tokens_per_second;
    full_ = burst * kParts;
    level_ = std::min(level_, full_);
  }

  std::uint64_t available(TimePoint now) {
    refill(now);
    return level_ / kParts;
  }
  std::uint64_t refused() const { return refused_; }

 private:
  static constexpr std::uint64_t kParts = 1'000'000'000;  // one per nanosecond at rate 1

  void refill(TimePoint now) {
    if (now <= at_) return;  // time does not go back; if a caller's does, nothing is gained
    const auto elapsed = static_cast<std::uint64_t>((now - at_).count());
    at_ = now;
    const std::uint64_t missing = full_ - level_;
    // elapsed * rate might not fit; whether it is enough can be asked without multiplying.
    if (rate_ == 0) return;
    if (elapsed > missing / rate_) {
      level_ = full_;
    } else {
      level_ += elapsed * rate_;
    }
  }

  std::uint64_t rate_;
  std::uint64_t full_;
  std::uint64_t level_;
  TimePoint at_;
  std::uint64_t refused_ = 0;
};

}  // namespace qudag::sync
