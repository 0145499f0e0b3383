#include "netmap/routes/first_hops.h"

#include <algorithm>
#include <cmath>

namespace qudag::netmap {
namespace {

constexpr double kNothing = 0.05;  // of a circuit

}  // namespace

double FirstHops::lost_now(const Count& count, TimePoint now) const {
  if (now <= count.last) return count.lost;
  const std::chrono::duration<double> age = now - count.last;
  return count.lost * std::exp(-(age / std::chrono::duration<double>(life_)));
}

void FirstHops::began(const NodeId& relay, Now now) {
  if (!counts_.contains(relay) && counts_.size() >= kEntriesMax) {
    std::erase_if(counts_, [this, now](const auto& one) {
      return one.second.circuits == 0 && lost_now(one.second, now.mono) < kNothing;
    });
    if (counts_.size() >= kEntriesMax) return;
  }
  ++counts_[relay].circuits;
}

void FirstHops::ended(const NodeId& relay, bool by_us, Duration lived, Now now) {
  const auto at = counts_.find(relay);
  if (at == counts_.end() || at->second.circuits == 0) return;
  Count& count = at->second;
  --count.circuits;
  count.lost = lost_now(count, now.mono) + (by_us ? 0 : 1);
  count.last = std::max(count.last, now.mono);
  if (by_us) life_ = std::clamp((life_ * 15 + lived) / 16, kLifeMin, kLifeMax);
  if (count.circuits == 0 && count.lost < kNothing) counts_.erase(at);
}

double FirstHops::held(const NodeId& relay, Now now) const {
  const auto at = counts_.find(relay);
  return at == counts_.end() ? 0 : at->second.circuits + lost_now(at->second, now.mono);
}

}  // namespace qudag::netmap
