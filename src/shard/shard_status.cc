// What a shard tells of itself: to status, metrics and the list of everything bounded.
#include "shard/shard.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

std::size_t Shard::relays_known() const { return view_->relays().size(); }

ShardReport Shard::report() const {
  ShardReport out;
  out.links = endpoint_->links().size();
  out.circuits = circuits_.size();
  out.nodes_known = nodes_known();
  out.relays_known = relays_known();
  out.endpoint = endpoint_->stats();
  out.circuit = circuits_.stats();
  out.hops = circuits_.hops();
  out.build_keys_ahead = stock_.taken();
  out.build_keys_made = stock_.missed();
  out.message = messages_->stats();
  if (setup_.index == 0) {
    out.netmap = setup_.hub->stats();
    if (const auto off = setup_.hub->clock_off()) out.clock_off_s = off->seconds;
    out.gossip = setup_.hub->hub_stats();
  }
  out.link_requests = transport_.requests();
  out.warm = warm_.stats();
  out.loads = load_reports_.stats();
  if (setup_.index == 0) {
    out.first_hops = setup_.guards->with([](const netmap::Guards& g) { return g.choices; });
  }
  out.limiter = transport_.limiter().stats();
  out.dials = transport_.dials();
  out.protection = protection_->report();
  out.turns_reading_used_up = turns_reading_used_up_;
  out.socket = setup_.socket->stats();
  out.pool = pool_.stats();
  out.routes = routes_.stats();
  out.build_us = routes_.build_us().all();
  for (std::size_t c = 0; c < kPriorityCount; ++c) out.delivery_us[c] = delivery_us_[c].all();
  return out;
}

void Shard::add_recent(ShardReport& out, Now now) const {
  out.recent_build_us = routes_.build_us().recent(now.mono);
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    out.recent_delivery_us[c] = delivery_us_[c].recent(now.mono);
  }
}

void Shard::report(BoundedList& out, Now now) const {
  using Kind = Bounded::Kind;
  messages_->report(out, now);
  circuits_.report(out);
  endpoint_->report(out);
  load_reports_.report(out, share(setup_.options->limits.links, setup_.shards));
  transport_.report(out, 2 * share(setup_.options->limits.circuits_building, setup_.shards));
  warm_.report(out);
  if (service_) service_->report(out);
  memory::report("blocks of a shard", pool_options(setup_), pool_.stats(), out);
  const std::size_t sends = message_options(setup_).sends_max();
  out.push_back(bounded(Kind::table, "completions of sends", "one for each message",
                        pending_.size(), sends, sizeof(Pending)));
  setup_.socket->report(out);
  if (setup_.index != 0) return;
  setup_.hub->report(out, now);
  const std::size_t first_hops =
      setup_.guards->with([](const netmap::Guards& g) { return g.circuits.size(); });
  out.push_back(bounded(Kind::table, "first hops of our circuits", "not counted", first_hops,
                        netmap::FirstHops::kEntriesMax, sizeof(NodeId) + 48));
  if (setup_.replays) {
    out.push_back(bounded(Kind::table, "builds seen (replay window)", "refuse",
                          setup_.replays->size(), setup_.replays->entries_max(),
                          onion::ReplayWindow::kEntryBytes));
  }
}

// The public states are the links' and circuits' own.
static_assert(static_cast<int>(PeerState::ready) == static_cast<int>(link::LinkState::ready));
static_assert(static_cast<int>(PeerState::closed) == static_cast<int>(link::LinkState::closed));
static_assert(static_cast<int>(CircuitRole::source) ==
              static_cast<int>(circuit::CircuitRole::source));
static_assert(static_cast<int>(CircuitRole::destination) ==
              static_cast<int>(circuit::CircuitRole::destination));

std::vector<PeerStatus> Shard::peers() const {
  std::vector<PeerStatus> out;
  for (const link::LinkInfo& info : endpoint_->links()) {
    out.push_back({.id = info.peer,
                   .address = info.remote,
                   .state = static_cast<PeerState>(info.state),
                   .dialed = info.dialer,
                   .tls_group = info.tls_group,
                   .tls_signature = info.tls_signature,
                   .shard = setup_.index,
                   .age = info.age,
                   .rtt = info.smoothed_rtt,
                   .bytes_in = info.bytes_in,
                   .bytes_out = info.bytes_out,
                   .circuits = info.streams});
  }
  return out;
}

std::vector<CircuitStatus> Shard::circuits() const {
  std::vector<CircuitStatus> out;
  for (const circuit::CircuitInfo& info : circuits_.list()) {
    CircuitStatus status;
    status.id = info.id.value;
    status.shard = setup_.index;
    status.role = static_cast<CircuitRole>(info.role);
    status.priority = info.priority;
    status.ready = info.ready;
    status.age = info.age;
    status.cells_forward = info.cells_forward;
    status.cells_backward = info.cells_backward;
    if (info.previous.index >= 0) {
      if (const auto link = endpoint_->info(info.previous.link)) {
        status.previous = link->peer;
        status.previous_address = link->remote;
      }
    }
    if (info.next.index >= 0) {
      if (const auto link = endpoint_->info(info.next.link)) {
        status.next = link->peer;
        status.next_address = link->remote;
      }
    }
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace qudag::shard
