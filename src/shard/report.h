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
#include "shard/warm_links.h"

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
  std::optional<std::int64_t> clock_off_s;  // shard 0 only
  std::uint64_t loop_turns = 0;
  std::uint64_t loop_sleeps = 0;
  std::uint64_t loop_rests_awake = 0;
  std::array<std::uint64_t, kClassCount> send_pauses{};  // counted by the limiter
  Histogram loop_lag_us;
  link::EndpointStats endpoint;
  circuit::CircuitsStats circuit;
  std::uint64_t build_keys_ahead = 0;  // ephemeral keys of builds: from the stock, made in the turn
  std::uint64_t build_keys_made = 0;
  message::MessagesStats message;
  netmap::NetmapStats netmap;  // shard 0 only
  GossipHubStats gossip;       // shard 0 only
  LinkRequests link_requests{};
  WarmStats warm;
  LoadReportStats loads;
  netmap::Guards::Choices first_hops;  // shard 0 only: they are the node's
  BuildLimiterStats limiter;
  link::DialStats dials;  // for circuits of others
  ProtectionReport protection;
  std::uint64_t turns_reading_used_up = 0;
  runtime::SocketStats socket;
  memory::PoolStats pool;
  BoundedList bounded;                             // queues, pools, tables
  Histogram build_us;                              // circuit builds that succeeded
  std::array<Histogram, kClassCount> delivery_us;  // send() to acknowledgement
};

}  // namespace qudag::shard
