// The metrics table: one row per number, with where it comes from. The page, the status and the
// tests read this table; nothing else names a metric.
#include "node/report.h"

#include "crypto/openssl_memory.h"
#include "node/process/usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

namespace qudag::node {

namespace {

using Read = double (*)(const shard::ShardReport&);

struct Row {
  std::string_view name;
  std::string_view labels;
  std::string_view help;
  SampleKind kind;
  Read read;
};

std::uint64_t refused(const shard::ShardReport& r, link::Refusal why) {
  return r.endpoint.refused_by[static_cast<std::size_t>(why)];
}

std::uint64_t requested(const shard::ShardReport& r, shard::LinkRequest how) {
  return r.link_requests[static_cast<std::size_t>(how)];
}

template <class Counts>
std::uint64_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

#define QUDAG_ROW(name, labels, help, kind, expr)                             \
  Row {                                                                       \
    name, labels, help, SampleKind::kind,                                     \
        [](const shard::ShardReport& r) { return static_cast<double>(expr); } \
  }

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      QUDAG_ROW("qudag_loop_turns_total", "", "turns of the shards' loops", counter, r.loop_turns),
      QUDAG_ROW("qudag_loop_rests_total", "how=\"asleep\"", "between turns, with nothing to do",
                counter, r.loop_sleeps),
      QUDAG_ROW("qudag_loop_rests_total", "how=\"awake\"", "between turns, with nothing to do",
                counter, r.loop_rests_awake),
      QUDAG_ROW("qudag_joined", "",
                "1 when a link is ready and relays for a circuit of default length are known",
                gauge, r.joined),
      QUDAG_ROW("qudag_clock_off_seconds", "",
                "our wall clock is ahead of the peers' (median of their networks; 0: not known)",
                gauge, r.clock_off_s.value_or(0)),
      QUDAG_ROW("qudag_links", "", "QUIC connections held now", gauge, r.links),
      QUDAG_ROW("qudag_circuits", "", "circuits held now, all roles", gauge, r.circuits),
      QUDAG_ROW("qudag_handshakes_total", "result=\"done\"", "link handshakes", counter,
                r.endpoint.handshakes_done),
      QUDAG_ROW("qudag_handshakes_total", "result=\"failed\"", "link handshakes", counter,
                r.endpoint.handshakes_failed),
      QUDAG_ROW("qudag_handshake_steps_total", "where=\"worker\"",
                "slow steps of TLS: signatures, key exchanges", counter, r.endpoint.steps_off_loop),
      QUDAG_ROW("qudag_handshake_steps_total", "where=\"loop\"",
                "slow steps of TLS: signatures, key exchanges", counter, r.endpoint.steps_inline),
      QUDAG_ROW("qudag_handshake_steps_put_off_total", "", "found the worker pool full", counter,
                r.endpoint.steps_put_off),
      QUDAG_ROW("qudag_handshake_steps_waiting", "", "for a worker, or at one", gauge,
                r.endpoint.steps_waiting),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"own_dial\"", "links refused by a limit",
                counter, r.endpoint.links_refused - sum(r.endpoint.refused_by)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"stopping\"", "links refused by a limit",
                counter, refused(r, link::Refusal::stopping)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"links\"", "links refused by a limit",
                counter, refused(r, link::Refusal::links)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"half_open\"", "links refused by a limit",
                counter, refused(r, link::Refusal::half_open)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"rate\"", "links refused by a limit", counter,
                refused(r, link::Refusal::rate)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"prefix_links\"", "links refused by a limit",
                counter, refused(r, link::Refusal::prefix_links)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"prefix_half_open\"",
                "links refused by a limit", counter, refused(r, link::Refusal::prefix_half_open)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"prefix_rate\"", "links refused by a limit",
                counter, refused(r, link::Refusal::prefix_rate)),
      QUDAG_ROW("qudag_links_refused_total", "reason=\"memory\"", "links refused by a limit",
                counter, refused(r, link::Refusal::memory)),
      QUDAG_ROW("qudag_links_ended_total", "reason=\"silent\"", "links ended by clean-up", counter,
                r.endpoint.ended_silent),
      QUDAG_ROW("qudag_links_ended_total", "reason=\"stuck\"", "links ended by clean-up", counter,
                r.endpoint.ended_stuck),
      QUDAG_ROW("qudag_links_ended_total", "reason=\"unused\"", "links ended by clean-up", counter,
                r.endpoint.ended_unused),
      QUDAG_ROW("qudag_links_ended_total", "reason=\"drained\"", "links ended by clean-up", counter,
                r.endpoint.ended_drained),
      QUDAG_ROW("qudag_link_requests_total", "result=\"ready\"",
                "links that circuits asked for, and what there was", counter,
                requested(r, shard::LinkRequest::ready)),
      QUDAG_ROW("qudag_link_requests_total", "result=\"dialing\"",
                "links that circuits asked for, and what there was", counter,
                requested(r, shard::LinkRequest::dialing)),
      QUDAG_ROW("qudag_link_requests_total", "result=\"dialed\"",
                "links that circuits asked for, and what there was", counter,
                requested(r, shard::LinkRequest::dialed)),
      QUDAG_ROW("qudag_link_requests_total", "result=\"refused\"",
                "links that circuits asked for, and what there was", counter,
                requested(r, shard::LinkRequest::refused)),
      QUDAG_ROW("qudag_warm_links", "", "kept or opened ahead of need, now", gauge, r.warm.now),
      QUDAG_ROW("qudag_warm_links_total", "event=\"opened\"", "links opened ahead of need", counter,
                r.warm.opened),
      QUDAG_ROW("qudag_warm_links_total", "event=\"used\"", "links opened ahead of need", counter,
                r.warm.used),
      QUDAG_ROW("qudag_warm_links_total", "event=\"unused\"", "links opened ahead of need", counter,
                r.warm.unused),
      QUDAG_ROW("qudag_warm_links_total", "event=\"evicted\"", "links opened ahead of need",
                counter, r.warm.evicted),
      QUDAG_ROW("qudag_redials_total", "result=\"dialed\"", "of nodes that had not answered",
                counter, r.endpoint.redials),
      QUDAG_ROW("qudag_redials_total", "result=\"too_soon\"", "of nodes that had not answered",
                counter, r.endpoint.redials_too_soon),
      QUDAG_ROW("qudag_redials_total", "result=\"no_budget\"", "of nodes that had not answered",
                counter, r.endpoint.redials_no_budget),
      QUDAG_ROW("qudag_links_replaced_total", "reason=\"twin\"", "links that drain for another one",
                counter, r.endpoint.replaced_twin),
      QUDAG_ROW("qudag_links_replaced_total", "reason=\"old\"", "links that drain for another one",
                counter, r.endpoint.replaced_old),
      QUDAG_ROW("qudag_links_replaced_total", "reason=\"spare\"",
                "links that drain for another one", counter, r.endpoint.replaced_spare),

      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"read\"",
                "turns that left work for the next one", counter, r.turns_reading_used_up),
      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"accept\"",
                "turns that left work for the next one", counter, r.endpoint.turns_accepts_used_up),
      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"gossip\"",
                "turns that left work for the next one", counter, r.gossip.turns_used_up),
      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"write_high\"",
                "turns that left work for the next one", counter,
                r.endpoint.turns_writes_used_up[0]),
      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"write_normal\"",
                "turns that left work for the next one", counter,
                r.endpoint.turns_writes_used_up[1]),
      QUDAG_ROW("qudag_turns_used_up_total", "budget=\"write_low\"",
                "turns that left work for the next one", counter,
                r.endpoint.turns_writes_used_up[2]),
      QUDAG_ROW("qudag_gossip_dropped_total", "", "gossip frames beyond what may wait", counter,
                r.gossip.frames_dropped),
      QUDAG_ROW("qudag_retries_sent_total", "", "address validations asked of new peers", counter,
                r.endpoint.retries_sent),
      QUDAG_ROW("qudag_address_tokens_taken_total", "",
                "new links whose address was proven by a token of an earlier one", counter,
                r.endpoint.tokens_taken),
      QUDAG_ROW("qudag_links_moved_total", "",
                "links that went on over a new path, with a fresh connection id", counter,
                r.endpoint.links_moved),
      QUDAG_ROW("qudag_links_preferred_total", "result=\"moved\"",
                "links whose acceptor told where it would rather be", counter,
                r.endpoint.preferred_moved),
      QUDAG_ROW("qudag_links_preferred_total", "result=\"unreachable\"",
                "links whose acceptor told where it would rather be", counter,
                r.endpoint.preferred_unreachable),
      QUDAG_ROW("qudag_links_preferred_total", "result=\"refused\"",
                "links whose acceptor told where it would rather be", counter,
                r.endpoint.preferred_refused),
      QUDAG_ROW("qudag_links_redialed_total", "",
                "links dialed because the address is gone at which a peer dialed us", counter,
                r.endpoint.links_redialed),
      QUDAG_ROW("qudag_links_asked_total", "",
                "links asked for a sign of life because their peer dialed anew", counter,
                r.endpoint.links_asked),
      QUDAG_ROW("qudag_links_shown_total", "",
                "links that told their peer of a new address of this machine", counter,
                r.endpoint.links_shown),
      QUDAG_ROW("qudag_datagrams_dropped_total", "reason=\"unknown\"",
                "datagrams that belong to no link", counter, r.endpoint.dropped_unknown),
      QUDAG_ROW("qudag_datagrams_dropped_total", "reason=\"malformed\"",
                "datagrams that are no QUIC packet", counter, r.endpoint.dropped_malformed),
      QUDAG_ROW("qudag_datagrams_dropped_total", "reason=\"handshake\"",
                "datagrams for a handshake at a worker, beyond what is held", counter,
                r.endpoint.held_dropped),
      QUDAG_ROW("qudag_control_frames_malformed_total", "", "broken frames on control streams",
                counter, r.endpoint.control_frames_malformed),
      QUDAG_ROW("qudag_datagrams_total", "direction=\"in\"", "UDP datagrams", counter,
                r.socket.received_datagrams),
      QUDAG_ROW("qudag_datagrams_total", "direction=\"out\"", "UDP datagrams", counter,
                r.socket.sent_datagrams),
      QUDAG_ROW("qudag_bytes_total", "direction=\"in\"", "UDP payload bytes", counter,
                r.socket.received_bytes),
      QUDAG_ROW("qudag_bytes_total", "direction=\"out\"", "UDP payload bytes", counter,
                r.socket.sent_bytes),
      QUDAG_ROW("qudag_syscalls_total", "call=\"recvmmsg\"", "socket calls", counter,
                r.socket.receive_calls),
      QUDAG_ROW("qudag_syscalls_total", "call=\"sendmmsg\"", "socket calls", counter,
                r.socket.send_calls),
      QUDAG_ROW("qudag_send_blocked_total", "", "trains that the socket had no room for", counter,
                r.socket.send_blocked),

      QUDAG_ROW("qudag_builds_total", "result=\"started\"", "circuits asked for here", counter,
                r.circuit.builds_started),
      QUDAG_ROW("qudag_builds_total", "result=\"ready\"", "circuits asked for here", counter,
                r.circuit.builds_ready),
      QUDAG_ROW("qudag_builds_total", "result=\"failed\"", "circuits asked for here", counter,
                r.circuit.builds_failed),
      QUDAG_ROW("qudag_builds_total", "result=\"timed_out\"", "circuits asked for here", counter,
                r.circuit.builds_timed_out),
      QUDAG_ROW("qudag_build_keys_total", "made=\"ahead\"",
                "ephemeral keys of circuits asked for here", counter, r.build_keys_ahead),
      QUDAG_ROW("qudag_build_keys_total", "made=\"in_turn\"",
                "ephemeral keys of circuits asked for here", counter, r.build_keys_made),
      QUDAG_ROW("qudag_circuits_accepted_total", "role=\"relay\"", "circuits built by others",
                counter, r.circuit.accepted_relay),
      QUDAG_ROW("qudag_circuits_accepted_total", "role=\"destination\"", "circuits built by others",
                counter, r.circuit.accepted_destination),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"limit\"", "build messages refused",
                counter, r.circuit.refused_limit),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"slow\"", "build messages refused",
                counter, r.circuit.refused_slow),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"place\"", "build messages refused",
                counter, r.circuit.refused_place),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"memory\"", "build messages refused",
                counter, r.circuit.refused_memory),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"link_rate\"", "build messages refused",
                counter, r.limiter.refused_link_rate),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"rate\"", "build messages refused",
                counter, r.limiter.refused_rate),
      QUDAG_ROW("qudag_dials_for_others_total", "result=\"begun\"",
                "next hops of others' circuits that were dialed for them", counter, r.dials.begun),
      QUDAG_ROW("qudag_dials_for_others_total", "result=\"given_up\"",
                "next hops of others' circuits that were dialed for them", counter,
                r.dials.given_up),
      QUDAG_ROW("qudag_dials_for_others_total", "result=\"rate\"",
                "next hops of others' circuits that were dialed for them", counter,
                r.dials.refused_rate),
      QUDAG_ROW("qudag_dials_for_others_total", "result=\"dead\"",
                "next hops of others' circuits that were dialed for them", counter,
                r.dials.known_dead),
      QUDAG_ROW("qudag_load_reports_total", "way=\"sent\"", "LOAD frames", counter, r.loads.sent),
      QUDAG_ROW("qudag_load_reports_total", "way=\"heard\"", "LOAD frames", counter, r.loads.heard),
      QUDAG_ROW("qudag_load_reports_ignored_total", "reason=\"too_fast\"", "LOAD frames", counter,
                r.loads.ignored_too_fast),
      QUDAG_ROW("qudag_load_reports_ignored_total", "reason=\"unknown\"",
                "LOAD frames; their sender does not say who it is", counter,
                r.loads.ignored_unknown),
      QUDAG_ROW("qudag_first_hops_total", "by=\"least\"",
                "first hops chosen: the least loaded of several guards", counter,
                r.first_hops.least),
      QUDAG_ROW("qudag_first_hops_total", "by=\"only\"", "first hops chosen: one guard suited",
                counter, r.first_hops.only),
      QUDAG_ROW("qudag_first_hops_total", "by=\"other\"", "first hops chosen: no guard suited",
                counter, r.first_hops.other),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"overload\"", "build messages refused",
                counter, r.circuit.refused_overload),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"replayed\"", "build messages refused",
                counter, r.circuit.refused_replay),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"malformed\"", "build messages refused",
                counter, r.circuit.refused_malformed),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"authentication\"",
                "build messages refused", counter, r.circuit.refused_auth),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"expired\"", "build messages refused",
                counter, r.circuit.refused_expired),
      QUDAG_ROW("qudag_circuits_refused_total", "reason=\"not_a_relay\"", "build messages refused",
                counter, r.circuit.refused_not_relay),
      QUDAG_ROW("qudag_extends_failed_total", "", "next hops that did not answer", counter,
                r.circuit.extend_failed),
      QUDAG_ROW("qudag_cells_total", "role=\"relay\"", "cells passed on, both directions", counter,
                r.circuit.cells_relayed),
      QUDAG_ROW("qudag_cells_total", "role=\"sender\"", "cells sent at an end of a circuit",
                counter, r.circuit.cells_sent),
      QUDAG_ROW("qudag_cells_total", "role=\"receiver\"", "cells received at an end of a circuit",
                counter, r.circuit.cells_received),
      QUDAG_ROW("qudag_cells_bad_total", "", "cells whose tag did not verify", counter,
                r.circuit.cells_bad),
      QUDAG_ROW("qudag_cells_bad_tail_total", "",
                "cells in which a destination left something behind the payload", counter,
                r.circuit.tails_bad),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"idle\"", "circuits ended", counter,
                r.circuit.ended_idle),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"peer\"", "circuits ended", counter,
                r.circuit.ended_peer),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"link\"", "circuits ended", counter,
                r.circuit.ended_link),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"place\"", "circuits ended", counter,
                r.circuit.ended_place),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"memory\"", "circuits ended", counter,
                r.circuit.ended_reclaimed),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"no_block\"", "circuits ended", counter,
                r.circuit.blocks_exhausted),
      QUDAG_ROW("qudag_memory_reclaimed_bytes_total", "",
                "held by circuits that ended because memory was short", counter,
                r.protection.reclaimed_bytes),

      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"shed_low\"", "circuits ended", counter,
                r.circuit.ended_shed[2]),
      QUDAG_ROW("qudag_circuits_ended_total", "reason=\"shed_normal\"", "circuits ended", counter,
                r.circuit.ended_shed[1]),
      QUDAG_ROW("qudag_messages_shed_total", "class=\"low\"", "waiting messages dropped", counter,
                r.protection.messages_dropped[2]),
      QUDAG_ROW("qudag_messages_shed_total", "class=\"normal\"", "waiting messages dropped",
                counter, r.protection.messages_dropped[1]),
      QUDAG_ROW("qudag_sends_refused_total", "class=\"low\"", "messages refused by overload",
                counter, r.protection.sends_refused[2]),
      QUDAG_ROW("qudag_sends_refused_total", "class=\"normal\"", "messages refused by overload",
                counter, r.protection.sends_refused[1]),

      QUDAG_ROW("qudag_messages_waiting", "", "messages waiting to be sent", gauge,
                r.message.waiting),
      QUDAG_ROW("qudag_messages_in_flight", "", "messages sent and not yet acknowledged", gauge,
                r.message.in_flight),
      QUDAG_ROW("qudag_message_bytes_total", "direction=\"out\"", "payload bytes", counter,
                r.message.bytes_sent),
      QUDAG_ROW("qudag_message_bytes_total", "direction=\"in\"", "payload bytes", counter,
                r.message.bytes_received),
      QUDAG_ROW("qudag_messages_resent_total", "", "sent again over another circuit", counter,
                r.message.resent),
      QUDAG_ROW("qudag_messages_duplicate_total", "", "arrived again and not delivered twice",
                counter, r.message.duplicates),
      QUDAG_ROW("qudag_messages_turned_away_total", "reason=\"memory\"", "messages for us refused",
                counter, r.message.refused_memory),
      QUDAG_ROW("qudag_messages_turned_away_total", "reason=\"queue\"", "messages for us refused",
                counter, r.message.refused_queue),
      QUDAG_ROW("qudag_messages_turned_away_total", "reason=\"no_receiver\"",
                "messages for us refused", counter, r.message.refused_no_receiver),
      QUDAG_ROW("qudag_messages_turned_away_total", "reason=\"stalled\"", "messages for us refused",
                counter, r.message.assemblies_stalled),
      QUDAG_ROW("qudag_frames_malformed_total", "", "payloads that ended their circuit", counter,
                r.message.frames_malformed),
      QUDAG_ROW("qudag_signatures_bad_total", "", "signed messages that did not verify", counter,
                r.message.signatures_bad),
      QUDAG_ROW("qudag_signatures_old_total", "",
                "signed messages of a time that is not now, by this node's clock", counter,
                r.message.signatures_old),
      QUDAG_ROW("qudag_signatures_total", "of=\"sent\"", "of messages, made or verified by workers",
                counter, r.message.signed_off_loop),
      QUDAG_ROW("qudag_signatures_total", "of=\"received\"",
                "of messages, made or verified by workers", counter, r.message.verified_off_loop),
      QUDAG_ROW("qudag_signatures_put_off_total", "", "the workers had no room, tried again",
                counter, r.message.signatures_put_off),

      QUDAG_ROW("qudag_bytes_copied_total", "module=\"link\"", "bytes copied, sealing apart",
                counter, r.endpoint.bytes_copied),
      QUDAG_ROW("qudag_bytes_copied_total", "module=\"circuit\"", "bytes copied, sealing apart",
                counter, r.circuit.bytes_copied),
      QUDAG_ROW("qudag_bytes_copied_total", "module=\"message\"", "bytes copied, sealing apart",
                counter, r.message.bytes_copied),

      QUDAG_ROW("qudag_bytes_relayed_total", "", "bytes of cells passed on", counter,
                r.circuit.bytes_relayed),

      QUDAG_ROW("qudag_quic_memory_bytes", "", "in use by the QUIC library, and stream records",
                gauge, r.endpoint.quic_memory_bytes),
      QUDAG_ROW("qudag_windows_grown_bytes", "",
                "windows of streams for long paths, beyond the usual", gauge,
                r.endpoint.windows_grown_bytes),
      QUDAG_ROW("qudag_quic_allocations_total", "from=\"heap\"",
                "allocations of the QUIC library, by where they came from", counter,
                r.endpoint.quic_allocations - r.endpoint.quic_system_allocations),
      QUDAG_ROW("qudag_quic_allocations_total", "from=\"system\"",
                "allocations of the QUIC library, by where they came from", counter,
                r.endpoint.quic_system_allocations),
      QUDAG_ROW("qudag_circuits_rested_total", "", "idle circuits that put key contexts away",
                counter, r.circuit.rested),

      QUDAG_ROW("qudag_scratch_high_water_bytes", "user=\"link\"",
                "the most scratch memory that a turn needed, all shards", gauge,
                r.endpoint.scratch_bytes),
      QUDAG_ROW("qudag_scratch_high_water_bytes", "user=\"gossip\"",
                "the most scratch memory that a turn needed, all shards", gauge,
                r.netmap.scratch_bytes),

      QUDAG_ROW("qudag_descriptors", "", "nodes in the netmap", gauge, r.netmap.held),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"malformed\"", "descriptors refused",
                counter, r.netmap.rejected_malformed),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"signature\"", "descriptors refused",
                counter, r.netmap.rejected_signature),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"old\"", "descriptors refused",
                counter, r.netmap.rejected_old),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"full\"", "descriptors refused",
                counter, r.netmap.rejected_full),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"expired\"", "descriptors refused",
                counter, r.netmap.rejected_expired),
      QUDAG_ROW("qudag_descriptors_rejected_total", "reason=\"rate\"", "descriptors refused",
                counter, r.netmap.rejected_rate),
      QUDAG_ROW("qudag_descriptors_unproven", "",
                "nodes in the netmap that are no relays which were reached", gauge,
                r.netmap.unproven),
      QUDAG_ROW("qudag_descriptors_evicted_total", "", "descriptors that gave way to others",
                counter, r.netmap.evicted),
      QUDAG_ROW("qudag_relays_tried_total", "", "relays dialed to see that they are there", counter,
                r.netmap.tried),
      QUDAG_ROW("qudag_relays_reached_total", "", "relays that were found to be there", counter,
                r.netmap.reached),
      QUDAG_ROW("qudag_relays_lost_total", "", "relays that were there once and do not answer",
                counter, r.netmap.unreached),
      QUDAG_ROW("qudag_relays_beyond_share_total", "",
                "relays that are there and do not count: too many of their host or network",
                counter, r.netmap.reached_beyond_share),

      QUDAG_ROW("qudag_pool_blocks", "size=\"cell\",state=\"used\"", "pooled blocks", gauge,
                r.pool.in_use[0]),
      QUDAG_ROW("qudag_pool_blocks", "size=\"bulk\",state=\"used\"", "pooled blocks", gauge,
                r.pool.in_use[1]),
      QUDAG_ROW("qudag_pool_blocks", "size=\"cell\",state=\"free\"", "pooled blocks", gauge,
                r.pool.free[0]),
      QUDAG_ROW("qudag_pool_blocks", "size=\"bulk\",state=\"free\"", "pooled blocks", gauge,
                r.pool.free[1]),
      QUDAG_ROW("qudag_pool_blocks", "size=\"small\",state=\"used\"", "pooled blocks", gauge,
                r.pool.in_use[2]),
      QUDAG_ROW("qudag_pool_blocks", "size=\"small\",state=\"free\"", "pooled blocks", gauge,
                r.pool.free[2]),
      QUDAG_ROW("qudag_pool_taken_total", "", "blocks taken from pools", counter, r.pool.taken),
      QUDAG_ROW("qudag_pool_allocated_total", "", "blocks that came from the allocator", counter,
                r.pool.allocated),
      QUDAG_ROW("qudag_pool_trimmed_total", "", "blocks given back to the allocator", counter,
                r.pool.trimmed),
      QUDAG_ROW("qudag_pool_exhausted_total", "", "blocks refused because a pool was at its limit",
                counter, r.pool.exhausted),
  };
  return table;
}

