// The node's one netmap, on shard 0, joined to the links of all shards.
//
// Links anywhere report here (ready, closed, gossip frames) through shard 0's mailbox; what the
// netmap sends goes back to the shard that owns the link. Every change of the netmap goes out as a
// new view to all shards. A mailbox that is full drops gossip: the next digest repeats it.
// Frames wait for their turn, kFramesPerTurn of them in each, so that a flood of gossip delays
// nothing else. Limits: those of FrameQueue.
#pragma once

#include "base/link_id.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "onion/build.h"
#include "shard/gossip/clocks.h"
#include "shard/gossip/frame_queue.h"
#include "shard/seam/environment.h"
#include "shard/seam/sibling.h"
#include "telemetry/metric.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace qudag::shard {

struct GossipHubStats {
  std::uint64_t turns_used_up = 0;   // frames were left for the next turn
  std::uint64_t frames_dropped = 0;  // more than a link, or all, may have waiting
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<GossipHubStats> kGossip[] = {
    {{"qudag_turns_used_up_total",
      "Turns of the loop that left work for the next turn, by the budget that was used up.",
      Kind::counter},
     label("budget", "gossip"),
     &GossipHubStats::turns_used_up},
    {{"qudag_gossip_dropped_total", "Gossip frames dropped because too many were waiting.",
      Kind::counter},
     no_label,
     &GossipHubStats::frames_dropped},
};
static_assert(telemetry::valid(kGossip));

}  // namespace metrics

class GossipHub final : public netmap::GossipSink {
 public:
  GossipHub(netmap::NetmapOptions options, Rng& rng, ShardEnvironment& environment);

  /// All shards, in order; before the first event.
  void attach(std::vector<Sibling*> shards) { shards_ = std::move(shards); }

  Sibling* shard(unsigned index) const { return shards_[index]; }  // fixed after attach()

  // On shard 0's thread.
  Status add(Bytes raw, Now now);
  void link_ready(NodeLink link, const netmap::LinkFacts& facts, Now now);
  void link_named(NodeLink link, const NodeId& peer) { netmap_.on_link_named(link, peer); }
  void link_closed(NodeLink link, bool silent, Now now);
  void lost(const NodeId& relay, Now now);
  /// Netmap::heard.
  void heard(TimePoint at) {
    if (at == heard_) return;
    heard_ = at;
    netmap_.heard(at);
  }
  void frame(NodeLink link, std::uint8_t type, Bytes body, Now now);
  void believe(std::vector<NodeId> ids, Now now);
  std::optional<netmap::RelayTry> next_try(Now now);
  void put_off_try(const NodeId& id, Duration wait, Now now) { netmap_.put_off_try(id, wait, now); }
  TimePoint next_try_at() const { return netmap_.next_try_at(); }
  std::vector<netmap::Kept> worth_keeping(std::size_t most) { return netmap_.worth_keeping(most); }
  void restore(std::vector<netmap::Kept> kept, Now now);
  /// Passes new onion keys on to another shard. False: it has no room now.
  [[nodiscard]] bool give_keys(unsigned shard, const std::vector<onion::OnionKey>& keys,
                               std::uint64_t made_as);
  /// The wall clock was set: what was refused for its time may be right now, so all links are told
  /// at once what is here, and say what they have.
  void clock_set(Now now);
  /// A peer that we dialed says what time it is.
  void time_heard(const SocketAddress& from, UnixSeconds theirs, Now now);
  /// As of the last of these two.
  std::optional<PeerClocks::Off> clock_off() const { return clock_off_; }
  /// As it is now.
  std::optional<PeerClocks::Off> clock_off(Now now) const { return clocks_.off(now); }
  void on_time(Now now);
  TimePoint next_deadline() const {
    return waiting_.empty() ? netmap_.next_deadline() : TimePoint::min();
  }
  GossipHubStats hub_stats() const {
    return {stats_.turns_used_up, stats_.frames_dropped + waiting_.gave_way()};
  }
  netmap::NetmapStats stats() const { return netmap_.stats(); }
  netmap::ViewPtr view() const { return netmap_.view(); }
  void report(BoundedList& out, Now now) const;

 private:
  bool may_serve(Now now);
  void serve(NodeLink link, std::uint8_t type, Bytes body, Now now);
  bool send(NodeLink link, std::uint8_t type, Bytes body) override;
  void publish(Now now);
  void tell_clock(Now now);

  ShardEnvironment& environment_;
  netmap::Netmap netmap_;
  TimePoint heard_{};
  std::vector<Sibling*> shards_;
  PeerClocks clocks_;
  std::optional<PeerClocks::Off> clock_off_;
  FrameQueue waiting_;  // descriptors cost a signature each
  GossipHubStats stats_;
  TimePoint turn_{};             // in which
  std::size_t served_ = 0;       // so many frames were served
  std::uint64_t published_ = 0;  // version of the view that the shards have
  Now now_{};                    // of the call under way, for send()
};

}  // namespace qudag::shard
