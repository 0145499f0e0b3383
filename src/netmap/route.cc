// Route choice. Steps of draw_route():
//   1. the destination must be known and reachable by us;
//   2. the list of guards is filled up with relays that do not fail;
//   3. the first hop is, of the guards in use that are not the destination, the one with the least
//      circuits of ours for its reliability and load;
//   4. the other relays are drawn by weight, in other networks than the relays before them. Where
//   the
//      destination says that it is excludes nobody.
// A relay's chance is what the history gives, times its share by the load that it reports: both at
// most 1, so nobody gains by what it says.
// A draw is rejection sampling: pick by claimed capacity (a binary search in the view), keep with
// the probability of its chance, refuse what may not stand here. When luck is bad, the
// whole list is summed instead, so a relay that may be chosen is always found.
#include "netmap/route.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace qudag::netmap {
namespace {

constexpr std::uint16_t kSpokenVersion = 1;
constexpr unsigned kQuickDraws = 64;
constexpr double kSame = 1e-9;  // loads that differ by less are equal

bool is_usable(const Entry& entry, Now now) {
  const Descriptor& d = entry.descriptor;
  return d.expires > now.unix_seconds && d.version_min <= kSpokenVersion &&
         d.version_max >= kSpokenVersion && entry.onion_key(now.unix_seconds) != nullptr;
}

bool is_loopback(const SocketAddress& a) {
  if (a.is_v4()) return a.ip[12] == 127;
  static constexpr std::array<std::uint8_t, 16> kLoopback{0, 0, 0, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 0, 0, 0, 0, 1};
  return a.ip == kLoopback;
}

bool same_block(const SocketAddress& a, const SocketAddress& b) {
  if (is_loopback(a) || is_loopback(b) || a.is_v4() != b.is_v4()) return false;
  const std::size_t begin = a.is_v4() ? 12 : 0;  // of a mapped address the last four bytes count
  const std::size_t size = a.is_v4() ? 2 : 4;
  return std::equal(a.ip.begin() + begin, a.ip.begin() + begin + size, b.ip.begin() + begin);
}

class Draw {
 public:
  Draw(const View& view, const NodeId& self, const NodeId& destination, const RoutePolicy& policy,
       const RelayHistory& history, Now now, Rng& rng)
      : view_(view),
        self_(self),
        destination_(destination),
        policy_(policy),
        history_(history),
        now_(now),
        rng_(rng) {}

  /// A relay that may stand beside all of `others`, by weight; null if there is none.
  EntryPtr relay(std::span<const EntryPtr> others) {
    const auto relays = view_.relays();
    if (relays.empty()) return nullptr;
    for (unsigned i = 0; i < kQuickDraws; ++i) {
      const EntryPtr& picked = relays[view_.relay_at(rng_.unit())];
      if (rng_.unit() < chance(picked->descriptor.id) && suits(*picked, others)) {
        return picked;
      }
    }
    return relay_by_sum(others);
  }

  /// `others` in the order in which they were chosen; the destination's place is in no network.
  bool suits(const Entry& entry, std::span<const EntryPtr> others) const {
    const Descriptor& d = entry.descriptor;
    if (d.id == self_ || d.id == destination_ || !is_relay(entry)) return false;
    return std::ranges::none_of(others, [&](const EntryPtr& other) {
      return other->descriptor.id == d.id ||
             (policy_.distinct_networks && share_network(d, other->descriptor));
    });
  }

  /// The least loaded of the guards in use; if only the destination is, another of the list; if all
  /// fail, those in use nevertheless: they are what we come back to.
  EntryPtr first_hop(Guards& guards) {
    if (policy_.guards == 0) return relay({});
    guards.update([this](const NodeId& id) { return is_relay(id); }, now_);
    fill_up(guards);
    const std::vector<EntryPtr> listed = entries_of(guards);
    std::vector<EntryPtr> healthy = healthy_of(listed);
    std::vector<EntryPtr> suited = not_destination(healthy, policy_.guards);
    if (suited.empty()) {
      ++guards.choices.other;
      suited = not_destination(healthy, healthy.size());
      if (suited.size() > 1) suited.resize(1);
    }
    if (suited.empty()) suited = one_more(guards);
    if (suited.empty()) suited = not_destination(listed, policy_.guards);
    if (suited.empty()) suited = not_destination(listed, listed.size());
    if (suited.empty()) return nullptr;
    // One that is busy keeps its place, but is asked only if all are.
    const auto is_busy = [this](const EntryPtr& guard) {
      return history_.busy(guard->descriptor.id, now_);
    };
    if (!std::ranges::all_of(suited, is_busy)) std::erase_if(suited, is_busy);
    return one_of(suited, guards);
  }

  /// The relays of a route that begins at `first`: of two draws the one that should take less time
  /// to build. So no route is more than twice as likely as it was. Empty if there is none.
  std::vector<EntryPtr> faster_of_two(const EntryPtr& first, unsigned relays) {
    std::vector<EntryPtr> one = through(first, relays);
    if (relays == 1 || !policy_.by_speed) return one;
    std::vector<EntryPtr> other = through(first, relays);
    const bool swap = one.empty() || (!other.empty() && expected(other) < expected(one));
    return swap ? other : one;
  }

 private:
  std::vector<EntryPtr> through(const EntryPtr& first, unsigned relays) {
    std::vector<EntryPtr> out{first};
    while (out.size() < relays) {
      EntryPtr next = relay(out);
      if (next == nullptr) return {};
      out.push_back(std::move(next));
    }
    return out;
  }

  Duration expected(const std::vector<EntryPtr>& route) const {
    Duration sum{};
    for (const EntryPtr& hop : route) sum += history_.hop_time(hop->descriptor.id);
    return sum;
  }