#undef QUDAG_ROW

void add_pause_rows(const std::vector<shard::ShardReport>& reports,
                    std::vector<MetricSample>& out) {
  for (std::size_t c = 0; c < kClassCount; ++c) {
    double sum = 0;
    for (const shard::ShardReport& r : reports) sum += static_cast<double>(r.send_pauses[c]);
    out.push_back({.name = "qudag_send_pauses_total",
                   .labels = fmt::format("class=\"{}\"", name_of(static_cast<Class>(c))),
                   .help = "times that senders of the class were paused for want of room",
                   .kind = SampleKind::counter,
                   .value = sum});
  }
}

// ---- queues -------------------------------------------------------------------------------------

/// What shards have in common: counts are added, waiting times are the worst of them.
void merge(Bounded& into, const Bounded& row) {
  into.items += row.items;
  into.items_max += row.items_max;
  into.bytes += row.bytes;
  into.bytes_max += row.bytes_max;
  into.oldest = std::max(into.oldest, row.oldest);
  into.waited_p99 = std::max(into.waited_p99, row.waited_p99);
  into.entered += row.entered;
  into.left += row.left;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) into.drops[i] += row.drops[i];
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
double number(std::uint64_t n) { return static_cast<double>(n); }

struct Family {
  std::string_view name;
  std::string_view help;
  SampleKind kind;
  double (*read)(const Bounded&);
};
constexpr Family kFamilies[] = {
    {"qudag_queue_items", "items that wait", SampleKind::gauge,
     [](const Bounded& q) { return number(q.items); }},
    {"qudag_queue_items_max", "the bound of a queue in items", SampleKind::gauge,
     [](const Bounded& q) { return number(q.items_max); }},
    {"qudag_queue_bytes", "bytes that wait", SampleKind::gauge,
     [](const Bounded& q) { return number(q.bytes); }},
    {"qudag_queue_bytes_max", "the bound of a queue in bytes", SampleKind::gauge,
     [](const Bounded& q) { return number(q.bytes_max); }},
    {"qudag_queue_oldest_seconds", "how long the first item has waited", SampleKind::gauge,
     [](const Bounded& q) { return seconds(q.oldest); }},
    {"qudag_queue_waited_seconds_p99", "how long items waited, to a power of two",
     SampleKind::gauge, [](const Bounded& q) { return seconds(q.waited_p99); }},
    {"qudag_queue_entered_total", "items that came in", SampleKind::counter,
     [](const Bounded& q) { return number(q.entered); }},
    {"qudag_queue_left_total", "items that had their turn", SampleKind::counter,
     [](const Bounded& q) { return number(q.left); }},
};

