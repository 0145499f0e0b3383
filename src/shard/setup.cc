#include "shard/setup.h"

#include "shard/protection/protection.h"

#include "shard/cipher.h"

#include <utility>

namespace qudag::shard {

namespace {

/// Builds of others that a turn opens: a millisecond of it.
constexpr std::size_t kBuildsPerTurn = 4;

using namespace std::chrono_literals;

static_assert(Limits{}.builds_per_second == limits::kBuildsPerSecond &&
              Limits{}.memory == limits::kMemoryBytes);

/// The part of a bound that may be none.
template <class T>
T share_of_bound(T total, unsigned shards) {
  return total == 0 ? 0 : std::max<T>(1, (total + shards - 1) / shards);
}

}  // namespace

std::array<std::uint64_t, kPriorityCount> messages_max(const Limits& limits) {
  return {limits.queue_high, limits.queue_normal, limits.queue_low};
}

// No shard has a fixed part of the node's memory: any one may fill all that the bound has room for.
memory::PoolOptions pool_options(const ShardSetup& setup) {
  const std::uint64_t memory = setup.options->limits.memory;
  memory::PoolOptions out;
  for (std::size_t i = 0; i < memory::kBlockSizeCount; ++i) {
    out.blocks_max[i] = static_cast<std::size_t>(memory / memory::kBlockCapacity[i]);
  }
  out.budget = memory::share(setup.bound, memory::Part::blocks);
  out.high_budget = memory::share(setup.bound, memory::Part::high_blocks);
  return out;
}

crypto::Cipher cipher_of(const ShardSetup& setup) {
  return cipher_on_this_machine(setup.options->cipher);
}

std::size_t replay_entries(const Limits& limits) {
  const std::size_t fit = limits.memory / limits::kReplayMemoryOneIn / limits::kReplayEntryBytes;
  if (limits.builds_per_second == 0) return fit;
  return std::min(fit, limits::replay_entries(limits.builds_per_second));
}

std::uint64_t builds_admitted(const Limits& limits) {
  return std::max<std::uint64_t>(1, limits::builds_per_second(replay_entries(limits)));
}

// Rounded down: all shards together let in no more than the replay window holds.
BuildLimiterOptions build_limiter_options(const ShardSetup& setup) {
  const Limits& limits = setup.options->limits;
  return {.per_second = std::max<std::uint64_t>(1, builds_admitted(limits) / setup.shards),
          .per_link_per_second = limits.builds_per_link};
}

/// An eighth of the links, beside them.
link::DialRules dial_rules(const ShardSetup& setup) {
  return {.dials_max = std::clamp<std::size_t>(share(setup.options->limits.links, setup.shards) / 8,
                                               4, 128)};
}

/// Never more than half of the links that a shard may have: the others are for who needs one now.
link::WarmRules warm_rules(const ShardSetup& setup) {
  const Limits& limits = setup.options->limits;
  return {.links_max = std::min(share_of_bound(limits.warm_links, setup.shards),
                                share(limits.links, setup.shards) / 2)};
}

circuit::CircuitsOptions circuit_options(const ShardSetup& setup, onion::KeyStock& stock) {
  circuit::CircuitsOptions out;
  out.stock = &stock;
  out.self = setup.identity->id();
  out.quota = setup.quota.get();
  out.memory = &setup.bound->part(memory::Part::circuits);
  out.relay = setup.options->relay;
  out.keeper = setup.options->relay && setup.options->keeper;
  out.replays = setup.replays;
  const std::size_t circuits = setup.options->limits.circuits;
  out.circuits_max = setup.lent ? circuits : share(circuits, setup.shards);
  out.places = setup.lent ? &setup.lent->circuits : nullptr;
  out.shard = setup.index;
  out.builds_per_turn = kBuildsPerTurn;
  out.building_max = share(setup.options->limits.circuits_building, setup.shards);
  return out;
}

link::EndpointOptions endpoint_options(const ShardSetup& setup) {
  link::EndpointOptions out;
  out.shard = static_cast<std::uint8_t>(setup.index);
  out.shards = static_cast<std::uint8_t>(setup.shards);
  const std::size_t links = setup.options->limits.links;
  out.links_max = setup.lent ? links : share(links, setup.shards);
  out.places = setup.lent ? &setup.lent->links : nullptr;
  out.dials_max = dial_rules(setup).dials_max;
  out.redial.retries_per_second /= setup.shards;
  out.redial.retries_at_once = std::max(4.0, out.redial.retries_at_once / setup.shards);
  out.half_open_max = share(setup.options->limits.half_open, setup.shards);
  const Limits& limits = setup.options->limits;
  out.prefix_links_max = share_of_bound(limits.links_per_prefix, setup.shards);
  out.prefix_half_open_max = share_of_bound(limits.half_open_per_prefix, setup.shards);
  out.handshakes_per_second = share_of_bound(limits.handshakes_per_second, setup.shards);
  out.prefix_handshakes_per_second = share_of_bound(limits.handshakes_per_prefix, setup.shards);
  out.link_bytes_per_second = limits.link_bytes_per_second;
  out.streams_per_link_max = limits.circuits_per_link;
  out.silence_max = 1'500ms;
  out.memory = &setup.bound->part(memory::Part::quic);
  out.handshake_memory = &setup.bound->part(memory::Part::handshakes);
  out.link_memory = &setup.bound->part(memory::Part::links);
  const std::uint64_t memory = setup.options->limits.memory;
  out.stream_window_bytes = std::clamp<std::size_t>(memory / 1024, kWindowMin, kWindowMax);
  out.long_windows_bytes = long_windows(limits, memory, setup.shards);
  out.link_window_bytes =
      std::clamp<std::size_t>(memory / kLinkWindowOneIn, kLinkWindowMin, kLinkWindowMax);
  out.workers = &setup.environment->workers();
  out.executor = &setup.environment->executor(setup.index);
  if (setup.shards > 1) {
    out.place_link = [environment = setup.environment, index = setup.index] {
      return static_cast<std::uint8_t>(environment->place_link(index));
    };
  }
  out.known = setup.options->known;
  out.dials_back = setup.options->relay;
  out.streams_shown_least = setup.options->relay ? link::kStreamsShownLeast : 1;
  out.cipher = cipher_of(setup);
  out.packet_bytes_max = setup.options->packet_bytes_max;
  out.congestion = setup.options->congestion;
  out.age_max = setup.options->link_lifetime;
  out.preferred_address = setup.options->preferred_address;
  return out;
}

message::MessagesOptions message_options(const ShardSetup& setup) {
  const Limits& limits = setup.options->limits;
  message::MessagesOptions out;
  out.self = setup.identity->id();
  out.queues = setup.queues;
  out.delivered = setup.delivered;
  out.unfinished = setup.unfinished;
  if (setup.pipes) out.pipes = setup.pipes->node;
  out.pipes_max = limits.pipes;
  out.shard = setup.index;
  out.offload = [host = setup.environment, index = setup.index](
                    std::function<void()> work, std::function<void(WorkEnd, Now)> done) {
    return host->workers().submit(std::move(work), host->executor(index), std::move(done));
  };
  // Any shard may have nearly all of them: the limiters at the door divide what there is.
  const auto most = messages_max(limits);
  std::ranges::copy(most, out.waiting_max.begin());
  out.of_all_shards = setup.shards > 1;
  const auto bytes = [](std::uint64_t total) {  // room for the largest message
    return std::max<std::uint64_t>(limits::kMessageBytesMax, total);
  };
  out.waiting_bytes_max = {bytes(limits.queue_high_bytes), bytes(limits.queue_normal_bytes),
                           bytes(limits.queue_low_bytes)};
  for (std::size_t i = 0; i < kPriorityCount; ++i) out.claims[i] = &setup.bound->claim(i);
  out.tables = &setup.bound->part(memory::Part::tables);
  return out;
}

}  // namespace qudag::shard
