// A rate with a burst that several parts of a process share: shards, each on its own thread.
//
//   while no part waits, what comes in fills one pot, up to the burst, and whoever comes takes it;
//   while parts wait, what comes in is divided between them, by their weights, so that none is
//   starved by one that asks more often; who waits no more leaves the rest to the pot.
//
// The sum of what was taken by a time is never more than burst + rate * time. Tokens are counted in
// billionths, as in token_bucket.h.
//
// Threads: any; a lock for each call. Limits: rate and burst up to 9 * 10^9 tokens.
#pragma once

#include "base/assert.h"
#include "base/limits.h"
#include "base/time.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>

namespace qudag::sync {

class SharedRate {
 public:
  static constexpr std::uint64_t kMost = 9'000'000'000;

  /// Begins full. Rate 0: no bound, everything may be taken.
  void set(std::uint64_t per_second, std::uint64_t burst, TimePoint now) {
    QUDAG_ASSERT(per_second <= kMost && burst <= kMost);
    const std::lock_guard lock(mutex_);
    refill(now);
    const bool begins = rate_ == 0;
    rate_ = per_second;
    full_ = burst * kParts;
    if (begins) pot_ = full_;
    pot_ = std::min(pot_, full_);
    for (Part& part : parts_) part.has = std::min(part.has, full_);
    trim();
    at_ = now;
  }

  /// As much of `most` as there is for that part.
  std::uint64_t take(unsigned index, std::uint64_t most, TimePoint now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    Part& part = parts_.at(index);
    if (rate_ == 0) return count(most);
    const std::uint64_t out = std::min(most, (part.has + pot_) / kParts);
    const std::uint64_t own = std::min(part.has, out * kParts);
    part.has -= own;
    pot_ -= out * kParts - own;
    return count(out);
  }

  /// What was taken and is not used.
  void give_back(unsigned index, std::uint64_t n, TimePoint now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    taken_ -= n;
    if (rate_ != 0) parts_.at(index).has += std::min(n * kParts, full_ - sum());
  }

  /// How much of what comes in is its, against the other parts that wait; 0: it does not wait.
  void wait(unsigned index, std::uint64_t weight, TimePoint now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    Part& part = parts_.at(index);
    weights_ += weight - part.weight;
    part.weight = weight;
    if (weight > 0) return;
    pot_ += part.has;
    part.has = 0;
  }

  /// When that part will have so many tokens, if nothing changes; kNever if the burst is less.
  TimePoint ready_at(unsigned index, std::uint64_t n, TimePoint now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    const Part& part = parts_.at(index);
    const std::uint64_t has = part.has + pot_;
    if (rate_ == 0 || n <= has / kParts) return now;
    if (n > full_ / kParts) return kNever;
    const double share =
        part.weight == 0 ? 1.0 : static_cast<double>(part.weight) / static_cast<double>(weights_);
    const double seconds = static_cast<double>(n * kParts - has) / static_cast<double>(kParts) /
                           (share * static_cast<double>(rate_));
    return now + std::chrono::ceil<Duration>(std::chrono::duration<double>(seconds));
  }

  /// By all parts, since the beginning.
  std::uint64_t taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }

 private:
  static constexpr std::uint64_t kParts = 1'000'000'000;  // one per nanosecond at rate 1
  struct Part {
    std::uint64_t weight = 0, has = 0;
  };

  std::uint64_t count(std::uint64_t n) {
    taken_ += n;
    return n;
  }
  std::uint64_t sum() const {
    std::uint64_t out = pot_;
    for (const Part& part : parts_) out += part.has;
    return out;
  }
  /// A smaller burst: what is above it goes, of the parts last.
  void trim() {
    std::uint64_t room = full_;
    for (Part& part : parts_) room -= part.has = std::min(part.has, room);
    pot_ = std::min(pot_, room);
  }
  void refill(TimePoint now) {
    if (now <= at_ || rate_ == 0) return;  // time does not go back, nor do shards agree on it
    const auto elapsed = static_cast<std::uint64_t>((now - at_).count());
    at_ = now;
    const std::uint64_t missing = full_ - sum();
    const std::uint64_t in = elapsed > missing / rate_ ? missing : elapsed * rate_;
    std::uint64_t left = in;
    for (Part& part : parts_) {
      if (part.weight == 0) continue;
      // in * weight / weights_, which might not fit
      const std::uint64_t its =
          in / weights_ * part.weight + in % weights_ * part.weight / weights_;
      part.has += its;
      left -= its;
    }
    pot_ += left;
  }

  mutable std::mutex mutex_;
  std::uint64_t rate_ = 0, full_ = 0;
  std::uint64_t pot_ = 0, taken_ = 0;
  std::uint64_t weights_ = 0;  // of all parts
  std::array<Part, limits::kShardsMax> parts_{};
  TimePoint at_{};
};

}  // namespace qudag::sync