void add_queue_metrics(const std::vector<shard::ShardReport>& reports,
                       std::vector<MetricSample>& out) {
  std::map<std::pair<std::string_view, std::string_view>, Bounded> queues;
  for (const shard::ShardReport& report : reports) {
    for (const Bounded& row : report.bounded) {
      if (row.kind != Bounded::Kind::queue) continue;
      const auto [at, first] = queues.try_emplace({row.name, row.level}, row);
      if (!first) merge(at->second, row);
    }
  }
  for (const auto& [key, queue] : queues) {
    const std::string labels = fmt::format("queue=\"{}\",level=\"{}\"", queue.name, queue.level);
    for (const Family& family : kFamilies) {
      out.push_back({.name = std::string(family.name),
                     .labels = labels,
                     .help = std::string(family.help),
                     .kind = family.kind,
                     .value = family.read(queue)});
    }
    for (std::size_t i = 0; i < kDropReasonCount; ++i) {
      out.push_back({.name = "qudag_queue_drops_total",
                     .labels = fmt::format("{},reason=\"{}\"", labels, kDropReasonNames[i]),
                     .help = "items refused or dropped, by reason",
                     .kind = SampleKind::counter,
                     .value = number(queue.drops[i])});
    }
  }
}

void add_message_rows(const std::vector<shard::ShardReport>& reports,
                      std::vector<MetricSample>& out) {
  using Stats = message::MessagesStats;
  using PerClass = std::array<std::uint64_t, kClassCount> Stats::*;
  struct Result {
    std::string_view name;
    PerClass values;
  };
  static constexpr Result kResults[] = {
      {"accepted", &Stats::accepted}, {"delivered", &Stats::delivered},
      {"expired", &Stats::expired},   {"refused", &Stats::refused},
      {"failed", &Stats::failed},     {"received", &Stats::received},
  };
  for (const Result& result : kResults) {
    for (std::size_t c = 0; c < kClassCount; ++c) {
      double sum = 0;
      for (const shard::ShardReport& r : reports)
        sum += static_cast<double>((r.message.*result.values)[c]);
      out.push_back({.name = "qudag_messages_total",
                     .labels = fmt::format("class=\"{}\",result=\"{}\"",
                                           name_of(static_cast<Class>(c)), result.name),
                     .help = "messages by how they ended; received: handed to the application",
                     .kind = SampleKind::counter,
                     .value = sum});
    }
  }
}

