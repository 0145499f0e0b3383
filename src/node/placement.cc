#include "node/placement.h"

#include "base/limits.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace qudag::node {

namespace {

static_assert(limits::kShardsMax < 0xff);

/// Loads are looked at again after so long; a busy share of less time says little.
constexpr auto kLookEvery = std::chrono::milliseconds(100);
/// What a flow that was just placed is taken to need, until it shows in the shard's busy share.
constexpr double kFlowShare = 0.1;

}  // namespace

Placement::Placement(unsigned shards, std::function<Duration(unsigned)> busy,
                     std::function<TimePoint()> clock, std::function<std::size_t(unsigned)> links)
    : shards_(shards),
      busy_(std::move(busy)),
      clock_(std::move(clock)),
      links_(std::move(links)),
      loads_(shards) {
  looked_ = clock_();
}

unsigned Placement::again(std::atomic<std::uint32_t>& place, std::uint32_t round) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t word = place.load(std::memory_order_relaxed);
  const std::uint32_t idle = (round - used_at(word)) & kRoundMask;
  const unsigned shard = word != kFree && idle < kIdleRounds ? shard_in(word) : least_loaded();
  place.store(word_of(round, shard), std::memory_order_relaxed);
  return shard;
}

void Placement::look() {
  const TimePoint now = clock_();
  if (const Duration since = now - looked_; since >= kLookEvery) {
    for (unsigned i = 0; i < shards_; ++i) {
      const Duration busy = busy_(i);
      loads_[i] = {.busy_before = busy,
                   .share = std::chrono::duration<double>(busy - loads_[i].busy_before) / since,
                   .placed = 0};
    }
    looked_ = now;
  }
}

unsigned Placement::least_loaded() {
  look();
  const auto load = [](const Load& l) { return l.share + kFlowShare * l.placed; };
  const auto least = std::ranges::min_element(loads_, {}, load);
  ++least->placed;
  return static_cast<unsigned>(least - loads_.begin());
}

unsigned Placement::place_link() {
  if (shards_ == 1) return 0;
  const std::lock_guard lock(mutex_);
  look();
  double all = 1;
  for (unsigned i = 0; i < shards_ && links_; ++i) all += static_cast<double>(links_(i));
  unsigned least = 0;
  double least_load = 0;
  for (unsigned i = 0; i < shards_; ++i) {
    const double links = links_ ? static_cast<double>(links_(i)) / all : 0;
    const double load = loads_[i].share + kFlowShare * loads_[i].placed + links;
    if (i > 0 && load >= least_load) continue;
    least = i;
    least_load = load;
  }
  ++loads_[least].placed;
  return least;
}

}  // namespace qudag::node
