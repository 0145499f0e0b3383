// Route choice. Steps of draw_route():
//   1. the destination must be known and reachable by us;
//   2. the lists of guards are filled up with relays that do not fail;
//   3. the first hop is, of the guards in use that are not the destination, the one with the least
//      circuits of ours for its reliability and load;
//   4. of a node that is no relay the second hop is one of the second guards, any;
//   5. the other relays are drawn, in other networks than the relays before them. Where the
//      destination says that it is excludes nobody; but hops that have no IP family in common get
//      no link, so each has one of the hop before it, and the last relay one of the destination, if
//      there is such a relay.
#include "netmap/routes/route.h"

#include "netmap/routes/relay_draw.h"

#include <algorithm>
#include <span>

namespace qudag::netmap {
namespace {

constexpr double kSame = 1e-9;  // loads that differ by less are equal
/// Guards in use that are only slow are waited for: each further one is one more that sees us.
constexpr Duration kDialWaits = std::chrono::seconds(1);
constexpr double kGuardShareMax = 2;  // of the circuits that would be a guard's equal share

using Entries = std::vector<EntryPtr>;

const NodeId& id_of(const EntryPtr& entry) { return entry->descriptor.id; }

class Route {
 public:
  Route(const View& view, const NodeId& self, const NodeId& destination, const RoutePolicy& policy,
        Guards& guards, const RelayHistory& history, Now now, Rng& rng, bool to_keeper)
      : view_(view),
        destination_(destination),
        reachable_by_(families_at(view, destination)),
        policy_(policy),
        guards_(guards),
        history_(history),
        now_(now),
        rng_(rng),
        relays_(view, self, policy, history, now, rng),
        to_keeper_(to_keeper),
        policy_of_guards_(without_proof(policy)),
        any_relays_(view, self, policy_of_guards_, history, now, rng) {}

  /// Empty if there are not enough.
  Entries draw(unsigned count) {
    if (policy_.guards > 0 || policy_.second_guards > 0) {
      guards_.update([this](const NodeId& id) { return relays_.is_relay(id); }, now_);
    }
    EntryPtr first = policy_.guards > 0 ? first_guard(count) : any({}, count, true);
    if (first == nullptr && policy_.guards == 0) first = any({}, count, false);
    if (first == nullptr) return {};
    const Entries begin{std::move(first)};
    if (count == 1) return begin;
    if (policy_.second_guards > 0) {
      fill_up(Layer::second);
      for (Entries rest = seconds(begin, count); !rest.empty();) {
        Entries route = through({begin.front(), take_any(rest)}, count);
        if (!route.empty()) return route;
      }
    }
    return through(begin, count);
  }

 private:
  /// In a small network the relays of a family may run out on the way: then it is begun again, and
  /// at last done without regard to them. Descriptors do not say it all: perhaps a relay has
  /// another family all the same.
  Entries through(const Entries& begin, unsigned count) {
    if (to_keeper_ && begin.size() + 1 == count) {
      EntryPtr third = third_behind(begin, count);
      if (third == nullptr) return {};
      Entries route = begin;
      route.push_back(std::move(third));
      return route;
    }
    constexpr unsigned kTries = 8;
    for (unsigned i = 0; i <= kTries; ++i) {
      Entries route = begin;
      while (route.size() < count) {
        EntryPtr next = any(route, count, i < kTries);
        if (next == nullptr) break;
        route.push_back(std::move(next));
      }
      if (route.size() == count) return route;
    }
    return {};
  }

  /// Of the two that are kept for that keeper, any that suits; of three the first two that are
  /// reached. A new one while there are fewer.
  EntryPtr third_behind(const Entries& others, unsigned count) {
    Entries kept, in_use;
    std::size_t reached = 0;
    for (const NodeId& id : guards_.thirds.of(destination_, now_)) {
      EntryPtr entry = view_.find_shared(id);
      if (entry == nullptr || !relays_.is_relay(id) || !is_healthy(entry)) {
        guards_.thirds.failed(destination_, id);
        continue;
      }
      const bool its_turn =
          !guards_.thirds.passed_over(destination_, id, now_) && reached++ < Thirds::kForEach;
      if (!relays_.suits(*entry, others) || !links_with(*entry, others, count)) continue;
      if (its_turn) in_use.push_back(entry);
      kept.push_back(std::move(entry));
    }
    const Entries& best = in_use.empty() ? kept : in_use;
    const auto one_of_best = [&] { return best[rng_.below(best.size())]; };
    if (!guards_.thirds.has_place(destination_, now_) && !best.empty()) return one_of_best();
    Entries none_twice = others;
    none_twice.insert(none_twice.end(), kept.begin(), kept.end());
    EntryPtr drawn;
    for (const bool linked : {true, false}) {
      if (drawn != nullptr) break;
      drawn = relays_.draw(none_twice, [&](const Entry& entry) {
        return entry.descriptor.id == destination_ || (linked && !links_with(entry, others, count));
      });
    }
    if (drawn == nullptr) return best.empty() ? nullptr : one_of_best();
    if (guards_.thirds.has_place(destination_, now_)) {
      guards_.thirds.add(destination_, id_of(drawn), now_, rng_);
    }
    return drawn;
  }