/// The tree of budgets: what is reserved by whom, kept for whom, and refused.
void add_memory_rows(const memory::Bound& bound, std::vector<MetricSample>& out) {
  const auto add = [&out](std::string_view name, std::string_view label, const memory::Budget& of,
                          std::string_view help, SampleKind kind, std::uint64_t value) {
    out.push_back({.name = std::string(name),
                   .labels = fmt::format("{}=\"{}\"", label, of.name()),
                   .help = std::string(help),
                   .kind = kind,
                   .value = static_cast<double>(value)});
  };
  const auto add_budget = [&](std::string_view label, const memory::Budget& of) {
    add("qudag_memory_bytes", label, of, "reserved, by part; claims are messages in the blocks",
        SampleKind::gauge, of.used());
    add("qudag_memory_kept_bytes", label, of, "kept for this part or class alone",
        SampleKind::gauge, of.kept());
    add("qudag_memory_refused_total", label, of, "requests that the memory bound refused",
        SampleKind::counter, of.refused());
  };
  for (std::size_t i = 0; i < memory::kPartCount; ++i) {
    add_budget("part", bound.part(static_cast<memory::Part>(i)));
  }
  for (std::size_t i = 0; i < memory::kClaimCount; ++i) add_budget("claim", bound.claim(i));
}

