#include "link/dialing/warm_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qudag::link {
namespace {

/// So many requests must be expected while a count fades: as of who was asked for once, two
/// half-lives ago.
constexpr double kWorthKeeping = 0.25;
/// One request alone may have been chance, which the next one need not follow.
constexpr double kWorthOpening = 1.25;
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
  return std::ranges::find(chosen_, peer, &Place::peer) != chosen_.end();
}

/// Who can be expected to be asked for, and how much.
std::vector<WarmSet::Candidate> WarmSet::candidates(std::span<const Likely> likely,
                                                    TimePoint now) const {
  std::map<NodeId, double> counts;
  double all = 0;
  for (const auto& [peer, demand] : asked_) all += counts[peer] = count_now(demand, now);
  std::map<NodeId, double> shares;
  for (const Likely& one : likely) {
    counts.try_emplace(one.peer, 0);
    shares[one.peer] += all * one.share;
  }
  std::vector<Candidate> out;
  for (const auto& [peer, count] : counts) {
    const auto found = shares.find(peer);
    const double share = found == shares.end() ? 0 : found->second;
    const double expected = std::max(count, share);
    if (expected < kWorthKeeping) continue;
    out.push_back({.weight = expected * (has_place(peer) ? kLead : 1),
                   .place = {peer, count >= kWorthOpening || share >= kWorthKeeping}});
  }
  return out;
}

std::vector<NodeId> WarmSet::choose(std::span<const Likely> likely, TimePoint now) {
  std::erase_if(asked_,
                [&](const auto& entry) { return count_now(entry.second, now) < kForgotten; });
  std::vector<Candidate> ranked;
  if (in_use(now)) ranked = candidates(likely, now);
  std::ranges::sort(ranked, [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.place.peer < b.place.peer;
  });
  if (ranked.size() > rules_.links_max) ranked.resize(rules_.links_max);
  const std::vector<Place> before = std::exchange(chosen_, {});
  for (const Candidate& candidate : ranked) chosen_.push_back(candidate.place);
  std::vector<NodeId> lost;
  for (const Place& place : before) {
    if (!has_place(place.peer)) lost.push_back(place.peer);
  }
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
