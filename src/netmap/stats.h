// What the netmap counts, and what the metrics page says of it.
#pragma once

#include "telemetry/metric.h"

#include <cstddef>
#include <cstdint>

namespace qudag::netmap {

struct NetmapStats {
  std::size_t held = 0;
  std::size_t waiting = 0;  // for their signature
  std::size_t owed = 0;     // to links
  std::uint64_t accepted = 0, replaced = 0, expired = 0;
  std::uint64_t rejected_malformed = 0, rejected_signature = 0, rejected_old = 0, rejected_full = 0,
                rejected_expired = 0, rejected_rate = 0;
  std::uint64_t evicted = 0;  // gave their place to others
  std::size_t unproven = 0;   // held, but neither reached nor ours to keep
  std::uint64_t tried = 0, reached = 0, unreached = 0;  // relays dialed to see them; and the result
  std::uint64_t reached_beyond_share = 0;  // as many of their host or network were reached already
  std::uint64_t waiting_dropped = 0;       // the queue was full: the oldest of the link with most
  std::uint64_t owed_dropped = 0;          // too much owed already: the next digest makes up for it
  std::uint64_t frames_in = 0, frames_out = 0, frames_malformed = 0;
  std::uint64_t frames_ignored = 0;  // a link beyond links_max, or asking for more than its share
  std::uint64_t sends_refused = 0;   // by the sink
  std::uint64_t bytes_compared = 0;  // sent: SUMMARY, ASK, DIGEST, WANT
  std::uint64_t bytes_told = 0;      // sent: DESCRIPTOR
  std::size_t scratch_bytes = 0;     // the most that one frame needed
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<NetmapStats> kNetmap[] = {
    {{"qudag_descriptors", "Nodes in the netmap.", Kind::gauge}, no_label, &NetmapStats::held},
    {{"qudag_descriptors_unproven", "Nodes in the netmap that are not relays which were reached.",
      Kind::gauge},
     no_label,
     &NetmapStats::unproven},
    {{"qudag_descriptors_rejected_total", "Descriptors refused, by the reason.", Kind::counter},
     label("reason", "malformed"),
     &NetmapStats::rejected_malformed},
    {same, label("reason", "signature"), &NetmapStats::rejected_signature},
    {same, label("reason", "old"), &NetmapStats::rejected_old},
    {same, label("reason", "full"), &NetmapStats::rejected_full},
    {same, label("reason", "expired"), &NetmapStats::rejected_expired},
    {same, label("reason", "rate"), &NetmapStats::rejected_rate},
    {{"qudag_descriptors_evicted_total", "Descriptors that gave their place to others.",
      Kind::counter},
     no_label,
     &NetmapStats::evicted},
    {{"qudag_relays_tried_total", "Relays that were dialed to see whether they can be reached.",
      Kind::counter},
     no_label,
     &NetmapStats::tried},
    {{"qudag_relays_reached_total", "Relays that were reached.", Kind::counter},
     no_label,
     &NetmapStats::reached},
    {{"qudag_relays_lost_total", "Relays that were reached once and do not answer any more.",
      Kind::counter},
     no_label,
     &NetmapStats::unreached},
    {{"qudag_relays_beyond_share_total",
      "Relays that were reached and are not used, because their host or network has its share "
      "already.",
      Kind::counter},
     no_label,
     &NetmapStats::reached_beyond_share},
    {{"qudag_netmap_sent_bytes_total", "Bytes of gossip sent: to compare netmaps, and descriptors.",
      Kind::counter},
     label("what", "compare"),
     &NetmapStats::bytes_compared},
    {same, label("what", "descriptors"), &NetmapStats::bytes_told},
    {{"qudag_scratch_high_water_bytes",
      "The most scratch memory that a turn of the loop needed, by its user.", Kind::gauge},
     label("user", "gossip"),
     &NetmapStats::scratch_bytes},
};
static_assert(telemetry::valid(kNetmap));

}  // namespace metrics
}  // namespace qudag::netmap