// Of all shards the worst: an action counts that any of them takes.
void add_overload_rows(const std::vector<shard::ShardReport>& reports,
                       std::vector<MetricSample>& out) {
  const auto add = [&](std::string_view name, std::string labels, std::string_view help,
                       SampleKind kind, double value) {
    out.push_back({.name = std::string(name),
                   .labels = std::move(labels),
                   .help = std::string(help),
                   .kind = kind,
                   .value = value});
  };
  const auto worst = [&](auto&& value_of) {
    double out_value = 0;
    for (const shard::ShardReport& r : reports) out_value = std::max(out_value, value_of(r));
    return out_value;
  };
  for (std::size_t i = 0; i < overload::kPressureCount; ++i) {
    add("qudag_overload_pressure",
        fmt::format("pressure=\"{}\"", name_of(static_cast<overload::Pressure>(i))),
        "what runs short: 0 idle, 1 the bound is reached; the worst shard", SampleKind::gauge,
        worst([i](const shard::ShardReport& r) { return r.protection.pressures[i]; }));
  }
  add("qudag_load", "", "what this node says of its load: 0 idle, 1 full; the highest shard",
      SampleKind::gauge, worst([](const shard::ShardReport& r) { return r.loads.own; }));
  for (std::size_t i = 0; i < overload::kActionCount; ++i) {
    const std::string labels =
        fmt::format("action=\"{}\"", name_of(static_cast<overload::Action>(i)));
    add("qudag_overload_action", labels, "0 not taken, up to 1; the worst shard", SampleKind::gauge,
        worst([i](const shard::ShardReport& r) { return r.protection.levels[i]; }));
    double started = 0;
    for (const shard::ShardReport& r : reports)
      started += static_cast<double>(r.protection.started[i]);
    add("qudag_overload_started_total", labels, "how often an action started", SampleKind::counter,
        started);
  }
}

