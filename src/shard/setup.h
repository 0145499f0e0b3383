// What a shard is made of, and what the node's options mean for each module in it.
#pragma once

#include "circuit/circuits.h"
#include "circuit/quota/quota.h"
#include "keeper/cards.h"
#include "keeper/letters/letter_intake.h"
#include "keeper/letters/letter_room.h"
#include "keeper/registry.h"
#include "link/dialing/dial_places.h"
#include "link/dialing/warm_set.h"
#include "link/endpoint.h"
#include "memory/bound.h"
#include "memory/lent_places.h"
#include "message/messages.h"
#include "onion/key_stock.h"
#include "shard/gossip/gossip_hub.h"
#include "shard/node_guards.h"
#include "shard/pipe/shard_pipes.h"
#include "shard/protection/build_limiter.h"
#include "shard/seam/environment.h"
#include "shard/seam/state_keeper.h"

#include <qudag/options.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

namespace qudag::shard {

/// What all shards of a node lend each other.
struct LentToShards {
  LentToShards(const Limits& limits, unsigned shards)
      : links(limits.links, shards), circuits(limits.circuits, shards) {}
  memory::LentPlaces links, circuits;
};

/// All references outlive the shard.
struct ShardSetup {
  unsigned index = 0;
  unsigned shards = 1;
  const Options* options = nullptr;
  const crypto::Identity* identity = nullptr;
  std::shared_ptr<memory::Bound> bound;  // owners: node, shards, pools, buffers given out
  Rng* rng = nullptr;
  runtime::DatagramSocket* socket = nullptr;
  ShardEnvironment* environment = nullptr;
  GossipHub* hub = nullptr;
  // How hops are chosen (netmap::RoutePolicy); off only to compare.
  bool by_load = true;
  bool by_proof = true;
  message::FlowQueues* queues =
      nullptr;  // of this shard's flows; null: queues have fixed bounds only
  std::shared_ptr<onion::ReplayWindow> replays = nullptr;     // owners: all shards
  std::shared_ptr<message::Delivered> delivered = nullptr;    // owners: all shards
  std::shared_ptr<message::Unfinished> unfinished = nullptr;  // owners: all shards
  std::shared_ptr<PipesOfShards> pipes = nullptr;   // owners: all shards; null: of this one alone
  std::shared_ptr<circuit::Quota> quota = nullptr;  // owners: all shards; null: no bound
  std::shared_ptr<LentToShards> lent = nullptr;     // owners: all shards; null: nothing is lent
  std::shared_ptr<keeper::Registry> registry = nullptr;   // owners: all shards; null: its own
  std::shared_ptr<keeper::Cards> cards = nullptr;         // the same
  std::shared_ptr<keeper::LetterRoom> letters = nullptr;  // the same; null: no letters are kept
  keeper::SeenLetters* seen_letters = nullptr;  // of this shard's receivers; null: of this run only
  StateKeeper* state = nullptr;                 // what is kept over a restart; null: nothing
  std::shared_ptr<NodeGuards> guards = std::make_shared<NodeGuards>();  // owners: all shards
};

/// The part of a bound that one shard has; at least one.
inline std::size_t share(std::size_t total, unsigned shards) {
  return std::max<std::size_t>(1, (total + shards - 1) / shards);
}

/// Messages of each priority that the node has under way at most.
std::array<std::uint64_t, kPriorityCount> messages_max(const Limits& limits);

/// Builds that the node remembers: as many as it lets in, or as its share of the memory holds.
std::size_t replay_entries(const Limits& limits);
/// Builds of others that the node lets in a second: what was set, or what it can remember.
std::uint64_t builds_admitted(const Limits& limits);

memory::PoolOptions pool_options(const ShardSetup& setup);
crypto::Cipher cipher_of(const ShardSetup& setup);
BuildLimiterOptions build_limiter_options(const ShardSetup& setup);
link::DialRules dial_rules(const ShardSetup& setup);
link::WarmRules warm_rules(const ShardSetup& setup);
circuit::CircuitsOptions circuit_options(const ShardSetup& setup, onion::KeyStock& stock);
link::EndpointOptions endpoint_options(const ShardSetup& setup);
message::MessagesOptions message_options(const ShardSetup& setup);

}  // namespace qudag::shard