  /// Of `count` relays, the one behind `others`.
  EntryPtr any(const Entries& others, unsigned count, bool linked) {
    return relays_.draw(others, [&](const Entry& entry) {
      return entry.descriptor.id == destination_ || (linked && !links_with(entry, others, count));
    });
  }

  /// Whether it has a family of the hop before it (this node, if there is none); and as the last of
  /// the relays, one of the destination.
  bool links_with(const Entry& entry, const Entries& others, unsigned count) const {
    const Families own = families_of(entry);
    const Families before = others.empty() ? policy_.families : families_of(*others.back());
    return (own & before) != 0 && (others.size() + 1 < count || (own & reachable_by_) != 0);
  }

  static Families families_at(const View& view, const NodeId& id) {
    const Entry* const entry = view.find(id);
    return entry == nullptr ? kBothFamilies : families_of(*entry);
  }

  /// One that neighbours show no more half as often as another one, at the least.
  EntryPtr take_any(Entries& from) {
    std::size_t at = rng_.below(from.size());
    for (;;) {
      const double standing = view_.standing(id_of(from[at]));
      if (standing == 1 || rng_.unit() < standing) break;
      at = rng_.below(from.size());
    }
    std::swap(from[at], from.back());
    EntryPtr out = std::move(from.back());
    from.pop_back();
    return out;
  }

  // ---- the first hop

  /// Of the guards in use; if only the destination is, another of the list; if all fail, those in
  /// use nevertheless: they are what we come back to.
  EntryPtr first_guard(unsigned count) {
    fill_up(Layer::first);
    const Entries listed = listed_in(Layer::first);
    Entries healthy = listed;
    std::erase_if(healthy, [this](const EntryPtr& guard) { return !is_healthy(guard); });
    Entries suited = not_destination(healthy, policy_.guards);
    if (suited.empty()) {
      ++guards_.choices.other;
      suited = not_destination(healthy, healthy.size());
      if (suited.size() > 1) suited.resize(1);
    }
    if (suited.empty()) {
      const EntryPtr more = draw_guard(Layer::first);
      if (more != nullptr && !(id_of(more) == destination_)) suited = {more};
    }
    if (nobody_answers(suited)) {
      if (EntryPtr other = other_guard(healthy)) return other;
    }
    if (suited.empty()) suited = not_destination(listed, policy_.guards);
    if (suited.empty()) suited = not_destination(listed, listed.size());
    if (suited.empty()) return nullptr;
    // One that is busy keeps its place, but is asked only if all are.
    prefer(suited,
           [this](const EntryPtr& guard) { return (families_of(*guard) & policy_.families) != 0; });
    if (count == 1) {  // it is the last, too
      prefer(suited,
             [this](const EntryPtr& guard) { return (families_of(*guard) & reachable_by_) != 0; });
    }
    prefer(suited, [this](const EntryPtr& guard) { return answers(guard, {}); });
    prefer(suited, [this](const EntryPtr& guard) { return !history_.busy(id_of(guard), now_); });
    return least_loaded(suited);
  }

  /// Our dial did not wait for it so long in vain.
  bool answers(const EntryPtr& guard, Duration wait) const {
    return !history_.is_unanswered(id_of(guard), wait, now_);
  }

  bool nobody_answers(const Entries& guards) const {
    return std::ranges::none_of(guards,
                                [this](const EntryPtr& one) { return answers(one, kDialWaits); });
  }

  /// Another of the list, or a new one for it.
  EntryPtr other_guard(const Entries& healthy) {
    for (const EntryPtr& guard : healthy) {
      if (answers(guard, {}) && !(id_of(guard) == destination_)) return guard;
    }
    EntryPtr more = draw_guard(Layer::first);
    return more != nullptr && !(id_of(more) == destination_) ? more : nullptr;
  }

