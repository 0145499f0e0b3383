// Routes for messages: drawn from the netmap's view, weighed by how relays behaved before.
// Owned by a shard, used on its thread only.
#pragma once

#include "base/recent_histogram.h"
#include "base/rng.h"
#include "keeper/cards.h"
#include "keeper/ways.h"
#include "message/messages.h"
#include "netmap/netmap.h"
#include "shard/node_guards.h"
#include "telemetry/metric.h"

#include <map>
#include <memory>

namespace qudag::shard {

/// Builds by whether their relays behind the first were all proven when they were drawn.
struct RouteStats {
  struct Builds {
    std::uint64_t built = 0, failed = 0, late = 0;
    Histogram us;  // of those that were built
  };
  Builds proven, unproven;
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<RouteStats> kRoutes[] = {
    {{"qudag_routes_built_total",
      "Circuits of ours that were built, by whether earlier ones had proven their relays lately.",
      Kind::counter},
     label("relays", "proven"),
     [](const RouteStats& s) { return static_cast<double>(s.proven.built); }},
    {same, label("relays", "unproven"),
     [](const RouteStats& s) { return static_cast<double>(s.unproven.built); }},
    {{"qudag_routes_failed_total", "Builds of ours that failed, by the same.", Kind::counter},
     label("relays", "proven"),
     [](const RouteStats& s) { return static_cast<double>(s.proven.failed); }},
    {same, label("relays", "unproven"),
     [](const RouteStats& s) { return static_cast<double>(s.unproven.failed); }},
    {{"qudag_routes_late_total",
      "Builds of ours that took so long that another was begun beside them, by the same.",
      Kind::counter},
     label("relays", "proven"),
     [](const RouteStats& s) { return static_cast<double>(s.proven.late); }},
    {same, label("relays", "unproven"),
     [](const RouteStats& s) { return static_cast<double>(s.unproven.late); }},
};
static_assert(telemetry::valid(kRoutes));

}  // namespace metrics

class RouteSource final : public message::Routes, public keeper::Ways {
 public:
  /// `cipher`: what this node encrypts fastest with, for the cells of its circuits.
  RouteSource(const NodeId& self, crypto::Cipher cipher, netmap::RoutePolicy policy,
              std::shared_ptr<NodeGuards> guards, Rng& rng,
              std::shared_ptr<keeper::Cards> cards = nullptr)
      : self_(self),
        cipher_(cipher),
        policy_(policy),
        guards_(std::move(guards)),
        cards_(std::move(cards)),
        rng_(rng) {}

  void set_view(netmap::ViewPtr view) { view_ = std::move(view); }
  /// What our socket can send to.
  void set_families(netmap::Families families) { policy_.families = families; }
  /// First hops of the node's circuits: those in use, and not others of the list.
  std::vector<NodeId> guards() const {
    auto out = guards_->with([](const netmap::Guards& guards) { return guards.ids(); });
    if (out.size() > policy_.guards) out.resize(policy_.guards);
    return out;
  }
  /// A link that we dialed is there.
  void linked(const NodeId& peer, const SocketAddress& at, Duration rtt) {
    guards_->with([&](netmap::Guards& guards) { guards.linked(peer, at); });
    history_.answered(peer);
    if (rtt > Duration{}) rtt_ = rtt_ == Duration{} ? rtt : (3 * rtt_ + rtt) / 4;
  }
  /// How long successful builds took, in microseconds.
  const RecentHistogram& build_us() const { return build_us_; }
  netmap::RelayLoads& loads() { return history_.loads(); }
  const RouteStats& stats() const { return stats_; }

  Result<std::vector<onion::RouteHop>> draw(const NodeId& destination, unsigned relays,
                                            Now now) override;
  void refused(std::span<const onion::RouteHop> route, std::size_t hop, Now now) override {
    // What a keeper says of a receiver behind it is about no relay.
    if (cards_ != nullptr && hop + 1 == route.size() && cards_->find(route[hop].id)) return;
    history_.refused(route[hop].id, now, hop == 0);
    // The hop before it said so, and is passed over for as long: who frames others gains nothing.
    if (hop > 1) history_.refused(route[hop - 1].id, now, false);
  }
  Duration late_after(bool at_first_link, Now now) override;
  void late(std::span<const onion::RouteHop> route, bool at_first_link, Now now) override;
  void gone(std::span<const onion::RouteHop> route, Now now) override {
    if (route.size() > 1) history_.unanswered(route.front().id, now, true);
  }
  void report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
              Duration took, Now now) override;
  void circuit_began(std::span<const onion::RouteHop> route, Now now) override;
  void circuit_ended(std::span<const onion::RouteHop> route, bool by_us, Duration lived,
                     Now now) override;

  // keeper::Ways
  Result<std::vector<onion::RouteHop>> to_keeper(const NodeId& keeper, bool hidden,
                                                 Now now) override;
  std::optional<NodeId> draw_keeper(std::span<const NodeId> others, Now now) override;
  void built(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop, Duration took,
             Now now) override;

 private:
  Result<std::vector<onion::RouteHop>> hops_of(Result<std::vector<netmap::EntryPtr>> entries,
                                               Now now);
  Result<std::vector<onion::RouteHop>> to_receiver(const keeper::KnownCard& known, Now now);
  Duration unknown(int round_trips) const;
  RouteStats::Builds* builds_like(std::span<const NodeId> hops, Now now);
  std::shared_ptr<const crypto::KemPublicKey> key_of(const netmap::Entry& entry, Now now);

  const NodeId self_;
  const crypto::Cipher cipher_;
  netmap::RoutePolicy policy_;
  const std::shared_ptr<NodeGuards> guards_;    // owners: all shards
  const std::shared_ptr<keeper::Cards> cards_;  // the same; null: no receivers are called
  Rng& rng_;
  netmap::ViewPtr view_ = std::make_shared<netmap::View>();
  netmap::RelayHistory history_;
  RouteStats stats_;
  RecentHistogram build_us_;
  // Onion keys of hops that were drawn lately, imported: 25 us and 6 KB each.
  std::map<NodeId, std::shared_ptr<const crypto::KemPublicKey>> keys_;
  static constexpr std::size_t kKeysMax = 256;
  Duration rtt_{};  // of links that we dialed, a moving mean; zero: there was none
  Duration late_after_{};
  TimePoint late_at_{};  // when that was found out
};

}  // namespace qudag::shard
