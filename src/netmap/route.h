// Choosing the hops of a circuit: relays drawn by weight, then the destination.
//
// The first hop comes from a short list of guards: a source that drew a fresh first hop for every
// circuit would sooner or later draw one that watches, for certain; with guards it draws rarely.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "netmap/first_hops.h"
#include "netmap/history.h"
#include "netmap/view.h"

#include <cstdint>
#include <vector>

namespace qudag::netmap {

struct RoutePolicy {
  bool distinct_networks =
      true;                // not two hops in one /16 (IPv4) or /32 (IPv6); loopback is exempt
  std::size_t guards = 2;  // first hops are few and long-lived; 0: any relay
  /// The least loaded guard instead of any, and relays that say they are loaded more rarely. Off
  /// only to compare.
  bool by_load = true;
  /// Of two draws the route that should take less time to build. Off only to compare.
  bool by_speed = true;
};

/// Guards of a node, oldest first: the first `RoutePolicy::guards` that do not fail are in use. One
/// that is gone from the view leaves the list. One that fails is passed over but stays, and is used
/// again when its failures have faded: after an outage of our own we come back to the old ones.
/// At most twice `RoutePolicy::guards`; a newcomer then takes the place of the youngest that fails.
/// One list for a node: every list more would be as many first hops more that see it.
struct Guards {
  std::vector<NodeId> ids;
  FirstHops circuits;  // told by who builds them
  struct Choices {
    std::uint64_t least = 0;  // the least loaded of several
    std::uint64_t only = 0;   // one guard suited
    std::uint64_t other = 0;  // none did: any relay
  } choices;
};

/// True if the two share a network block: any address of one with any address of the other.
bool share_network(const Descriptor& a, const Descriptor& b);

/// `relays` distinct relays drawn by weight, then the destination. Never `self`, never a hop twice.
/// unknown_destination (or no valid onion key), no_route; invalid_argument for `relays` above 5 and
/// for ourselves as the destination.
Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng);

}  // namespace qudag::netmap
