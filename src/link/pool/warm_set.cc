#include "link/pool/warm_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qudag::link {
namespace {

/// Expected to be asked for so often while a count fades: as who was asked for once, two half-lives
/// ago.
constexpr double kWorthIt = 0.25;
constexpr double kForgotten = 0.05;
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

/// How often each will be asked for, as things stand.
std::map<NodeId, double> WarmSet::expected(std::span<const Likely> likely, TimePoint now) const {
  std::map<NodeId, double> out;
  double all = 0;
  for (const auto& [peer, demand] : asked_) all += out[peer] = count_now(demand, now);
  for (const Likely& one : likely) {
    double& count = out[one.peer];
    count = std::max(count, all * one.share);
  }
  return out;
}

std::vector<NodeId> WarmSet::best(const std::map<NodeId, double>& expected) const {
  std::vector<std::pair<double, NodeId>> ranked;
  for (const auto& [peer, count] : expected) {
    if (count >= kWorthIt) ranked.emplace_back(count * (has_place(peer) ? kLead : 1), peer);
  }
  const std::size_t most = std::min(ranked.size(), rules_.links_max);
  std::ranges::partial_sort(ranked, ranked.begin() + static_cast<std::ptrdiff_t>(most),
                            std::ranges::greater{});
  std::vector<NodeId> out;
  for (std::size_t i = 0; i < most; ++i) out.push_back(ranked[i].second);
  return out;
}

std::vector<NodeId> WarmSet::choose(std::span<const Likely> likely, TimePoint now) {
  std::erase_if(asked_,
                [&](const auto& entry) { return count_now(entry.second, now) < kForgotten; });
  std::vector<NodeId> chosen;
  if (in_use(now)) chosen = best(expected(likely, now));
  std::vector<NodeId> lost = std::exchange(chosen_, std::move(chosen));
  std::erase_if(lost, [this](const NodeId& peer) { return has_place(peer); });
  return lost;
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
