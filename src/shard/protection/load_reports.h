// Load reports (LOAD, docs/reference/protocol.md, 4.1): ours go to peers that have circuits here,
// theirs go to route choice.
//
// Ours leave every two seconds at most, to peers with circuits here (over one of their links), when
// the number changed, and again every 20 s while it is not 0; an idle node says nothing. Nothing is
// said on links without circuits: it would keep them alive, and tell those who need not know. Owned
// by a shard, used on its thread only. Limits: one entry for each link that was told.
#pragma once

#include "base/bounded.h"
#include "link/endpoint.h"
#include "netmap/routes/loads.h"
#include "telemetry/metric.h"

#include <cstdint>
#include <map>
#include <vector>

namespace qudag::shard {

struct LoadReportStats {
  double own = 0;  // what we say, 0 to 1
  std::uint64_t sent = 0;
  std::uint64_t heard = 0;             // and kept
  std::uint64_t ignored_too_fast = 0;  // more than agreed, or no room
  std::uint64_t ignored_unknown = 0;   // from who does not say who it is
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<LoadReportStats> kLoadReports[] = {
    {{"qudag_load", "The load that this node tells its peers: 0 idle, 1 full.", Kind::highest},
     no_label,
     [](const LoadReportStats& s) { return s.own; }},
    {{"qudag_load_reports_total", "LOAD frames sent to peers, and heard from them and kept.",
      Kind::counter},
     label("way", "sent"),
     &LoadReportStats::sent},
    {same, label("way", "heard"), &LoadReportStats::heard},
    {{"qudag_load_reports_ignored_total",
      "LOAD frames that were ignored: more often than agreed, or from a peer that does not say who "
      "it is.",
      Kind::counter},
     label("reason", "too_fast"),
     &LoadReportStats::ignored_too_fast},
    {same, label("reason", "unknown"), &LoadReportStats::ignored_unknown},
};
static_assert(telemetry::valid(kLoadReports));

}  // namespace metrics

class LoadReports {
 public:
  static constexpr Duration kRepeat = std::chrono::seconds(20);
  static_assert(kRepeat < netmap::RelayLoads::kHolds);

  /// `tells`: a relay; others have nothing to say.
  LoadReports(bool tells, netmap::RelayLoads& loads) : tells_(tells), loads_(loads) {}

  void tell(std::uint16_t load, link::Endpoint& endpoint, Now now);
  /// False: the peer broke the protocol.
  bool heard(const link::Endpoint& endpoint, link::LinkId link, Bytes body, Now now);
  void link_closed(link::LinkId link);
  LoadReportStats stats() const;
  void report(BoundedList& out, std::size_t links_max) const;

 private:
  struct Told {
    std::uint16_t load = 0;
    TimePoint at{};
  };

  std::vector<link::LinkInfo> listeners(const link::Endpoint& endpoint) const;

  const bool tells_;
  netmap::RelayLoads& loads_;
  std::uint16_t load_ = 0;
  TimePoint next_{};
  std::map<link::LinkId, Told> told_;
  LoadReportStats stats_;
};

}  // namespace qudag::shard
