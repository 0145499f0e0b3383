// What a shard tells about itself in one go; node adds the shards up into status and metrics.
#pragma once

#include "base/bounded.h"
#include "base/histogram.h"
#include "circuit/circuits.h"
#include "link/dialing/dial_places.h"
#include "link/endpoint.h"
#include "memory/block.h"
#include "memory/bound.h"
#include "message/messages.h"
#include "netmap/netmap.h"
#include "netmap/routes/route.h"
#include "runtime/socket.h"
#include "shard/gossip/gossip_hub.h"
#include "shard/protection/build_limiter.h"
#include "shard/protection/load_reports.h"
#include "shard/protection/protection.h"
#include "shard/route_source.h"
#include "shard/warm_links.h"
#include "telemetry/metric.h"

#include <array>
#include <optional>
#include <vector>

namespace qudag::shard {

struct ShardReport {
  std::size_t links = 0;
  std::size_t circuits = 0;
  std::size_t nodes_known = 0;
  std::size_t relays_known = 0;
  bool joined = false;                      // of the row that is the node's own
  std::optional<bool> reachable;            // the same
  std::optional<std::int64_t> clock_off_s;  // shard 0 only
  std::uint64_t loop_turns = 0;
  std::uint64_t loop_sleeps = 0;
  std::uint64_t loop_rests_awake = 0;
  std::array<std::uint64_t, kPriorityCount> send_pauses{};  // counted by the limiter
  Histogram loop_lag_us;
  TimeHistogram loop_turn;
  link::EndpointStats endpoint;
  circuit::CircuitsStats circuit;
  circuit::HopStats hops;
  std::uint64_t build_keys_ahead = 0;  // ephemeral keys of builds: from the stock, made in the turn
  std::uint64_t build_keys_made = 0;
  message::MessagesStats message;
  netmap::NetmapStats netmap;  // shard 0 only
  GossipHubStats gossip;       // shard 0 only
  LinkRequests link_requests{};
  WarmStats warm;
  RouteStats routes;
  LoadReportStats loads;
  netmap::Guards::Choices first_hops;  // shard 0 only: they are the node's
  BuildLimiterStats limiter;
  link::DialStats dials;  // for circuits of others
  ProtectionReport protection;
  std::uint64_t turns_reading_used_up = 0;
  runtime::SocketStats socket;
  memory::PoolStats pool;
  BoundedList bounded;                                // queues, pools, tables
  Histogram build_us;                                 // circuit builds that succeeded
  std::array<Histogram, kPriorityCount> delivery_us;  // send() to acknowledgement
  // The same of the last one to two minutes: see Shard::add_recent().
  Histogram recent_build_us;
  std::array<Histogram, kPriorityCount> recent_delivery_us;
};

namespace metrics {

using telemetry::each, telemetry::kPriorityNames, telemetry::Kind, telemetry::label,
    telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<ShardReport> kShard[] = {
    {{"qudag_links", "Links that are held now.", Kind::gauge}, no_label, &ShardReport::links},
    {{"qudag_circuits", "Circuits that are held now, in all roles.", Kind::gauge},
     no_label,
     &ShardReport::circuits},
    {{"qudag_joined",
      "Whether a link is ready and relays for a circuit of default length are known: 1 or 0.",
      Kind::gauge},
     no_label,
     [](const ShardReport& s) { return s.joined ? 1.0 : 0.0; }},
    {{"qudag_reachable",
      "Whether others reach the node at an address that it publishes: 1; 0 while nobody has.",
      Kind::gauge},
     no_label,
     [](const ShardReport& s) { return s.reachable == true ? 1.0 : 0.0; }},
    {{"qudag_clock_off_seconds",
      "How far the wall clock is ahead of the peers, by the median of their networks; 0 while it "
      "is not known.",
      Kind::gauge},
     no_label,
     [](const ShardReport& s) { return static_cast<double>(s.clock_off_s.value_or(0)); }},
    {{"qudag_loop_turns_total", "Turns of the event loops.", Kind::counter},
     no_label,
     &ShardReport::loop_turns},
    {{"qudag_loop_rests_total", "Times that an event loop had nothing to do, and how it waited.",
      Kind::counter},
     label("how", "asleep"),
     &ShardReport::loop_sleeps},
    {same, label("how", "awake"), &ShardReport::loop_rests_awake},
    {{"qudag_loop_lag_seconds", "How late an event loop served a deadline or a task.",
      Kind::seconds},
     no_label,
     &ShardReport::loop_lag_us},
    {{"qudag_loop_turn_seconds",
      "How long turns of the event loops took; what comes meanwhile waits for the next one.",
      Kind::seconds},
     no_label,
     &ShardReport::loop_turn},
    {{"qudag_turns_used_up_total",
      "Turns of the loop that left work for the next turn, by the budget that was used up.",
      Kind::counter},
     label("budget", "read"),
     &ShardReport::turns_reading_used_up},
    {{"qudag_send_pauses_total",
      "Times that senders were paused because their priority, or their flow, had no room.",
      Kind::counter},
     each("priority", kPriorityNames),
     [](const ShardReport& s, std::size_t i) { return static_cast<double>(s.send_pauses[i]); }},
    {{"qudag_build_keys_total",
      "Ephemeral keys of circuits that this node built, by when they were made.", Kind::counter},
     label("made", "ahead"),
     &ShardReport::build_keys_ahead},
    {same, label("made", "in_turn"), &ShardReport::build_keys_made},
    {{"qudag_first_hops_total",
      "First hops chosen: the least loaded guard, the only guard that suits, or no guard.",
      Kind::counter},
     label("by", "least"),
     [](const ShardReport& s) { return static_cast<double>(s.first_hops.least); }},
    {same, label("by", "only"),
     [](const ShardReport& s) { return static_cast<double>(s.first_hops.only); }},
    {same, label("by", "other"),
     [](const ShardReport& s) { return static_cast<double>(s.first_hops.other); }},
    {{"qudag_circuit_build_seconds", "Time from the request for a circuit until it is ready.",
      Kind::seconds},
     no_label,
     &ShardReport::build_us},
    {{"qudag_delivery_seconds", "Time from the send of a message until its acknowledgement.",
      Kind::seconds},
     each("priority", kPriorityNames),
     [](const ShardReport& s, std::size_t i) -> const Histogram& { return s.delivery_us[i]; }},
};
static_assert(telemetry::valid(kShard));

}  // namespace metrics

}  // namespace qudag::shard
