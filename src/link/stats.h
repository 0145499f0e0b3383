// What an endpoint counts, and what the metrics page says of it.
#pragma once

#include "base/limits.h"
#include "base/time_histogram.h"
#include "link/admission/admission.h"
#include "link/stream/level.h"
#include "telemetry/metric.h"

#include <qudag/message.h>

#include <array>
#include <cstdint>
#include <numeric>

namespace qudag::link {

struct EndpointStats {
  std::uint64_t datagrams_in = 0, datagrams_out = 0;
  std::uint64_t handshakes_started = 0, handshakes_done = 0, handshakes_failed = 0;
  std::uint64_t steps_off_loop = 0, steps_inline = 0;  // of TLS in handshakes
  std::uint64_t steps_put_off = 0;                     // the worker pool was full
  std::uint64_t steps_waiting = 0;                     // now: for a worker, or at one
  std::uint64_t held_dropped = 0;  // datagrams for a handshake at a worker, beyond its bound
  std::uint64_t links_refused = 0;
  std::uint64_t links_handed_on = 0;  // strangers' handshakes that another shard was given
  std::array<std::uint64_t, kRefusalCount> refused_by{};  // the same, by reason; own dials apart
  std::uint64_t tokens_taken = 0;  // proofs of address from an earlier link, in place of a Retry
  std::uint64_t retries_sent = 0, version_negotiations = 0, resets_sent = 0;
  // Bytes of streams, by level: each once, however often it was sent.
  ByLevel bytes_in{}, bytes_out{};
  // Of those that waited to be sent: their circuit or their link ended. Of those that came: nobody
  // took them, because their circuit had ended.
  ByLevel unsent_circuit{}, unsent_link{}, untaken{};
  std::uint64_t packets_lost = 0;  // until the last look at the links
  // How long cells of a priority waited until they went into a packet, a sample of each turn; and
  // round trips of ready links, each at each look. Where this node is a relay, of many only.
  std::array<TimeHistogram, kPriorityCount> cells_waited;
  TimeHistogram round_trips;
  // Links, by clean-up.
  std::uint64_t ended_silent = 0, ended_stuck = 0, ended_unused = 0, ended_drained = 0;
  std::uint64_t replaced_twin = 0, replaced_old = 0,
                replaced_spare = 0;  // links that drain for another
  // Turns in which a budget was used up, so that something waited for the next one.
  std::uint64_t turns_accepts_used_up = 0;
  std::array<std::uint64_t, kPriorityCount> turns_writes_used_up{};
  std::uint64_t dropped_unknown = 0, dropped_malformed = 0, dropped_wrong_shard = 0;
  std::uint64_t control_frames_malformed = 0;
  std::uint64_t streams_early = 0;  // that overtook the HELLO of their peer
  // Dials of peers that had not answered: done, and refused as too early or for lack of budget.
  std::uint64_t redials = 0, redials_too_soon = 0, redials_no_budget = 0;
  std::uint64_t links_shown = 0;  // after a change of address
  std::uint64_t links_moved = 0;  // of those, how many took another connection id to a new path
  // To the address that the acceptor prefers: gone there; no answer from there; not believed.
  std::uint64_t preferred_moved = 0, preferred_unreachable = 0, preferred_refused = 0;
  std::uint64_t links_redialed = 0;            // that others dialed at an address which is gone
  std::uint64_t links_asked = 0;               // because their peer came anew from elsewhere
  std::uint64_t bytes_copied = 0;              // into buffers of ours, outside packet sealing
  std::uint64_t scratch_bytes = 0;             // the most that one turn needed
  std::uint64_t windows_grown_bytes = 0;       // of streams now, beyond their first size
  std::uint64_t link_windows_grown_bytes = 0;  // the same of links
  // By the allocator hooks of ngtcp2, and with the streams' own records:
  std::uint64_t quic_memory_bytes = 0;        // in use now
  std::uint64_t quic_memory_held = 0;         // the same and what is kept free for it
  std::uint64_t quic_allocations = 0;         // since the start
  std::uint64_t quic_system_allocations = 0;  // of those, how many went to the system
};

inline constexpr std::size_t kStreamsShownLeast = 2 * limits::kCircuitsShownLeast;

inline constexpr std::string_view kWriteBudgets[] = {"write_high", "write_normal", "write_low"};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<EndpointStats> kEndpoint[] = {
    {{"qudag_link_bytes_total",
      "Bytes of circuits and of control on links, by priority, each counted once.", Kind::counter},
     label("direction", "in").each("priority", kLevelNames),
     [](const EndpointStats& s, std::size_t i) { return static_cast<double>(s.bytes_in[i]); }},
    {same, label("direction", "out").each("priority", kLevelNames),
     [](const EndpointStats& s, std::size_t i) { return static_cast<double>(s.bytes_out[i]); }},
    {{"qudag_link_bytes_dropped_total",
      "Bytes of circuits and of control that did not go on: to be sent, when their circuit or "
      "their link ended; received, for a circuit that had ended.",
      Kind::counter},
     label("reason", "circuit_ended").each("priority", kLevelNames),
     [](const EndpointStats& s, std::size_t i) {
       return static_cast<double>(s.unsent_circuit[i]);
     }},
    {same, label("reason", "link_ended").each("priority", kLevelNames),
     [](const EndpointStats& s, std::size_t i) { return static_cast<double>(s.unsent_link[i]); }},
    {same, label("reason", "received_late").each("priority", kLevelNames),
     [](const EndpointStats& s, std::size_t i) { return static_cast<double>(s.untaken[i]); }},
    {{"qudag_packets_lost_total", "Packets of links that QUIC took for lost.", Kind::counter},
     no_label,
     &EndpointStats::packets_lost},
    {{"qudag_cell_wait_seconds",
      "How long cells waited in the queue of a link until they went into a packet: one sample for "
      "each turn and priority. Of a relay only what at least ten circuits gave.",
      Kind::seconds},
     each("priority", telemetry::kPriorityNames),
     [](const EndpointStats& s, std::size_t i) -> const TimeHistogram& {
       return s.cells_waited[i];
     }},
    {{"qudag_link_round_trip_seconds",
      "Round trips of ready links, each link every few seconds. Of a relay only while its links "
      "carry at least ten circuits.",
      Kind::seconds},
     no_label,
     &EndpointStats::round_trips},
    {{"qudag_handshakes_total", "Handshakes of links, by their result.", Kind::counter},
     label("result", "done"),
     &EndpointStats::handshakes_done},
    {same, label("result", "failed"), &EndpointStats::handshakes_failed},
    {{"qudag_handshake_steps_total",
      "Signatures and key exchanges of handshakes, by where they were computed.", Kind::counter},
     label("where", "worker"),
     &EndpointStats::steps_off_loop},
    {same, label("where", "loop"), &EndpointStats::steps_inline},
    {{"qudag_handshake_steps_put_off_total",
      "Steps of handshakes that found the queue of the workers full and were tried again.",
      Kind::counter},
     no_label,
     &EndpointStats::steps_put_off},
    {{"qudag_handshake_steps_waiting", "Steps of handshakes that wait for a worker or are at one.",
      Kind::gauge},
     no_label,
     &EndpointStats::steps_waiting},
    {{"qudag_links_refused_total",
      "Links refused, by the limit that refused them; own_dial: a dial of this node.",
      Kind::counter},
     label("reason", "own_dial"),
     [](const EndpointStats& s) {
       return static_cast<double>(s.links_refused - std::accumulate(s.refused_by.begin(),
                                                                    s.refused_by.end(),
                                                                    std::uint64_t{0}));
     }},
    {same, each("reason", kRefusalNames),
     [](const EndpointStats& s, std::size_t i) {
       return static_cast<double>(s.refused_by[i + 1]);
     }},
    {{"qudag_links_handed_on_total",
      "Links of strangers that were given to a shard with less to do than the one at which their "
      "first packet came.",
      Kind::counter},
     no_label,
     &EndpointStats::links_handed_on},
    {{"qudag_links_ended_total", "Links that this node ended, by the reason.", Kind::counter},
     label("reason", "silent"),
     &EndpointStats::ended_silent},
    {same, label("reason", "stuck"), &EndpointStats::ended_stuck},
    {same, label("reason", "unused"), &EndpointStats::ended_unused},
    {same, label("reason", "drained"), &EndpointStats::ended_drained},
    {{"qudag_links_replaced_total",
      "Links that take no new circuits because another link takes their place, by the reason.",
      Kind::counter},
     label("reason", "twin"),
     &EndpointStats::replaced_twin},
    {same, label("reason", "old"), &EndpointStats::replaced_old},
    {same, label("reason", "spare"), &EndpointStats::replaced_spare},
    {{"qudag_redials_total",
      "Dials of nodes that did not answer the last one, by what was decided.", Kind::counter},
     label("result", "dialed"),
     &EndpointStats::redials},
    {same, label("result", "too_soon"), &EndpointStats::redials_too_soon},
    {same, label("result", "no_budget"), &EndpointStats::redials_no_budget},
    {{"qudag_turns_used_up_total",
      "Turns of the loop that left work for the next turn, by the budget that was used up.",
      Kind::counter},
     label("budget", "accept"),
     &EndpointStats::turns_accepts_used_up},
    {same, each("budget", kWriteBudgets),
     [](const EndpointStats& s, std::size_t i) {
       return static_cast<double>(s.turns_writes_used_up[i]);
     }},
    {{"qudag_retries_sent_total",
      "New peers that were asked to prove their address with a QUIC Retry.", Kind::counter},
     no_label,
     &EndpointStats::retries_sent},
    {{"qudag_address_tokens_taken_total",
      "New links whose address was proven by a token of an earlier link.", Kind::counter},
     no_label,
     &EndpointStats::tokens_taken},
    {{"qudag_links_moved_total", "Links that went on over another path with a fresh connection id.",
      Kind::counter},
     no_label,
     &EndpointStats::links_moved},
    {{"qudag_links_preferred_total",
      "Links whose acceptor preferred another address, by the result.", Kind::counter},
     label("result", "moved"),
     &EndpointStats::preferred_moved},
    {same, label("result", "unreachable"), &EndpointStats::preferred_unreachable},
    {same, label("result", "refused"), &EndpointStats::preferred_refused},
    {{"qudag_links_redialed_total",
      "Links dialed because the address at which a peer had dialed this node is gone.",
      Kind::counter},
     no_label,
     &EndpointStats::links_redialed},
    {{"qudag_links_asked_total", "Links asked for a sign of life because their peer dialed anew.",
      Kind::counter},
     no_label,
     &EndpointStats::links_asked},
    {{"qudag_links_shown_total", "Links that told their peer about a new address of this machine.",
      Kind::counter},
     no_label,
     &EndpointStats::links_shown},
    {{"qudag_datagrams_dropped_total",
      "Datagrams dropped: of no link, no QUIC packet, or beyond what a handshake at a worker may "
      "hold.",
      Kind::counter},
     label("reason", "unknown"),
     &EndpointStats::dropped_unknown},
    {same, label("reason", "malformed"), &EndpointStats::dropped_malformed},
    {same, label("reason", "handshake"), &EndpointStats::held_dropped},
    {{"qudag_control_frames_malformed_total", "Malformed frames on control streams.",
      Kind::counter},
     no_label,
     &EndpointStats::control_frames_malformed},
    {{"qudag_bytes_copied_total", "Bytes copied by a module, sealing of cells and packets apart.",
      Kind::counter},
     label("module", "link"),
     &EndpointStats::bytes_copied},
    {{"qudag_quic_memory_bytes", "Memory in use by the QUIC library and the records of streams.",
      Kind::gauge},
     no_label,
     &EndpointStats::quic_memory_bytes},
    {{"qudag_windows_grown_bytes",
      "Windows on long paths beyond their first size, of streams and of links.", Kind::gauge},
     label("of", "streams"),
     &EndpointStats::windows_grown_bytes},
    {same, label("of", "links"), &EndpointStats::link_windows_grown_bytes},
    {{"qudag_quic_allocations_total",
      "Allocations of the QUIC library, by where the memory came from.", Kind::counter},
     label("from", "heap"),
     [](const EndpointStats& s) {
       return static_cast<double>(s.quic_allocations - s.quic_system_allocations);
     }},
    {same, label("from", "system"), &EndpointStats::quic_system_allocations},
    {{"qudag_scratch_high_water_bytes",
      "The most scratch memory that a turn of the loop needed, by its user.", Kind::gauge},
     label("user", "link"),
     &EndpointStats::scratch_bytes},
};
static_assert(telemetry::valid(kEndpoint));

}  // namespace metrics
}  // namespace qudag::link
