// Route choice. Steps of draw_route():
//   1. the destination must be known and reachable by us;
//   2. guards that are gone leave the list, and it is filled up with relays that do not fail;
//   3. the first hop is, of the guards in use that suit this destination, the one with the least
//      circuits of ours for its reliability and load;
//   4. the other relays are drawn by weight.
// A relay's chance is what the history gives, times its share by the load that it reports: both at
// most 1, so nobody gains by what it says.
// A draw is rejection sampling: pick by claimed capacity (a binary search in the view), keep with
// the probability of its chance, refuse what may not stand here. When luck is bad, the
// whole list is summed instead, so a relay that may be chosen is always found.
#include "netmap/route.h"

#include <algorithm>
#include <array>
#include <span>

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
  Draw(const View& view, const NodeId& self, const RoutePolicy& policy, const RelayHistory& history,
       Now now, Rng& rng)
      : view_(view), self_(self), policy_(policy), history_(history), now_(now), rng_(rng) {}

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

  bool suits(const Entry& entry, std::span<const EntryPtr> others) const {
    const Descriptor& d = entry.descriptor;
    if (d.id == self_ || !d.relay || !is_usable(entry, now_)) return false;
    return std::ranges::none_of(others, [&](const EntryPtr& other) {
      return other->descriptor.id == d.id ||
             (policy_.distinct_networks && share_network(other->descriptor, d));
    });
  }

  /// The least loaded of the guards in use that suit the destination; or else another of the list;
  /// or else any relay, which then joins the list if there is room.
  EntryPtr first_hop(Guards& guards, const EntryPtr& destination) {
    const std::array<EntryPtr, 1> others{destination};
    if (policy_.guards == 0) return relay(others);
    drop_gone(guards);
    fill_up(guards);
    std::vector<EntryPtr> healthy = healthy_of(guards);
    const auto in_use = std::min(healthy.size(), policy_.guards);
    std::vector<EntryPtr> suited;
    for (std::size_t i = 0; i < healthy.size(); ++i) {
      if (i >= in_use && !suited.empty()) break;
      if (suits(*healthy[i], others)) suited.push_back(healthy[i]);
    }
    // One that is busy keeps its place, but is asked only if all are.
    const auto is_busy = [this](const EntryPtr& guard) {
      return history_.busy(guard->descriptor.id, now_);
    };
    if (!std::ranges::all_of(suited, is_busy)) std::erase_if(suited, is_busy);
    if (!suited.empty()) return one_of(suited, guards);
    ++guards.choices.other;
    EntryPtr drawn = relay(others);
    if (drawn != nullptr && guards.ids.size() < guards_max()) add(guards, *drawn);
    return drawn;
  }

  /// The relays of a route that begins at `first`: of two draws the one that should take less time
  /// to build. So no route is more than twice as likely as it was. Empty if there is none.
  std::vector<EntryPtr> faster_of_two(const EntryPtr& first, const EntryPtr& destination,
                                      unsigned relays) {
    std::vector<EntryPtr> one = through(first, destination, relays);
    if (relays == 1 || !policy_.by_speed) return one;
    std::vector<EntryPtr> other = through(first, destination, relays);
    const bool swap = one.empty() || (!other.empty() && expected(other) < expected(one));
    return swap ? other : one;
  }

 private:
  std::vector<EntryPtr> through(const EntryPtr& first, const EntryPtr& destination,
                                unsigned relays) {
    std::vector<EntryPtr> chosen{first, destination};  // what the next one must stand beside
    std::vector<EntryPtr> out{first};
    while (out.size() < relays) {
      EntryPtr next = relay(chosen);
      if (next == nullptr) return {};
      chosen.push_back(next);
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

  std::vector<EntryPtr> entries_of(const Guards& guards) const {
    std::vector<EntryPtr> out;
    for (const NodeId& id : guards.ids) {
      if (EntryPtr entry = view_.find_shared(id)) out.push_back(std::move(entry));
    }
    return out;
  }

  bool is_healthy(const NodeId& id) const {
    return history_.reliability(id, now_) >= RelayHistory::kFailing;
  }

  std::vector<EntryPtr> healthy_of(const Guards& guards) const {
    std::vector<EntryPtr> out = entries_of(guards);
    std::erase_if(out, [this](const EntryPtr& guard) { return !is_healthy(guard->descriptor.id); });
    return out;
  }

  std::size_t guards_max() const { return 2 * policy_.guards; }

  void drop_gone(Guards& guards) const {
    std::erase_if(guards.ids, [this](const NodeId& id) {
      const Entry* entry = view_.find(id);
      return entry == nullptr || !suits(*entry, {});
    });
    if (guards.ids.size() > guards_max()) guards.ids.resize(guards_max());
  }

  void fill_up(Guards& guards) {
    while (healthy_of(guards).size() < policy_.guards) {
      // In other networks than the guards we have, if that can be had: nobody should own them all.
      const EntryPtr drawn = relay(entries_of(guards));
      if (drawn == nullptr || !is_healthy(drawn->descriptor.id)) break;
      if (guards.ids.size() >= guards_max()) drop_youngest_failing(guards);
      add(guards, *drawn);
    }
  }

  /// There is one: fewer are healthy than half of a full list.
  void drop_youngest_failing(Guards& guards) const {
    const auto at = std::find_if(guards.ids.rbegin(), guards.ids.rend(),
                                 [this](const NodeId& id) { return !is_healthy(id); });
    QUDAG_ASSERT(at != guards.ids.rend());
    guards.ids.erase(std::next(at).base());
  }

  static void add(Guards& guards, const Entry& entry) {
    const NodeId& id = entry.descriptor.id;
    if (std::ranges::find(guards.ids, id) == guards.ids.end()) guards.ids.push_back(id);
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
  const RoutePolicy& policy_;
  const RelayHistory& history_;
  Now now_;
  Rng& rng_;
};

}  // namespace

bool share_network(const Descriptor& a, const Descriptor& b) {
  for (const SocketAddress& one : a.addresses) {
    for (const SocketAddress& other : b.addresses) {
      if (same_block(one, other)) return true;
    }
  }
  return false;
}

Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng) {
  if (relays > limits::kRelaysMax) return fail(Errc::invalid_argument, "at most 5 relays");
  if (destination == self) return fail(Errc::invalid_argument, "the destination is this node");
  EntryPtr last = view.find_shared(destination);
  if (last == nullptr || !is_usable(*last, now)) return fail(Errc::unknown_destination);

  Draw draw(view, self, policy, history, now, rng);
  std::vector<EntryPtr> route;
  if (relays > 0) {
    const EntryPtr first = draw.first_hop(guards, last);
    if (first == nullptr) return fail(Errc::no_route);
    route = draw.faster_of_two(first, last, relays);
    if (route.empty()) return fail(Errc::no_route);
  }
  route.push_back(std::move(last));
  return route;
}

}  // namespace qudag::netmap
