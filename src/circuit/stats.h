// What circuits count, and what the metrics page says of it.
#pragma once

#include "base/limits.h"
#include "base/time_histogram.h"
#include "telemetry/metric.h"

#include <qudag/message.h>
#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace qudag::circuit {

struct CircuitsStats {
  std::uint64_t builds_started = 0, builds_ready = 0, builds_failed = 0, builds_timed_out = 0,
                builds_given_up = 0;
  std::uint64_t accepted_relay = 0, accepted_destination = 0;
  std::uint64_t riders_sent = 0, riders_taken = 0;  // builds in which something rode
  std::uint64_t refused_limit = 0, refused_replay = 0, refused_malformed = 0, refused_auth = 0,
                refused_expired = 0, refused_not_relay = 0, refused_not_keeper = 0,
                refused_memory = 0, refused_overload = 0, refused_slow = 0, refused_place = 0,
                refused_quota = 0;
  std::uint64_t extend_failed = 0;
  std::uint64_t cells_relayed = 0, cells_sent = 0, cells_received = 0;
  std::uint64_t cells_bad = 0;     // tags that did not verify
  std::uint64_t tails_bad = 0;     // cells in which a destination left something behind the payload
  std::uint64_t bytes_copied = 0;  // payload bytes copied by this module
  std::uint64_t bytes_relayed = 0;
  std::uint64_t blocks_exhausted = 0;
  std::uint64_t ended_idle = 0, ended_peer = 0, ended_link = 0;
  std::uint64_t ended_place = 0;                           // ready ones, for another link's circuit
  std::array<std::uint64_t, kPriorityCount> ended_shed{};  // relayed ones, by priority
  std::uint64_t ended_reclaimed = 0;                       // because memory was short
  std::uint64_t ended_quota = 0;                           // the month's bytes were used up
  std::uint64_t cells_put_off = 0;  // at an end: they waited for a later turn
  std::uint64_t rested = 0;         // times that an idle circuit's key contexts were put away
};