  /// Whose circuits of ours, and this one more, are the fewest for its reliability and load: so
  /// their numbers become as those are. Equal ones have the same luck. How near a guard is does not
  /// count: it would tell where we are. None gets more than twice its equal share, whatever the
  /// others say of themselves.
  EntryPtr least_loaded(const Entries& suited) {
    ++(suited.size() > 1 ? guards_.choices.least : guards_.choices.only);
    if (!policy_.by_load) return suited[rng_.below(suited.size())];
    double all = 1;
    for (const EntryPtr& guard : suited) all += guards_.circuits.held(id_of(guard), now_);
    const double most = kGuardShareMax * all / static_cast<double>(suited.size());
    std::vector<double> loads;
    for (const EntryPtr& guard : suited) {
      const double held = guards_.circuits.held(id_of(guard), now_) + 1;
      const double chance =
          history_.reliability(id_of(guard), now_) * history_.loads().share(id_of(guard), now_);
      loads.push_back(held / std::max(chance, RelayHistory::kWeightMin));
      if (suited.size() > 2 && held > most) loads.back() += kPast;
    }
    const double least = *std::ranges::min_element(loads);
    Entries equal;
    for (std::size_t i = 0; i < suited.size(); ++i) {
      if (loads[i] <= least * (1 + kSame)) equal.push_back(suited[i]);
    }
    return equal[rng_.below(equal.size())];
  }

  // ---- the second hop

  /// Those in use that may come behind that first hop, or others of the list. What a first hop said
  /// of them counts behind itself only; what two said, behind each.
  Entries seconds(const Entries& begin, unsigned count) {
    Entries listed = listed_in(Layer::second);
    std::ranges::stable_partition(listed, [this](const EntryPtr& one) { return in_reach(one); });
    Entries suited;
    for (std::size_t i = 0; i < listed.size(); ++i) {
      if (i >= policy_.second_guards && !suited.empty()) break;
      if (id_of(listed[i]) == destination_ || !relays_.suits(*listed[i], begin)) continue;
      if (!share_family(*listed[i], *begin.front())) continue;
      suited.push_back(listed[i]);
    }
    if (count == 2) {  // but no other than these, or a destination could have others drawn
      prefer(suited,
             [this](const EntryPtr& last) { return (families_of(*last) & reachable_by_) != 0; });
    }
    const NodeId& first = id_of(begin.front());
    prefer(suited, [&](const EntryPtr& second) {
      return !guards_.passed_over(first, id_of(second), now_);
    });
    prefer(suited, [this](const EntryPtr& second) { return in_reach(second); });
    prefer(suited,
           [this](const EntryPtr& second) { return !history_.is_late(id_of(second), now_); });
    return suited;
  }

  // ---- the lists

  /// Keeps only those, if there is any.
  template <class Which>
  static void prefer(Entries& entries, Which which) {
    if (std::ranges::any_of(entries, which)) std::erase_if(entries, std::not_fn(which));
  }

  bool in_reach(const EntryPtr& second) const { return !guards_.out_of_reach(id_of(second), now_); }

  bool is_healthy(const EntryPtr& entry) const {
    return history_.reliability(id_of(entry), now_) >= RelayHistory::kFailing;
  }

  Entries listed_in(Layer layer) const {
    Entries out;
    for (const NodeId& id : guards_.ids(layer)) {
      if (EntryPtr entry = view_.find_shared(id)) out.push_back(std::move(entry));
    }
    return out;
  }

  /// Of the first `count`.
  Entries not_destination(std::span<const EntryPtr> guards, std::size_t count) const {
    Entries out;
    for (const EntryPtr& guard : guards.first(std::min(count, guards.size()))) {
      if (!(id_of(guard) == destination_)) out.push_back(guard);
    }
    return out;
  }

  /// First guards that fail have others beside them; second ones if first hops say so
  /// (Guards::out_of_reach).
  void fill_up(Layer layer) {
    const bool first = layer == Layer::first;
    const auto enough = [&] {
      const Entries listed = listed_in(layer);
      const auto good = std::ranges::count_if(listed, [&](const EntryPtr& guard) {
        return first ? is_healthy(guard) : in_reach(guard);
      });
      return static_cast<std::size_t>(good) >= (first ? policy_.guards : policy_.second_guards);
    };
    while (!enough() && draw_guard(layer) != nullptr) {
    }
  }