void add_histogram(std::string_view name, std::string_view labels, std::string_view help,
                   const Histogram& h, std::vector<MetricSample>& out) {
  const auto add = [&](std::string_view suffix, double value, SampleKind kind) {
    out.push_back({.name = fmt::format("{}{}", name, suffix),
                   .labels = std::string(labels),
                   .help = std::string(help),
                   .kind = kind,
                   .value = value});
  };
  add("_p50", static_cast<double>(h.percentile(50)) * 1e-6, SampleKind::gauge);
  add("_p90", static_cast<double>(h.percentile(90)) * 1e-6, SampleKind::gauge);
  add("_p99", static_cast<double>(h.percentile(99)) * 1e-6, SampleKind::gauge);
  add("_max", static_cast<double>(h.max()) * 1e-6, SampleKind::gauge);
  add("_count", static_cast<double>(h.count()), SampleKind::counter);
}

}  // namespace

std::vector<MetricSample> to_metrics(const std::vector<shard::ShardReport>& reports,
                                     const memory::Bound& bound) {
  std::vector<MetricSample> out;
  for (const Row& row : rows()) {
    double sum = 0;
    for (const shard::ShardReport& report : reports) sum += row.read(report);
    out.push_back({.name = std::string(row.name),
                   .labels = std::string(row.labels),
                   .help = std::string(row.help),
                   .kind = row.kind,
                   .value = sum});
  }
  add_message_rows(reports, out);
  add_pause_rows(reports, out);
  add_overload_rows(reports, out);
  add_queue_metrics(reports, out);

  Histogram lag;
  for (const shard::ShardReport& report : reports) lag.merge(report.loop_lag_us);
  add_histogram("qudag_loop_lag_seconds", "", "how late a shard served a deadline or a task", lag,
                out);
  Histogram build;
  for (const shard::ShardReport& report : reports) build.merge(report.build_us);
  add_histogram("qudag_circuit_build_seconds", "", "from asking for a circuit to its reply", build,
                out);
  for (std::size_t c = 0; c < kClassCount; ++c) {
    Histogram delivery;
    for (const shard::ShardReport& report : reports) delivery.merge(report.delivery_us[c]);
    add_histogram("qudag_delivery_seconds",
                  fmt::format("class=\"{}\"", name_of(static_cast<Class>(c))),
                  "from send to acknowledgement", delivery, out);
  }

  const auto gauge = [&](std::string name, std::string help, double value) {
    out.push_back({.name = std::move(name),
                   .labels = "",
                   .help = std::move(help),
                   .kind = SampleKind::gauge,
                   .value = value});
  };
  add_memory_rows(bound, out);
  if (const crypto::OpenSslMemory tls = crypto::openssl_memory(); tls.counted) {
    gauge("qudag_tls_memory_bytes",
          "held by OpenSSL; lies in the parts handshakes, links, circuits",
          static_cast<double>(tls.bytes));
    out.push_back({.name = "qudag_tls_allocations_total",
                   .labels = "",
                   .help = "allocations of OpenSSL in this process",
                   .kind = SampleKind::counter,
                   .value = static_cast<double>(tls.allocations)});
  }
  gauge("qudag_memory_reserved_bytes", "reserved under the memory bound, kept shares included",
        static_cast<double>(bound.node().used()));
  gauge("qudag_memory_limit_bytes", "the memory bound",
        static_cast<double>(bound.node().bytes_max()));
  gauge("qudag_resident_bytes", "resident memory of the process",
        static_cast<double>(resident_bytes()));
  return out;
}

