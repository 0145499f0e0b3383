#include "netmap/routes/loads.h"

#include <algorithm>

namespace qudag::netmap {
namespace {

constexpr std::uint64_t kTokens = 2;                      // for a report
constexpr LinkId kFirstLink{.slot = 0, .generation = 0};  // in the order of a relay's links
static_assert(RelayLoads::kEvery == kTokens * std::chrono::seconds(1));

double left_of(Duration age) {
  if (age <= RelayLoads::kHolds) return 1;
  const std::chrono::duration<double> left = RelayLoads::kForgotten - age;
  return std::max(0.0, left / (RelayLoads::kForgotten - RelayLoads::kHolds));
}

}  // namespace

bool RelayLoads::heard(const NodeId& relay, LinkId link, std::uint16_t load, Now now) {
  auto at = heard_.find({relay, link});
  if (at == heard_.end()) {
    if (heard_.size() >= entries_max_) return false;
    const sync::TokenBucket full(1, kTokens * kAtOnce, now.mono);
    at = heard_.emplace(std::pair(relay, link), Heard{.bucket = full}).first;
  }
  if (!heard_.lower_bound({relay, kFirstLink})->second.bucket.take(kTokens, now.mono)) return false;
  Heard& one = at->second;
  one.load = load / 65535.0;
  one.at = now.mono;
  return true;
}

void RelayLoads::forget(LinkId link) {
  std::erase_if(heard_, [link](const auto& one) { return one.first.second == link; });
}

double RelayLoads::load(const NodeId& relay, Now now) const {
  double out = 0;
  for (auto at = heard_.lower_bound({relay, kFirstLink});
       at != heard_.end() && at->first.first == relay; ++at) {
    out = std::max(out, at->second.load * left_of(now.mono - at->second.at));
  }
  return out;
}

}  // namespace qudag::netmap
