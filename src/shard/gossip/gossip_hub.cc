#include "shard/gossip/gossip_hub.h"

#include <utility>

namespace qudag::shard {

namespace {

constexpr std::size_t kFramesPerTurn = 8;  // 0.2 ms each, if they are new descriptors

}  // namespace

GossipHub::GossipHub(netmap::NetmapOptions options, Rng& rng, ShardEnvironment& environment)
    : environment_(environment), netmap_(options, rng, *this) {}

Status GossipHub::add(Bytes raw, Now now) {
  now_ = now;
  auto added = netmap_.add(raw, now);
  publish(now);
  return added;
}

void GossipHub::believe(std::vector<NodeId> ids, Now now) {
  now_ = now;
  netmap_.believe(std::move(ids), now);
  publish(now);
}

std::optional<netmap::RelayTry> GossipHub::next_try(Now now) {
  now_ = now;
  auto next = netmap_.next_try(now);
  publish(now);
  return next;
}

void GossipHub::restore(std::vector<netmap::Kept> kept, Now now) {
  now_ = now;
  netmap_.restore(std::move(kept), now);
  publish(now);
}

void GossipHub::link_ready(NodeLink link, const netmap::LinkFacts& facts, Now now) {
  now_ = now;
  netmap_.on_link_ready(link, now, facts);
  publish(now);
}

void GossipHub::lost(const NodeId& relay, Now now) {
  now_ = now;
  netmap_.lost(relay, now);
}

void GossipHub::link_closed(NodeLink link, bool silent, Now now) {
  now_ = now;
  waiting_.forget(link);
  if (silent) netmap_.on_link_silent(link, now);
  netmap_.on_link_closed(link);
}

void GossipHub::frame(NodeLink link, std::uint8_t type, Bytes body, Now now) {
  if (may_serve(now) && waiting_.empty()) {
    now_ = now;
    serve(link, type, body, now);
    return publish(now);
  }
  if (!netmap_.knows(link)) return;
  if (!waiting_.make_place(link)) {
    ++stats_.frames_dropped;  // the next digest repeats what it said
    return;
  }
  waiting_.push(link, {.type = type, .body = {body.begin(), body.end()}});
}

/// One of the frames that this turn has time for. Turns differ in their time.
bool GossipHub::may_serve(Now now) {
  if (std::exchange(turn_, now.mono) != now.mono) served_ = 0;
  return served_++ < kFramesPerTurn;
}

void GossipHub::serve(NodeLink link, std::uint8_t type, Bytes body, Now now) {
  if (!netmap_.on_frame(link, type, body, now)) {
    Sibling* owner = shards_[link.shard];
    if (link.shard == 0) {
      owner->close_link(link.link, wire::EndCode::protocol, now);
    } else {
      // Should this be lost, the link's next frame says it again.
      static_cast<void>(environment_.executor(link.shard).post([owner, id = link.link](Now then) {
        owner->close_link(id, wire::EndCode::protocol, then);
      }));
    }
  }
}

bool GossipHub::give_keys(unsigned shard, const std::vector<onion::OnionKey>& keys,
                          std::uint64_t made_as) {
  Sibling* to = shards_[shard];
  return environment_.executor(shard).post_or_keep(
      [to, keys, made_as](Now) { to->set_onion_keys(keys, made_as); });
}

void GossipHub::clock_set(Now now) {
  now_ = now;
  netmap_.on_clock_set(now);
  tell_clock(now);
}

void GossipHub::time_heard(const SocketAddress& from, UnixSeconds theirs, Now now) {
  clocks_.heard(from, theirs, now);
  tell_clock(now);
}

void GossipHub::tell_clock(Now now) {
  clock_off_ = clocks_.off(now);
  if (const auto off = clocks_.to_tell(now)) environment_.on_clock_off(off->seconds, off->networks);
}

void GossipHub::on_time(Now now) {
  now_ = now;
  while (!waiting_.empty() && may_serve(now)) {
    const auto frame = waiting_.pop();
    serve(frame->key, frame->item.type, frame->item.body, now);
  }
  if (!waiting_.empty()) ++stats_.turns_used_up;
  netmap_.on_time(now);
  publish(now);
}

bool GossipHub::send(NodeLink link, std::uint8_t type, Bytes body) {
  Sibling* owner = shards_[link.shard];
  if (link.shard == 0) return owner->send_gossip(link.link, type, body);
  return environment_.executor(link.shard)
      .post([owner, id = link.link, type, copy = std::vector<std::byte>(body.begin(), body.end())](
                Now) { owner->send_gossip(id, type, copy); });
}

void GossipHub::publish(Now now) {
  if (netmap_.version() == published_) return;
  published_ = netmap_.version();
  const netmap::ViewPtr view = netmap_.view();
  shards_[0]->set_view(view, now);
  for (unsigned i = 1; i < shards_.size(); ++i) {
    Sibling* shard = shards_[i];
    // If the mailbox is full the shard keeps its older view until the next change.
    if (!environment_.executor(i).post([shard, view](Now then) { shard->set_view(view, then); })) {
      published_ = 0;
    }
  }
}

void GossipHub::report(BoundedList& out, Now now) const {
  netmap_.report(out, now);
  clocks_.report(out);
  out.push_back(bounded(Bounded::Kind::queue, "gossip frames for the next turns",
                        "the newest of the link with most", waiting_.size(), FrameQueue::kMax,
                        limits::kControlFrameBytesMax));
  out.back().drops[static_cast<std::size_t>(DropReason::items_full)] = hub_stats().frames_dropped;
}

}  // namespace qudag::shard
