#include "sim/attackers/ring.h"

#include "base/bytes.h"

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

// A build passes a relay and comes to the destination this much later: one to four links.
constexpr Duration kOnTheWayLeast = 3ms;
constexpr Duration kOnTheWayMost = 60ms;
constexpr Duration kResendMost = 4s;
constexpr Duration kDialedMost = 2s;

}  // namespace

std::string_view name_of(Rule rule) {
  constexpr std::array<std::string_view, kRules> kNames{"ids",  "partial", "signing", "killed",
                                                        "time", "dials",   "best"};
  return kNames[static_cast<std::size_t>(rule)];
}

std::optional<std::uint64_t> Ring::number_of(const Arrival& arrival) {
  if (arrival.text.size() < sizeof(std::uint64_t)) return std::nullopt;
  return load_be<std::uint64_t>(arrival.text.data());
}

std::vector<NodeId> Ring::honest(const netmap::View& view, bool relays) const {
  std::vector<NodeId> out;
  for (const netmap::EntryPtr& entry : view.entries()) {
    const netmap::DescriptorFacts& d = entry->descriptor;
    if (!is_ours(d.id) && (!relays || d.relay)) out.push_back(d.id);
  }
  return out;
}

std::optional<std::size_t> Ring::place_at(const SocketAddress& address) const {
  const auto at = by_address_.find(address);
  return at == by_address_.end() ? std::nullopt : std::optional(at->second);
}

const Sighting* Ring::last(const std::deque<Sighting>& list, TimePoint at, Duration most) const {
  for (auto one = list.rbegin(); one != list.rend(); ++one) {
    if (at - one->at > most) return nullptr;
    if (!our_addresses_.contains(one->from)) return &*one;
  }
  return nullptr;
}

std::optional<SocketAddress> Ring::way_back(const SocketAddress& from, TimePoint at) const {
  std::optional<SocketAddress> out;
  SocketAddress hop = from;
  for (auto one = sightings_.rbegin(); one != sightings_.rend(); ++one) {
    const Duration age = at - one->at;
    if (age > kOnTheWayMost) break;
    const auto next = by_id_.find(one->next);
    const bool passed_on = next != by_id_.end() && place_at(hop) == next->second;
    if (age < kOnTheWayLeast || !(one->relay == hop || passed_on)) continue;
    hop = one->from;
    out = hop;
  }
  return out;
}

void Ring::guess(Rule rule, Target& target, std::optional<SocketAddress> who) const {
  if (!who) return;
  const auto place = place_at(*who);  // else one of us
  if (place) target.guess[static_cast<std::size_t>(rule)] = place;
}

void Ring::guess(Rule rule, std::uint64_t number, const NodeId& who) {
  const auto target = targets_.find(number);
  const auto place = by_id_.find(who);
  if (target == targets_.end() || place == by_id_.end()) return;
  target->second.guess[static_cast<std::size_t>(rule)] = place->second;
}

void Ring::arrived(const Hostile& at, const Arrival& arrival) {
  const auto number = number_of(arrival);
  if (!number || arrival.signer) return;  // who signs says who it is
  const auto [target, first] = targets_.try_emplace(*number, Target{.first = arrival, .guess = {}});
  const auto from = [](const Sighting* one) {
    return one == nullptr ? std::nullopt : std::optional(one->from);
  };
  const TimePoint began = arrival.circuit_began;
  if (first) {
    guess(Rule::time, target->second, way_back(arrival.last_relay, began));
    guess(Rule::dials, target->second, from(last(dials_, began, kDialedMost)));
  } else if (arrival.circuit != target->second.first.circuit) {
    ++came_again_;
    guess(Rule::killed, target->second, from(last(kills_, arrival.at, kResendMost)));
  }
  on_arrival(at, *number, arrival);
}

}  // namespace qudag::testing
