// Links that are there before a circuit asks: joins the warm set (link/dialing/warm_set.h) to the
// endpoint, the netmap's view and the guards.
//
// CircuitTransport tells each request for a link. Once a second, while there is demand, the set is
// chosen anew: who has a place is kept alive, or dialed if there is no link; who lost its place is
// left to the idle rule. Likely beside what was asked: our guards; for a relay also other relays,
// drawn evenly. A node that is no relay never dials any but its guards and whom it asked for
// itself: otherwise its first hops would be strangers.
//
// Owned by a shard, used on its thread only. Who did not answer lately is not dialed ahead, and
// nobody is while the overload manager says so.
#pragma once

#include "base/rng.h"
#include "link/dialing/warm_set.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "telemetry/metric.h"

#include <array>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

namespace qudag::shard {

/// What became of a circuit's request for a link.
enum class LinkRequest : std::uint8_t {
  ready,    // there was one
  dialing,  // it was being dialed
  dialed,   // it is dialed for this circuit
  refused,  // by a limit, or it did not answer a moment ago
};
inline constexpr std::size_t kLinkRequestKinds = 4;
inline constexpr std::string_view kLinkRequestNames[] = {"ready", "dialing", "dialed", "refused"};
using LinkRequests = std::array<std::uint64_t, kLinkRequestKinds>;

struct WarmStats {
  std::uint64_t now = 0;      // links that are kept
  std::uint64_t opened = 0;   // ahead of need
  std::uint64_t used = 0;     // of those, how many a circuit then asked for
  std::uint64_t unused = 0;   // how many lost their place, or ended, before that
  std::uint64_t evicted = 0;  // peers that lost their place
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<WarmStats> kWarm[] = {
    {{"qudag_warm_links", "Links that are kept or were opened ahead of need.", Kind::gauge},
     no_label,
     &WarmStats::now},
    {{"qudag_warm_links_total", "Links opened ahead of need, and what became of them.",
      Kind::counter},
     label("event", "opened"),
     &WarmStats::opened},
    {same, label("event", "used"), &WarmStats::used},
    {same, label("event", "unused"), &WarmStats::unused},
    {same, label("event", "evicted"), &WarmStats::evicted},
};
static_assert(telemetry::valid(kWarm));

inline constexpr telemetry::Metric<LinkRequests> kLinkRequests[] = {
    {{"qudag_link_requests_total", "Links that circuits asked for, by what there was.",
      Kind::counter},
     each("result", kLinkRequestNames),
     [](const LinkRequests& s, std::size_t i) { return static_cast<double>(s[i]); }},
};
static_assert(telemetry::valid(kLinkRequests));

}  // namespace metrics

class WarmLinks {
 public:
  struct Parts {
    NodeId self;
    bool relay = false;
    Rng& rng;
    std::function<std::vector<NodeId>()> guards;
    /// Dials a node of the view.
    std::function<Result<link::LinkId>(const NodeId& peer, Now now)> dial;
  };
  WarmLinks(const link::WarmRules& rules, Parts parts) : set_(rules), parts_(std::move(parts)) {}

  void set_view(netmap::ViewPtr view) { view_ = std::move(view); }
  void asked(const NodeId& peer, LinkRequest how, Now now);
  /// `ahead`: links may be opened before they are needed.
  void on_time(link::Endpoint& endpoint, bool ahead, Now now);
  TimePoint next_deadline() const { return due_; }
  WarmStats stats() const { return stats_; }
  void report(BoundedList& out) const { set_.report(out); }

 private:
  std::vector<link::Likely> likely();
  void draw_relays();
  void keep(link::Endpoint& endpoint, bool ahead, Now now);

  link::WarmSet set_;
  Parts parts_;
  netmap::ViewPtr view_ = std::make_shared<netmap::View>();
  std::vector<NodeId> relays_;  // drawn, for places that are left; kept while they are there
  std::set<NodeId> ahead_;      // opened, and not asked for yet
  WarmStats stats_;
  TimePoint due_ = kNever;
};

}  // namespace qudag::shard