/// Of circuits that this node built: what each hop added to it, as the hops say and the source
/// measured. By their place on the route.
struct HopStats {
  std::array<TimeHistogram, limits::kHopsMax> kept, round_trip;
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<CircuitsStats> kCircuits[] = {
    {{"qudag_builds_total", "Circuits that this node began to build, by what became of them.",
      Kind::counter},
     label("result", "started"),
     &CircuitsStats::builds_started},
    {same, label("result", "ready"), &CircuitsStats::builds_ready},
    {same, label("result", "failed"), &CircuitsStats::builds_failed},
    {same, label("result", "timed_out"), &CircuitsStats::builds_timed_out},
    {same, label("result", "given_up"), &CircuitsStats::builds_given_up},
    {{"qudag_circuits_accepted_total",
      "Circuits of others, by the role that this node has in them.", Kind::counter},
     label("role", "relay"),
     &CircuitsStats::accepted_relay},
    {same, label("role", "destination"), &CircuitsStats::accepted_destination},
    {{"qudag_riders_total",
      "Builds in which first messages rode: of this node, and of others to it.", Kind::counter},
     label("direction", "out"),
     &CircuitsStats::riders_sent},
    {same, label("direction", "in"), &CircuitsStats::riders_taken},
    {{"qudag_circuits_refused_total", "Build messages refused, by the reason.", Kind::counter},
     label("reason", "limit"),
     &CircuitsStats::refused_limit},
    {same, label("reason", "slow"), &CircuitsStats::refused_slow},
    {same, label("reason", "place"), &CircuitsStats::refused_place},
    {same, label("reason", "memory"), &CircuitsStats::refused_memory},
    {same, label("reason", "quota"), &CircuitsStats::refused_quota},
    {same, label("reason", "overload"), &CircuitsStats::refused_overload},
    {same, label("reason", "replayed"), &CircuitsStats::refused_replay},
    {same, label("reason", "malformed"), &CircuitsStats::refused_malformed},
    {same, label("reason", "authentication"), &CircuitsStats::refused_auth},
    {same, label("reason", "expired"), &CircuitsStats::refused_expired},
    {same, label("reason", "not_a_relay"), &CircuitsStats::refused_not_relay},
    {same, label("reason", "not_a_keeper"), &CircuitsStats::refused_not_keeper},
    {{"qudag_extends_failed_total",
      "Builds of others that ended because the next hop did not answer.", Kind::counter},
     no_label,
     &CircuitsStats::extend_failed},
    {{"qudag_cells_total",
      "Cells passed on as a relay, in both directions, and sent and received at an end of a "
      "circuit.",
      Kind::counter},
     label("role", "relay"),
     &CircuitsStats::cells_relayed},
    {same, label("role", "sender"), &CircuitsStats::cells_sent},
    {same, label("role", "receiver"), &CircuitsStats::cells_received},
    {{"qudag_cells_put_off_total",
      "Cells for this node that waited for a later turn, because the turn's work was done or cells "
      "of other links were first.",
      Kind::counter},
     no_label,
     &CircuitsStats::cells_put_off},
    {{"qudag_cells_bad_total", "Cells whose tag did not verify; each ended its circuit.",
      Kind::counter},
     no_label,
     &CircuitsStats::cells_bad},
    {{"qudag_cells_bad_tail_total",
      "Cells in which a destination left something behind the payload; each ended its circuit.",
      Kind::counter},
     no_label,
     &CircuitsStats::tails_bad},
    {{"qudag_circuits_ended_total", "Circuits that ended, by the reason.", Kind::counter},
     label("reason", "idle"),
     &CircuitsStats::ended_idle},
    {same, label("reason", "peer"), &CircuitsStats::ended_peer},
    {same, label("reason", "link"), &CircuitsStats::ended_link},
    {same, label("reason", "place"), &CircuitsStats::ended_place},
    {same, label("reason", "memory"), &CircuitsStats::ended_reclaimed},
    {same, label("reason", "quota"), &CircuitsStats::ended_quota},
    {same, label("reason", "no_block"), &CircuitsStats::blocks_exhausted},
    {same, label("reason", "shed_normal"),
     [](const CircuitsStats& s) { return static_cast<double>(s.ended_shed[1]); }},
    {same, label("reason", "shed_low"),
     [](const CircuitsStats& s) { return static_cast<double>(s.ended_shed[2]); }},
    {{"qudag_circuits_rested_total", "Times that an idle circuit put its key contexts away.",
      Kind::counter},
     no_label,
     &CircuitsStats::rested},
    {{"qudag_bytes_relayed_total", "Bytes of cells that were passed on as a relay.", Kind::counter},
     no_label,
     &CircuitsStats::bytes_relayed},
    {{"qudag_bytes_copied_total", "Bytes copied by a module, sealing of cells and packets apart.",
      Kind::counter},
     label("module", "circuit"),
     &CircuitsStats::bytes_copied},
};
static_assert(telemetry::valid(kCircuits));

inline constexpr std::string_view kHopNames[] = {"1", "2", "3", "4", "5", "6"};
static_assert(std::size(kHopNames) == limits::kHopsMax);

inline constexpr telemetry::Metric<HopStats> kHops[] = {
    {{"qudag_hop_build_seconds",
      "How long each hop of circuits that this node built kept the build until it went on: for its "
      "turn, and for a link to the next hop. Hop 1 is the first relay.",
      Kind::seconds},
     each("hop", kHopNames),
     [](const HopStats& s, std::size_t i) -> const TimeHistogram& { return s.kept[i]; }},
    {{"qudag_hop_round_trip_seconds",
      "Round trip from the hop before (for hop 1 from this node) to each hop of circuits that this "
      "node built, with the work of both on their keys.",
      Kind::seconds},
     each("hop", kHopNames),
     [](const HopStats& s, std::size_t i) -> const TimeHistogram& { return s.round_trip[i]; }},
};
static_assert(telemetry::valid(kHops));

}  // namespace metrics
}  // namespace qudag::circuit
