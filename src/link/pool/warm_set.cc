#include "link/pool/warm_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qudag::link {
namespace {

/// Asked for once, two half-lives ago: not likely to be asked for again.
constexpr double kFaded = 0.25;
/// So much more must another be asked for to take a place: a link costs a handshake.
constexpr double kLead = 1.5;

}  // namespace

void WarmSet::asked(const NodeId& peer, TimePoint now) {
  if (rules_.links_max == 0) return;
  last_asked_ = std::max(last_asked_, now);
  if (!asked_.contains(peer)) make_room(now);
  Demand& demand = asked_[peer];
  demand = {.count = count_now(demand, now) + 1, .at = now};
}

double WarmSet::count_now(const Demand& demand, TimePoint now) const {
  if (demand.count <= 0 || now <= demand.at) return demand.count;
  const std::chrono::duration<double> age = now - demand.at;
  return demand.count * std::exp2(-(age / rules_.half_life));
}

void WarmSet::make_room(TimePoint now) {
  if (asked_.size() < kAskedMax) return;
  asked_.erase(std::ranges::min_element(
      asked_, {}, [&](const auto& entry) { return count_now(entry.second, now); }));
}

bool WarmSet::in_use(TimePoint now) const {
  return last_asked_ != TimePoint::min() && now - last_asked_ < rules_.idle_after;
}

bool WarmSet::has_place(const NodeId& peer) const {
  return std::ranges::find(chosen_, peer) != chosen_.end();
}

/// By what was asked, the most first; forgets what has faded.
std::vector<NodeId> WarmSet::wanted(TimePoint now) {
  std::erase_if(asked_, [&](const auto& entry) { return count_now(entry.second, now) < kFaded; });
  std::vector<std::pair<double, NodeId>> ranked;
  ranked.reserve(asked_.size());
  for (const auto& [peer, demand] : asked_) {
    ranked.emplace_back(count_now(demand, now) * (has_place(peer) ? kLead : 1), peer);
  }
  const std::size_t most = std::min(ranked.size(), rules_.links_max);
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(most);
  std::ranges::partial_sort(ranked, end, std::ranges::greater{});
  std::vector<NodeId> out;
  std::transform(ranked.begin(), end, std::back_inserter(out),
                 [](const auto& one) { return one.second; });
  return out;
}

std::vector<NodeId> WarmSet::choose(std::span<const NodeId> likely, TimePoint now) {
  std::vector<NodeId> before =
      std::exchange(chosen_, in_use(now) ? wanted(now) : std::vector<NodeId>{});
  if (in_use(now)) {
    for (const NodeId& peer : likely) {
      if (chosen_.size() >= rules_.links_max) break;
      if (!has_place(peer)) chosen_.push_back(peer);
    }
  }
  std::erase_if(before, [this](const NodeId& peer) { return has_place(peer); });
  return before;
}

void WarmSet::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "peers that circuits asked for",
                        "the least asked is forgotten", asked_.size(), kAskedMax));
  if (rules_.links_max == 0) return;
  out.push_back(bounded(Kind::table, "links kept warm", "the most asked stay", chosen_.size(),
                        rules_.links_max));
}

}  // namespace qudag::link