// ---- rows of bounded things, as the public interface shows them ---------------------------------

namespace {

QueueStatus to_status(const Bounded& row, std::optional<unsigned> shard) {
  QueueStatus out;
  out.kind = static_cast<QueueKind>(row.kind);
  out.name = row.name;
  out.level = row.level;
  out.shard = shard;
  out.when_full = row.when_full;
  out.items = row.items;
  out.items_max = row.items_max;
  out.bytes = row.bytes;
  out.bytes_max = row.bytes_max;
  out.age_max = row.age_max;
  out.oldest = row.oldest;
  out.waited_p50 = row.waited_p50;
  out.waited_p99 = row.waited_p99;
  out.waited_max = row.waited_max;
  out.entered = row.entered;
  out.left = row.left;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    if (row.drops[i] == 0) continue;
    out.drops.push_back({std::string(kDropReasonNames[i]), row.drops[i]});
  }
  return out;
}

}  // namespace

std::vector<QueueStatus> to_status(const BoundedList& rows, std::optional<unsigned> shard) {
  std::vector<QueueStatus> out;
  out.reserve(rows.size());
  for (const Bounded& row : rows) out.push_back(to_status(row, shard));
  return out;
}

}  // namespace qudag::node

namespace qudag {
bool count_tls_memory() noexcept { return crypto::count_openssl_memory(); }
}  // namespace qudag
