#include "link/dialing/dial_places.h"

#include <algorithm>

namespace qudag::link {

DialPlaces::Verdict DialPlaces::ask(LinkId asker, const NodeId& next, std::size_t addresses,
                                    TimePoint now) {
  Verdict out;
  if (const auto dead = dead_.find({asker, next}); dead != dead_.end()) {
    if (now >= dead->second.until) {
      dead_.erase(dead);
    } else if (dead->second.failures >= addresses) {
      ++stats_.known_dead;
      return {.answer = Answer::dead};
    } else {
      out.address = dead->second.failures;
    }
  }
  const auto rate = rates_.try_emplace(asker, rules_.per_second, rules_.per_second * 2, now).first;
  if (!rate->second.take(1, now)) {
    ++stats_.refused_rate;
    return {.answer = Answer::too_many};
  }
  if (dials_.size() >= rules_.dials_max) out.end = to_give_up(asker);
  stats_.given_up += out.end ? 1 : 0;
  return out;
}

std::size_t DialPlaces::held_by(const std::vector<Dial>& all, LinkId asker) {
  return static_cast<std::size_t>(std::ranges::count(all, asker, &Dial::asker));
}

/// The asking link itself if none has more.
LinkId DialPlaces::with_most(const std::vector<Dial>& all, LinkId asker) {
  std::map<LinkId, std::size_t> held{{asker, 0}};
  for (const Dial& dial : all) ++held[dial.asker];
  LinkId most = asker;
  for (const auto& [one, count] : held) {
    if (count > held[most]) most = one;
  }
  return most;
}

std::optional<LinkId> DialPlaces::to_give_up(LinkId asker) const {
  const auto first = std::ranges::find(dials_, with_most(dials_, asker), &Dial::asker);
  return first == dials_.end() ? std::nullopt : std::optional(first->dial);
}

void DialPlaces::began(LinkId dial, LinkId asker, const NodeId& next) {
  ++stats_.begun;
  dials_.push_back({dial, asker, next});
}

void DialPlaces::joined(LinkId dial, LinkId asker) {
  const auto at = std::ranges::find(dials_, dial, &Dial::dial);
  if (at == dials_.end()) return;
  if (held_by(dials_, asker) + 1 < held_by(dials_, at->asker)) at->asker = asker;
}

std::optional<DialPlaces::Dial> DialPlaces::take(LinkId dial) {
  const auto at = std::ranges::find(dials_, dial, &Dial::dial);
  if (at == dials_.end()) return std::nullopt;
  const Dial out = *at;
  dials_.erase(at);
  return out;
}

bool DialPlaces::ready(LinkId dial) {
  const std::optional<Dial> ended = take(dial);
  if (ended) links_.push_back(*ended);
  return ended.has_value();
}

std::vector<LinkId> DialPlaces::links_of_most(LinkId asker) const {
  const LinkId most = with_most(links_, asker);
  std::vector<LinkId> out;
  for (const Dial& link : links_) {
    if (link.asker == most) out.push_back(link.dial);
  }
  return out;
}

void DialPlaces::forget_link(LinkId link) {
  std::erase_if(links_, [link](const Dial& one) { return one.dial == link; });
}

void DialPlaces::failed(LinkId dial, TimePoint now) {
  const std::optional<Dial> ended = take(dial);
  if (!ended || !make_room(ended->asker, now)) return;
  Dead& dead = dead_[{ended->asker, ended->next}];
  ++dead.failures;
  dead.until = now + rules_.dead_for;
}

/// For another dead one of that link.
bool DialPlaces::make_room(LinkId asker, TimePoint now) {
  if (dead_.size() >= kDeadMax) {
    std::erase_if(dead_, [now](const auto& dead) { return dead.second.until <= now; });
  }
  const auto first = dead_.lower_bound({asker, NodeId{}});
  auto oldest = first;
  std::size_t held = 0;
  for (auto at = first; at != dead_.end() && at->first.first == asker; ++at, ++held) {
    if (at->second.until < oldest->second.until) oldest = at;
  }
  if (held >= kDeadPerLinkMax) dead_.erase(oldest);
  return dead_.size() < kDeadMax;
}

void DialPlaces::forget(LinkId asker) {
  rates_.erase(asker);
  auto at = dead_.lower_bound({asker, NodeId{}});
  while (at != dead_.end() && at->first.first == asker) at = dead_.erase(at);
}

void DialPlaces::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "dials for circuits of others", "the link with most ends one",
                        dials_.size(), rules_.dials_max));
  out.push_back(bounded(Kind::table, "next hops that did not answer", "not remembered",
                        dead_.size(), kDeadMax));
}

}  // namespace qudag::link
