// The set of signed descriptors that a node knows, its gossip, and routes drawn from it.
//
// One Netmap per node, on shard 0, owns and gossips. Every change makes a new View, an immutable
// snapshot that any shard may hold and draw routes from.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "netmap/descriptor.h"
#include "onion/build.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace qudag::netmap {

using EntryPtr = std::shared_ptr<const Entry>;  // owners: netmap, views, nobody longer than a turn

class View {
 public:
  View() = default;
  explicit View(std::vector<EntryPtr> entries);  // sorted by id
  const Entry* find(const NodeId& id) const;
  std::span<const EntryPtr> entries() const { return entries_; }

 private:
  std::vector<EntryPtr> entries_;
};
using ViewPtr = std::shared_ptr<const View>;

/// How gossip leaves: node joins it to the control streams. `link` is node's key for a link.
class GossipSink {
 public:
  virtual ~GossipSink() = default;
  virtual bool send(std::uint64_t link, std::uint8_t type, Bytes body) = 0;
};

struct NetmapOptions {
  NodeId self{};
  std::size_t descriptors_max = limits::kNetmapDescriptorsMax;
  std::chrono::seconds digest_interval{60};
  std::size_t verifies_per_turn_max = 16;  // further descriptors wait in a bounded queue
  std::size_t waiting_max = 512;
  std::size_t links_max = 4096;
};

struct NetmapStats {
  std::size_t held = 0;
  std::uint64_t accepted = 0, replaced = 0, expired = 0;
  std::uint64_t rejected_malformed = 0, rejected_signature = 0, rejected_old = 0,
                rejected_full = 0, rejected_expired = 0;
  std::uint64_t frames_in = 0, frames_out = 0, frames_malformed = 0;
};

class Netmap {
 public:
  Netmap(NetmapOptions options, Rng& rng, GossipSink& sink);

  /// Our own descriptor, or one from a file: verified like any other.
  Status add(Bytes raw, Now now);
  void on_link_ready(std::uint64_t link, Now now);
  void on_link_closed(std::uint64_t link);
  /// DIGEST, WANT, DESCRIPTOR. False: malformed, the caller closes the link with `protocol`.
  bool on_frame(std::uint64_t link, std::uint8_t type, Bytes body, Now now);
  void on_time(Now now);
  TimePoint next_deadline() const;

  ViewPtr view() const;
  /// Counts up with every change of the view.
  std::uint64_t version() const;
  NetmapStats stats() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Local knowledge of how relays behave; pure, per shard. Feeds the weights of route choice.
class RelayHistory {
 public:
  explicit RelayHistory(std::size_t entries_max = 4096) : entries_max_(entries_max) {}
  void succeeded(const NodeId& relay, Duration took, Now now);
  void failed(const NodeId& relay, Now now);
  /// 1 for the unknown; towards 0.05 with recent failures (they fade over ten minutes).
  double weight(const NodeId& relay, Now now) const;

 private:
  struct Record {
    double failures = 0;
    TimePoint last{};
    Duration took{};
  };
  std::size_t entries_max_;
  std::unordered_map<NodeId, Record> records_;
};

struct RoutePolicy {
  bool distinct_networks = true;  // not two hops in one /16 (IPv4) or /32 (IPv6); loopback is exempt
  std::size_t guards = 2;         // first hops are few and long-lived; 0: any relay
};

/// Guards of a node: kept in order of choice, replaced only when gone from the view or failing.
struct Guards {
  std::vector<NodeId> ids;
};

/// `relays` distinct relays drawn by weight, then the destination. Never `self`, never a hop twice.
/// unknown_destination (or no valid onion key), no_route.
Result<std::vector<EntryPtr>> draw_route(const View& view, const NodeId& self,
                                         const NodeId& destination, unsigned relays,
                                         const RoutePolicy& policy, Guards& guards,
                                         const RelayHistory& history, Now now, Rng& rng);

}  // namespace qudag::netmap
