// What the message layer counts, and what the metrics page says of it.
#pragma once

#include "telemetry/metric.h"

#include <qudag/message.h>
#include <array>
#include <cstdint>
#include <numeric>

namespace qudag::message {

struct MessagesStats {
  std::array<std::uint64_t, kPriorityCount> accepted{}, delivered{}, expired{}, refused{}, failed{},
      stored{};
  std::array<std::uint64_t, kPriorityCount> received{};
  // Bytes of messages in DATA frames, first transmissions only; those of later ones; and payload
  // bytes taken by the application.
  std::array<std::uint64_t, kPriorityCount> sent_bytes{};
  std::uint64_t bytes_again = 0;
  std::array<std::uint64_t, kPriorityCount> received_bytes{};
  std::uint64_t resumed = 0;  // went on over another circuit from what the destination held
  // Of messages to this node whose circuit ended.
  std::uint64_t unfinished_kept = 0, unfinished_resumed = 0, unfinished_expired = 0;
  std::uint64_t resent = 0, duplicates = 0, assemblies_dropped = 0, assemblies_stalled = 0;
  std::uint64_t frames_malformed = 0, credit_violations = 0, signatures_bad = 0, signatures_old = 0;
  std::uint64_t signed_off_loop = 0, verified_off_loop = 0, signatures_put_off = 0;
  std::uint64_t refused_memory = 0, refused_queue = 0, refused_no_receiver = 0;
  std::uint64_t bytes_copied = 0;
  std::uint64_t builds_hedged = 0;
  std::uint64_t circuits_silent = 0;
  std::uint64_t ridden = 0;  // messages in builds, each time
  std::uint64_t waiting = 0, in_flight = 0, flows = 0;
  // Pipes: there now; opened here, and by others; how those ended.
  std::uint64_t pipes = 0, pipes_parked = 0;
  std::uint64_t pipes_opened = 0, pipes_answered = 0, pipes_refused = 0;
  std::uint64_t pipes_offered = 0, pipes_turned_away = 0;
  std::array<std::uint64_t, 3> pipes_ended{};  // PipeEnd::How
  std::uint64_t pipes_moved = 0;
  std::uint64_t pipe_bytes_sent = 0, pipe_bytes_again = 0, pipe_bytes_received = 0;