  double chance(const NodeId& id) const {
    const double own = history_.chance(id, now_);
    return policy_.by_load ? own * history_.loads().share(id, now_) : own;
  }

  /// Whose circuits of ours, and this one more, are the fewest for its reliability and load: so
  /// their numbers become as those are. Equal ones have the same luck. How near a guard is does not
  /// count: it would tell where we are.
  EntryPtr one_of(const std::vector<EntryPtr>& suited, Guards& guards) {
    ++(suited.size() > 1 ? guards.choices.least : guards.choices.only);
    if (!policy_.by_load) return suited[rng_.below(suited.size())];
    std::vector<double> loads;
    for (const EntryPtr& guard : suited) {
      const NodeId& id = guard->descriptor.id;
      const double chance = history_.reliability(id, now_) * history_.loads().share(id, now_);
      loads.push_back((guards.circuits.held(id, now_) + 1) /
                      std::max(chance, RelayHistory::kWeightMin));
    }
    const double least = *std::ranges::min_element(loads);
    std::vector<EntryPtr> equal;
    for (std::size_t i = 0; i < suited.size(); ++i) {
      if (loads[i] <= least * (1 + kSame)) equal.push_back(suited[i]);
    }
    return equal[rng_.below(equal.size())];
  }

  bool is_relay(const Entry& entry) const {
    return entry.descriptor.relay && is_usable(entry, now_);
  }
  bool is_relay(const NodeId& id) const {
    const Entry* entry = id == self_ ? nullptr : view_.find(id);
    return entry != nullptr && is_relay(*entry);
  }
  bool is_healthy(const EntryPtr& entry) const {
    return history_.reliability(entry->descriptor.id, now_) >= RelayHistory::kFailing;
  }

  std::vector<EntryPtr> entries_of(const Guards& guards) const {
    std::vector<EntryPtr> out;
    for (const NodeId& id : guards.ids()) {
      if (EntryPtr entry = view_.find_shared(id)) out.push_back(std::move(entry));
    }
    return out;
  }

  std::vector<EntryPtr> healthy_of(std::vector<EntryPtr> guards) const {
    std::erase_if(guards, [this](const EntryPtr& guard) { return !is_healthy(guard); });
    return guards;
  }

  /// Of the first `count`.
  std::vector<EntryPtr> not_destination(std::span<const EntryPtr> guards, std::size_t count) const {
    std::vector<EntryPtr> out;
    for (const EntryPtr& guard : guards.first(std::min(count, guards.size()))) {
      if (!(guard->descriptor.id == destination_)) out.push_back(guard);
    }
    return out;
  }

  std::size_t listed_max() const { return 2 * policy_.guards; }

  void fill_up(Guards& guards) {
    while (healthy_of(entries_of(guards)).size() < policy_.guards) {
      if (draw_guard(guards) == nullptr) break;
    }
  }

  std::vector<EntryPtr> one_more(Guards& guards) {
    EntryPtr drawn = draw_guard(guards);
    if (drawn == nullptr || drawn->descriptor.id == destination_) return {};
    return {std::move(drawn)};
  }

  /// In another network than the guards we have, if that can be had: nobody should own them all.
  /// Who the destination is does not matter here.
  EntryPtr draw_guard(Guards& guards) {
    if (!guards.has_place(Layer::first, listed_max(), now_)) return nullptr;
    const NodeId destination = std::exchange(destination_, NodeId{});
    EntryPtr drawn = relay(entries_of(guards));
    destination_ = destination;
    // When all fail we rather keep to those we have; but we need one.
    if (drawn == nullptr || (!is_healthy(drawn) && !guards.ids().empty())) return nullptr;
    guards.add(Layer::first, drawn->descriptor.id, listed_max(), now_, rng_);
    return drawn;
  }

  EntryPtr relay_by_sum(std::span<const EntryPtr> others) {
    const auto relays = view_.relays();
    std::vector<double> sums(relays.size());
    double sum = 0;
    std::size_t last = relays.size();  // the last that may be chosen, against rounding
    for (std::size_t i = 0; i < relays.size(); ++i) {
      if (suits(*relays[i], others)) {
        sum += view_.relay_weight(i) * chance(relays[i]->descriptor.id);
        last = i;
      }
      sums[i] = sum;
    }
    if (last == relays.size()) return nullptr;
    const auto at = std::ranges::upper_bound(sums, rng_.unit() * sum) - sums.begin();
    return relays[std::min(static_cast<std::size_t>(at), last)];
  }

  const View& view_;
  const NodeId& self_;
  NodeId destination_;
  const RoutePolicy& policy_;
  const RelayHistory& history_;
  Now now_;
  Rng& rng_;
};

}  // namespace

bool share_network(const Descriptor& candidate, const Descriptor& chosen) {
  if (chosen.addresses.empty()) return false;
  const SocketAddress& beside = chosen.addresses.front();
  return std::ranges::any_of(candidate.addresses, [&beside](const SocketAddress& address) {
    return same_block(address, beside);
  });
}

Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng) {
  if (relays > limits::kRelaysMax) return fail(Errc::invalid_argument, "at most 5 relays");
  if (destination == self) return fail(Errc::invalid_argument, "the destination is this node");
  EntryPtr last = view.find_shared(destination);
  if (last == nullptr || !is_usable(*last, now)) return fail(Errc::unknown_destination);

  Draw draw(view, self, destination, policy, history, now, rng);
  std::vector<EntryPtr> route;
  if (relays > 0) {
    const EntryPtr first = draw.first_hop(guards);
    if (first == nullptr) return fail(Errc::no_route);
    route = draw.faster_of_two(first, relays);
    if (route.empty()) return fail(Errc::no_route);
  }
  route.push_back(std::move(last));
  return route;
}

}  // namespace qudag::netmap
