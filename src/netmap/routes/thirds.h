// Third hops of circuits to keepers: two for each keeper, kept for hours. The relay before a keeper
// is what the keeper sees; were it drawn for each circuit, a keeper that makes us build would see
// the ones behind it all, one after the other.
//
// One that the relay before it does not reach is passed over for a while. Then there may be a third
// one beside the two, and no more: who says that of others does not have us draw all of them.
//
// Pure state, beside the guards. Limits: kLastHopsMax keepers; the one that was not asked for the
// longest time makes room.
#pragma once

#include "base/rng.h"
#include "base/time.h"

#include <qudag/address.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace qudag::netmap {

class Thirds {
 public:
  static constexpr std::size_t kLastHopsMax = 64;
  static constexpr std::size_t kForEach = 2;
  /// Lives: the longer of two draws between these.
  static constexpr std::chrono::hours kLifeMin{1}, kLifeMax{48};
  static constexpr std::chrono::seconds kPassedMin{30}, kPassedMax{600};

  /// Those of that keeper that have not ended.
  std::vector<NodeId> of(const NodeId& keeper, Now now) {
    Last* last = find(keeper);
    if (last == nullptr) return {};
    last->asked = now.mono;
    std::erase_if(last->thirds, [&](const Third& one) { return one.until <= now.mono; });
    std::vector<NodeId> out;
    for (const Third& one : last->thirds) out.push_back(one.id);
    return out;
  }
  bool passed_over(const NodeId& keeper, const NodeId& third, Now now) {
    const Third* const one = find(keeper, third);
    return one != nullptr && now.mono < one->passed_until;
  }
  bool has_place(const NodeId& keeper, Now now) {
    const Last* last = find(keeper);
    if (last == nullptr) return true;
    const auto reached = std::ranges::count_if(
        last->thirds, [&](const Third& one) { return now.mono >= one.passed_until; });
    return last->thirds.size() <= kForEach && std::cmp_less(reached, kForEach);
  }
  void add(const NodeId& keeper, const NodeId& third, Now now, Rng& rng) {
    Last* last = find(keeper);
    if (last == nullptr) {
      if (lasts_.size() >= kLastHopsMax)
        lasts_.erase(std::ranges::min_element(lasts_, {}, &Last::asked));
      last = &lasts_.emplace_back(Last{.keeper = keeper, .asked = now.mono, .thirds = {}});
    }
    const auto draw = [&] {
      const auto spread = static_cast<std::uint64_t>(Duration(kLifeMax - kLifeMin).count());
      return Duration(kLifeMin) + Duration(static_cast<Duration::rep>(rng.below(spread)));
    };
    last->thirds.push_back({third, now.mono + std::max(draw(), draw())});
  }
  /// A build found out whether it is there. No more than one word in a time counts: builds that
  /// were under way together are one.
  void reached(const NodeId& keeper, const NodeId& third) {
    if (Third* one = find(keeper, third)) one->passed = {}, one->passed_until = {};
  }
  void not_reached(const NodeId& keeper, const NodeId& third, Now now) {
    Third* const one = find(keeper, third);
    if (one == nullptr || now.mono < one->passed_until) return;
    one->passed = std::clamp<Duration>(2 * one->passed, kPassedMin, kPassedMax);
    one->passed_until = now.mono + one->passed;
  }
  /// It is no relay any more, or failed at our own link: another is drawn the next time.
  void failed(const NodeId& keeper, const NodeId& third) {
    if (Last* last = find(keeper)) {
      std::erase_if(last->thirds, [&](const Third& one) { return one.id == third; });
    }
  }

 private:
  struct Third {
    NodeId id;
    TimePoint until{};
    Duration passed{};
    TimePoint passed_until{};
  };
  struct Last {
    NodeId keeper;
    TimePoint asked{};
    std::vector<Third> thirds;
  };
  Last* find(const NodeId& keeper) {
    const auto at = std::ranges::find(lasts_, keeper, &Last::keeper);
    return at == lasts_.end() ? nullptr : &*at;
  }
  Third* find(const NodeId& keeper, const NodeId& third) {
    Last* const last = find(keeper);
    if (last == nullptr) return nullptr;
    const auto at = std::ranges::find(last->thirds, third, &Third::id);
    return at == last->thirds.end() ? nullptr : &*at;
  }
  std::vector<Last> lasts_;
};

}  // namespace qudag::netmap