  std::uint64_t bytes_sent() const {
    return std::accumulate(sent_bytes.begin(), sent_bytes.end(), std::uint64_t{0});
  }
  std::uint64_t bytes_received() const {
    return std::accumulate(received_bytes.begin(), received_bytes.end(), std::uint64_t{0});
  }
};

namespace metrics {

using telemetry::kPriorityNames, telemetry::Kind, telemetry::label, telemetry::no_label,
    telemetry::same;

inline constexpr telemetry::Metric<MessagesStats> kMessages[] = {
    {{"qudag_messages_total",
      "Messages accepted from applications, by how they ended; received: taken by an application "
      "here.",
      Kind::counter},
     label("result", "accepted").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.accepted[i]); }},
    {same, label("result", "delivered").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.delivered[i]); }},
    {same, label("result", "expired").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.expired[i]); }},
    {same, label("result", "refused").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.refused[i]); }},
    {same, label("result", "failed").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.failed[i]); }},
    {same, label("result", "stored").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.stored[i]); }},
    {same, label("result", "received").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.received[i]); }},
    {{"qudag_messages_waiting", "Messages that wait to be sent.", Kind::gauge},
     no_label,
     &MessagesStats::waiting},
    {{"qudag_messages_in_flight", "Messages that were sent and are not acknowledged yet.",
      Kind::gauge},
     no_label,
     &MessagesStats::in_flight},
    {{"qudag_message_bytes_total",
      "Bytes of payloads, sent for the first time and taken by applications.", Kind::counter},
     label("direction", "out").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) { return static_cast<double>(s.sent_bytes[i]); }},
    {same, label("direction", "in").each("priority", kPriorityNames),
     [](const MessagesStats& s, std::size_t i) {
       return static_cast<double>(s.received_bytes[i]);
     }},
    {{"qudag_messages_resent_total", "Messages that were sent again over another circuit.",
      Kind::counter},
     no_label,
     &MessagesStats::resent},
    {{"qudag_message_bytes_again_total",
      "Bytes of payloads that were sent before, over another circuit.", Kind::counter},
     no_label,
     &MessagesStats::bytes_again},
    {{"qudag_messages_resumed_total",
      "Messages that went on over another circuit, from the bytes that the destination had.",
      Kind::counter},
     no_label,
     &MessagesStats::resumed},
    {{"qudag_messages_unfinished_total",
      "Large messages to this node whose circuit ended: what came of them was kept; their sender "
      "went on with them; their time was over.",
      Kind::counter},
     label("what", "kept"),
     &MessagesStats::unfinished_kept},
    {same, label("what", "resumed"), &MessagesStats::unfinished_resumed},
    {same, label("what", "expired"), &MessagesStats::unfinished_expired},
    {{"qudag_builds_hedged_total",
      "Builds of circuits that were begun beside a late one, over other relays.", Kind::counter},
     no_label,
     &MessagesStats::builds_hedged},
    {{"qudag_circuits_silent_total",
      "Circuits of this node that it left because the other end did not answer.", Kind::counter},
     no_label,
     &MessagesStats::circuits_silent},
    {{"qudag_messages_ridden_total",
      "Messages that left in the build of their circuit, counted for each build.", Kind::counter},
     no_label,
     &MessagesStats::ridden},
    {{"qudag_messages_duplicate_total", "Messages that arrived again and were not delivered twice.",
      Kind::counter},
     no_label,
     &MessagesStats::duplicates},
    {{"qudag_messages_turned_away_total", "Messages for this node that it refused, by the reason.",
      Kind::counter},
     label("reason", "memory"),
     &MessagesStats::refused_memory},
    {same, label("reason", "queue"), &MessagesStats::refused_queue},
    {same, label("reason", "no_receiver"), &MessagesStats::refused_no_receiver},
    {same, label("reason", "stalled"), &MessagesStats::assemblies_stalled},
    {{"qudag_frames_malformed_total",
      "Payloads of cells that were malformed; each ended its circuit.", Kind::counter},
     no_label,
     &MessagesStats::frames_malformed},
    {{"qudag_signatures_bad_total", "Signed messages whose signature did not verify.",
      Kind::counter},
     no_label,
     &MessagesStats::signatures_bad},
    {{"qudag_signatures_old_total",
      "Signed messages whose time is too far from the clock of this node.", Kind::counter},
     no_label,
     &MessagesStats::signatures_old},
    {{"qudag_signatures_total", "Signatures of messages that workers made or verified.",
      Kind::counter},
     label("of", "sent"),
     &MessagesStats::signed_off_loop},
    {same, label("of", "received"), &MessagesStats::verified_off_loop},
    {{"qudag_signatures_put_off_total",
      "Signatures that found the queue of the workers full and were tried again.", Kind::counter},
     no_label,
     &MessagesStats::signatures_put_off},
    {{"qudag_pipes", "Pipes that are there, at either end.", Kind::gauge},
     no_label,
     &MessagesStats::pipes},
    {{"qudag_pipes_parked", "Pipes of others that have no circuit now.", Kind::gauge},
     no_label,
     &MessagesStats::pipes_parked},
    {{"qudag_pipes_opened_total",
      "Pipes: asked for here; of them, answered by their service and refused by their destination; "
      "offered to services here; refused by this node itself.",
      Kind::counter},
     label("what", "asked"),
     &MessagesStats::pipes_opened},
    {same, label("what", "answered"), &MessagesStats::pipes_answered},
    {same, label("what", "refused"), &MessagesStats::pipes_refused},
    {same, label("what", "offered"), &MessagesStats::pipes_offered},
    {same, label("what", "turned_away"), &MessagesStats::pipes_turned_away},
    {{"qudag_pipes_ended_total", "Pipes that ended, at either end, by how.", Kind::counter},
     label("how", "finished"),
     [](const MessagesStats& s, std::size_t) { return static_cast<double>(s.pipes_ended[0]); }},
    {same, label("how", "reset"),
     [](const MessagesStats& s, std::size_t) { return static_cast<double>(s.pipes_ended[1]); }},
    {same, label("how", "lost"),
     [](const MessagesStats& s, std::size_t) { return static_cast<double>(s.pipes_ended[2]); }},
    {{"qudag_pipes_moved_total", "Times that a pipe went on over another circuit.", Kind::counter},
     no_label,
     &MessagesStats::pipes_moved},
    {{"qudag_pipe_bytes_total",
      "Bytes of pipes: sent for the first time, sent again over another circuit, received.",
      Kind::counter},
     label("what", "sent"),
     &MessagesStats::pipe_bytes_sent},
    {same, label("what", "again"), &MessagesStats::pipe_bytes_again},
    {same, label("what", "received"), &MessagesStats::pipe_bytes_received},
    {{"qudag_bytes_copied_total", "Bytes copied by a module, sealing of cells and packets apart.",
      Kind::counter},
     label("module", "message"),
     &MessagesStats::bytes_copied},
};
static_assert(telemetry::valid(kMessages));

}  // namespace metrics
}  // namespace qudag::message