  /// In another network than the guards we have, if that can be had: nobody should own them all. In
  /// one layer only, unless there are no others. Who the destination is does not matter here.
  EntryPtr draw_guard(Layer layer) {
    const bool first = layer == Layer::first;
    // A newcomer may have drawn dead ones only: none of them has seen a circuit of ours.
    const bool none_yet = first && std::ranges::all_of(guards_.all(layer), [](const Guard& guard) {
                            return guard.confirmed == 0;
                          });
    const std::size_t wanted =
        first ? (none_yet ? 4 : 2) * policy_.guards : 2 * policy_.second_guards;
    if (!guards_.has_place(layer, wanted, now_)) return nullptr;
    const Layer other = first ? Layer::second : Layer::first;
    const Entries own = listed_in(layer);
    const auto is_known = [&](const Entry& entry, Layer in) {
      return guards_.contains(in, entry.descriptor.id);
    };
    const auto out_of_reach = [&](const Entry& entry) {
      return (families_of(entry) & policy_.families) == 0;
    };
    EntryPtr drawn = any_relays_.draw(own, [&](const Entry& entry) {
      return is_known(entry, layer) || is_known(entry, other) || out_of_reach(entry);
    });
    if (drawn == nullptr && (own.empty() || none_yet)) {
      drawn = any_relays_.draw(
          {}, [&](const Entry& entry) { return is_known(entry, layer) || out_of_reach(entry); });
    }
    // When all fail we rather keep to those we have; but we need one.
    if (drawn == nullptr || (!is_healthy(drawn) && !own.empty())) return nullptr;
    guards_.add(layer, id_of(drawn), wanted, now_, rng_);
    return drawn;
  }

  static RoutePolicy without_proof(RoutePolicy policy) {
    policy.by_proof = false;
    return policy;
  }

  static constexpr double kPast = 1e12;  // behind all that are not

  const View& view_;
  const NodeId& destination_;
  const Families reachable_by_;
  const RoutePolicy& policy_;
  Guards& guards_;
  const RelayHistory& history_;
  const Now now_;
  Rng& rng_;
  const RelayDraw relays_;
  const bool to_keeper_;
  const RoutePolicy policy_of_guards_;
  const RelayDraw any_relays_;  // for the lists
};

Result<std::vector<EntryPtr>> draw(const View& view, const NodeId& self, const NodeId& destination,
                                   unsigned relays, const RoutePolicy& policy, Guards& guards,
                                   const RelayHistory& history, Now now, Rng& rng, bool to_keeper) {
  if (relays > limits::kRelaysMax) return fail(Errc::invalid_argument, "at most 5 relays");
  if (destination == self) return fail(Errc::invalid_argument, "the destination is this node");
  EntryPtr last = view.find_shared(destination);
  if (last == nullptr && view.find_withdrawn(destination) != nullptr) {
    return fail(Errc::unreachable, "the destination has stopped");
  }
  if (last == nullptr || !is_usable(*last, now)) return fail(Errc::unknown_destination);

  std::vector<EntryPtr> route;
  if (relays > 0) {
    route =
        Route(view, self, destination, policy, guards, history, now, rng, to_keeper).draw(relays);
    if (route.empty()) return fail(Errc::no_route);
  }
  route.push_back(std::move(last));
  return route;
}

}  // namespace

Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng) {
  return draw(view, self, destination, relays, policy, guards, history, now, rng, false);
}

Result<std::vector<EntryPtr>> draw_keeper_route(const View& view, const NodeId& self,
                                                const NodeId& keeper, const RoutePolicy& policy,
                                                Guards& guards, const RelayHistory& history,
                                                Now now, Rng& rng) {
  return draw(view, self, keeper, kKeeperRelays, policy, guards, history, now, rng, true);
}

EntryPtr draw_keeper(const View& view, const NodeId& self, std::span<const NodeId> others,
                     const RoutePolicy& policy, const RelayHistory& history, Now now, Rng& rng) {
  const RelayDraw relays(view, self, policy, history, now, rng);
  Entries others_known;
  for (const NodeId& id : others) {
    if (EntryPtr entry = view.find_shared(id)) others_known.push_back(std::move(entry));
  }
  const auto never = [&](const Entry& entry) {
    return !entry.descriptor.keeper ||
           std::ranges::find(others, entry.descriptor.id) != others.end();
  };
  EntryPtr drawn = relays.draw(others_known, never);
  return drawn != nullptr ? drawn : relays.draw({}, never);
}

}  // namespace qudag::netmap
