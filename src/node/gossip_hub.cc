#include "node/gossip_hub.h"

#include "node/shard.h"

namespace qudag::node {

namespace {

unsigned shard_of(std::uint64_t key) { return static_cast<unsigned>(key >> 56); }

}  // namespace

GossipHub::GossipHub(netmap::NetmapOptions options, Rng& rng, ShardHost& host)
    : host_(host), netmap_(options, rng, *this) {}

Status GossipHub::add(Bytes raw, Now now) {
  now_ = now;
  auto added = netmap_.add(raw, now);
  publish(now);
  return added;
}

void GossipHub::link_ready(unsigned shard, link::LinkId link, Now now) {
  now_ = now;
  netmap_.on_link_ready(gossip_key(shard, link), now);
  publish(now);
}

void GossipHub::link_closed(unsigned shard, link::LinkId link, Now now) {
  now_ = now;
  netmap_.on_link_closed(gossip_key(shard, link));
}

void GossipHub::frame(unsigned shard, link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  now_ = now;
  if (!netmap_.on_frame(gossip_key(shard, link), type, body, now)) {
    Shard* owner = shards_[shard];
    if (shard == 0) {
      owner->close_link(gossip_key(shard, link), link::Code::protocol, now);
    } else {
      host_.executor(shard).post([owner, key = gossip_key(shard, link)](Now then) {
        owner->close_link(key, link::Code::protocol, then);
      });
    }
  }
  publish(now);
}

void GossipHub::give_keys(unsigned shard, const std::vector<onion::OnionKey>& keys) {
  Shard* to = shards_[shard];
  host_.executor(shard).post([to, keys](Now) { to->set_onion_keys(keys); });
}

void GossipHub::on_time(Now now) {
  now_ = now;
  netmap_.on_time(now);
  publish(now);
}

bool GossipHub::send(std::uint64_t link, std::uint8_t type, Bytes body) {
  const unsigned shard = shard_of(link);
  Shard* owner = shards_[shard];
  if (shard == 0) return owner->send_gossip(link, type, body);
  return host_.executor(shard).post(
      [owner, link, type, copy = std::vector<std::byte>(body.begin(), body.end())](Now) {
        owner->send_gossip(link, type, copy);
      });
}

void GossipHub::publish(Now now) {
  if (netmap_.version() == published_) return;
  published_ = netmap_.version();
  const netmap::ViewPtr view = netmap_.view();
  shards_[0]->set_view(view, now);
  for (unsigned i = 1; i < shards_.size(); ++i) {
    Shard* shard = shards_[i];
    // If the mailbox is full the shard keeps its older view until the next change.
    if (!host_.executor(i).post([shard, view](Now then) { shard->set_view(view, then); })) {
      published_ = 0;
    }
  }
}

}  // namespace qudag::node
