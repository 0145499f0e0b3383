// Choosing the hops of a circuit: relays drawn by weight, then the destination.
//
// The first hop comes from a short list of guards: a source that drew a fresh first hop for every
// circuit would sooner or later draw one that watches, for certain; with guards it draws rarely.
// Which guard it is does not depend on the destination, unless that is itself the guard; nor does
// the second hop, where that is kept to few as well: then whoever makes us build many circuits sees
// the same few relays at the other side of the one that he owns, and not our guards.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "netmap/map/view.h"
#include "netmap/routes/families.h"
#include "netmap/routes/guards.h"
#include "netmap/routes/history.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qudag::netmap {

struct RoutePolicy {
  bool distinct_networks =
      true;                // not two relays in one /16 (IPv4) or /32 (IPv6); loopback is exempt
  std::size_t guards = 2;  // first hops are few and long-lived; 0: any relay
  /// The least loaded guard instead of any, and relays that say they are loaded more rarely. Off
  /// only to compare.
  bool by_load = true;
  /// Relays that add less to builds more often. Off only to compare.
  bool by_speed = true;
  /// Relays that circuits of ours have proven lately more often; guards excepted, which are drawn
  /// for months. Off only to compare.
  bool by_proof = true;
  /// Second hops are few too, of a node that is no relay; 0: any relay.
  std::size_t second_guards = 0;
  /// Of our own socket: first hops have one of them.
  Families families = kBothFamilies;
};

/// True if any address of the first lies in the network block of the second's first address, the
/// one at which links to it are made. So what one claims beyond that keeps only itself out of
/// routes.
bool share_network(const DescriptorFacts& candidate, const DescriptorFacts& chosen);

/// How many relays of the view could stand in one route of this node, counted up to `most`.
std::size_t relays_together(const View& view, const NodeId& self, bool distinct_networks,
                            std::size_t most, Now now);

/// `relays` distinct relays drawn by weight, then the destination. Never `self`, never a hop twice.
/// Nothing but its id tells the relays of one destination from those of another, and of the last
/// relay that it can have a link to it: where the destination has one IP family only, a relay that
/// has that one. Never the first hop, unless it is the only one.
/// unreachable (the destination has stopped), unknown_destination (or no valid onion key),
/// no_route; invalid_argument for `relays` above 5 and for ourselves as the destination.
Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng);

/// Three relays, then a keeper: as draw_route(), and the third is one of few that are kept for that
/// keeper. Nothing that a keeper says moves the first two: a guard that is the keeper is replaced
/// by another of the list.
inline constexpr unsigned kKeeperRelays = 3;
Result<std::vector<EntryPtr>> draw_keeper_route(const View& view, const NodeId& self,
                                                const NodeId& keeper, const RoutePolicy& policy,
                                                Guards& guards, const RelayHistory& history,
                                                Now now, Rng& rng);
/// A keeper by weight, none of `others`, nor ourselves, nor in the network of one of them unless
/// there is no other; null: there is none.
EntryPtr draw_keeper(const View& view, const NodeId& self, std::span<const NodeId> others,
                     const RoutePolicy& policy, const RelayHistory& history, Now now, Rng& rng);

}  // namespace qudag::netmap
