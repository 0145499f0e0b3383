// Drawing relays for one route: who may stand beside whom, and with what chance.
//
// A relay's chance is what the history gives, times its share by the load that it reports, times
// what its claim moves once it was measured, a quarter of it while no circuit of ours has proven
// it, and at least half of that while neighbours show it no more (View::standing); all of it cut by
// share_cap, so that none has more than kShareMax times its equal share of a draw. A draw is
// rejection sampling: pick evenly, keep with the probability of its chance, refuse what may not
// stand here. When luck is bad, the whole list is summed instead, so a relay that may be chosen is
// always found.
#pragma once

#include "base/rng.h"
#include "netmap/map/view.h"
#include "netmap/routes/history.h"
#include "netmap/routes/route.h"

#include <functional>
#include <span>

namespace qudag::netmap {

class RelayDraw {
 public:
  /// Of the equal share of each position; the promise is twice as much (docs/threat-model.md).
  static constexpr double kShareMax = 1.8;

  using Entries = std::span<const EntryPtr>;
  /// Who is kept out by the caller.
  using Never = std::function<bool(const Entry&)>;

  /// All outlive it.
  RelayDraw(const View& view, const NodeId& self, const RoutePolicy& policy,
            const RelayHistory& history, Now now, Rng& rng)
      : view_(view), self_(self), policy_(policy), history_(history), now_(now), rng_(rng) {}

  /// A relay that may stand beside all of `others`; null if there is none.
  EntryPtr draw(Entries others, const Never& never) const;
  /// `others` in the order in which they were chosen: a relay keeps out of the networks of those,
  /// but none of them out of what else they claim.
  bool suits(const Entry& entry, Entries others) const;
  bool is_relay(const Entry& entry) const;
  /// It is in the view, and not this node.
  bool is_relay(const NodeId& id) const;

 private:
  double chance(std::size_t index) const;
  double cap() const;
  EntryPtr draw_by_sum(Entries others, const Never& never) const;

  const View& view_;
  const NodeId& self_;
  const RoutePolicy& policy_;
  const RelayHistory& history_;
  const Now now_;
  Rng& rng_;
};

/// A descriptor that has not expired, of our protocol, with an onion key for now.
bool is_usable(const Entry& entry, Now now);

}  // namespace qudag::netmap
