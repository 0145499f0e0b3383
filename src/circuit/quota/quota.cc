#include "circuit/quota/quota.h"

#include <algorithm>

namespace qudag::circuit {

Quota::Quota(const Limits& limits, std::optional<KeptMonth> kept, Now now)
    : used_(kept ? kept->used : 0),
      clock_(kept ? std::optional(kept->clock) : std::nullopt, now),
      kept_used_(used_.load()) {
  set(limits, now.mono);
}

void Quota::set(const Limits& limits, TimePoint now) {
  const std::uint64_t wanted =
      limits.bandwidth_burst == 0 ? limits.bandwidth : limits.bandwidth_burst;
  // With less it could not be used up in the turns of a loop.
  const std::uint64_t burst = std::max({wanted, kBurstLeast, limits.bandwidth / 50});
  rate_.set(limits.bandwidth, burst, now);
  per_second_ = limits.bandwidth;
  burst_ = burst;
  month_ = limits.month;
  on_ = limits.bandwidth > 0 || limits.month > 0;
}

std::optional<QuotaStatus> Quota::status(TimePoint now) const {
  if (!on()) return std::nullopt;
  const std::uint64_t month = month_, used = used_;
  const std::lock_guard lock(mutex_);
  return QuotaStatus{.bandwidth = per_second_,
                     .burst = burst_,
                     .month = month,
                     .used = month == 0 ? 0 : used,
                     .stage = stage_of(used, month),
                     .turns = clock_.until_turn(now)};
}

void Quota::tick(Now now, std::optional<std::int64_t> off) {
  const std::lock_guard lock(mutex_);
  // What is counted meanwhile is of the new month.
  if (clock_.tick(now, off)) used_.fetch_sub(used_.load());
}

std::optional<KeptMonth> Quota::to_keep(bool all, TimePoint now) const {
  const std::uint64_t month = month_, used = used_;
  if (month == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (used == kept_used_ && kept_at_) return std::nullopt;
  const bool due = all || used < kept_used_ || !kept_at_ || now - *kept_at_ >= kKeepEvery ||
                   used - kept_used_ >= month / kKeepOneIn;
  if (!due) return std::nullopt;
  return KeptMonth{.clock = clock_.at(now), .used = used};
}

void Quota::kept(const KeptMonth& what, TimePoint now) {
  const std::lock_guard lock(mutex_);
  kept_used_ = what.used;
  kept_at_ = now;
}

}  // namespace qudag::circuit
