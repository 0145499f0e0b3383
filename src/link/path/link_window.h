// How much of a link's window is given back, and when: at once, or as fast as a bound on what the
// link may receive allows (EndpointOptions::link_bytes_per_second). Pure: time is an argument.
#pragma once

#include "base/time.h"
#include "sync/token_bucket.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace qudag::link {

class LinkWindow {
 public:
  /// 0: no bound.
  LinkWindow(std::uint64_t bytes_per_second, TimePoint now) : per_second_(bytes_per_second) {
    if (bytes_per_second != 0) rate_.emplace(bytes_per_second, bytes_per_second, now);
  }

  /// Otherwise nothing is owed: what was consumed is given at once.
  bool bounded() const { return rate_.has_value(); }
  void owe(std::uint64_t bytes) { owed_ += bytes; }
  /// As much of what is owed as the rate allows; the rest when it allows more, at due().
  std::uint64_t pay(TimePoint now) {
    constexpr std::uint64_t kPieceBytes = 64 * 1024;
    std::uint64_t bytes = std::min(owed_, rate_->available(now));
    if (!rate_->take(bytes, now)) bytes = 0;
    owed_ -= bytes;
    const std::uint64_t next = std::min({owed_, kPieceBytes, per_second_});
    due_ = next == 0 ? kNever : rate_->ready_at(next, now);
    return bytes;
  }
  TimePoint due() const { return due_; }

 private:
  const std::uint64_t per_second_;
  std::optional<sync::TokenBucket> rate_;
  std::uint64_t owed_ = 0;
  TimePoint due_ = kNever;
};

}  // namespace qudag::link
