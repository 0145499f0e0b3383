// Third hops of circuits to keepers: two for each keeper, kept for hours. The relay before a keeper
// is what the keeper sees; were it drawn for each circuit, a keeper that makes us build would see
// the ones behind it all, one after the other.
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
#include <vector>

namespace qudag::netmap {

class Thirds {
 public:
  static constexpr std::size_t kLastHopsMax = 64;
  static constexpr std::size_t kForEach = 2;
  /// Lives: the longer of two draws between these.
  static constexpr std::chrono::hours kLifeMin{1}, kLifeMax{48};

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
  bool has_place(const NodeId& keeper) {
    const Last* last = find(keeper);
    return last == nullptr || last->thirds.size() < kForEach;
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
  /// It failed at what we asked of it: another is drawn the next time.
  void failed(const NodeId& keeper, const NodeId& third) {
    if (Last* last = find(keeper)) {
      std::erase_if(last->thirds, [&](const Third& one) { return one.id == third; });
    }
  }

 private:
  struct Third {
    NodeId id;
    TimePoint until{};
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
  std::vector<Last> lasts_;
};

}  // namespace qudag::netmap
