// What a shard does beside its work: keys made ahead, the memory bound watched, what a burst needed
// given back.
#include "node/shard/shard.h"

#include <algorithm>
#include <utility>

namespace qudag::node {

namespace {

using namespace std::chrono_literals;

// Maintenance: what a burst needed goes back to the system (docs/design/memory.md).
constexpr Duration kMaintainEvery = 5s;
constexpr Duration kMaintainNext = 10ms;          // while there is more to trim
constexpr std::size_t kTrimPieces = 1'024;        // at once, of each size: about 0.2 ms
constexpr std::uint64_t kQuietDatagrams = 1'000;  // in kMaintainEvery: buffers may go
// What ends leave behind in the process allocator, for the decision whether to trim that.
constexpr std::uint64_t kRestedBytes = 3'500;      // key contexts of a circuit
constexpr std::uint64_t kHandshakeBytes = 50'000;  // TLS objects of a link

// The memory bound, in 64ths of it: from the first on free memory goes back, and if the second is
// reached, circuits end until the third.
constexpr std::uint64_t kRelieveAt = 54;  // 84 %
constexpr std::uint64_t kReclaimAt = 58;  // 90 %
constexpr std::uint64_t kReclaimTo = 51;  // 80 %
constexpr Duration kWatchEvery = 1s;      // what the process holds; only in turns that are anyway
constexpr Duration kWatchNearly = 100ms;
constexpr std::uint64_t kWindowOneIn = 256;  // of the room there is: the window of a stream
constexpr Duration kRelieveEvery = 20ms;
constexpr Duration kReclaimEvery = 100ms;  // what a round freed is measured before the next

}  // namespace

/// Builds take keys that a worker made: four at a time, half a millisecond of its other work.
void Shard::fill_stock() {
  constexpr std::size_t kPairsAtOnce = 4;
  const std::size_t wanted = std::min(stock_.wanted(), kPairsAtOnce);
  if (wanted == 0 || filling_stock_ || phase_ != Phase::running) return;
  const auto made = std::make_shared<std::vector<crypto::KemKeyPair>>();  // owners: the two steps
  filling_stock_ = setup_.host->workers().submit(
      [made, wanted] {
        while (made->size() < wanted) {
          auto pair = crypto::KemKeyPair::generate();
          if (!pair) return;
          made->push_back(std::move(*pair));
        }
      },
      setup_.host->executor(setup_.index),
      [this, made](Now) {
        filling_stock_ = false;
        for (crypto::KemKeyPair& pair : *made) stock_.put(std::move(pair));
      });
}

// One load and a comparison or two in a turn, unless the bound is near.
void Shard::watch_memory(Now now) {
  const std::uint64_t used = setup_.bound->node().used();
  const bool is_short = used >= memory_max_ / 64 * (reclaiming_ ? kReclaimTo : kRelieveAt);
  if (is_short && now.mono >= relieve_at_) return relieve(now);
  if (!is_short) reclaiming_ = false;
  if (now.mono < watch_at_) return;
  watch_at_ = now.mono + (used >= memory_max_ / 3 * 2 ? kWatchNearly : kWatchEvery);
  size_windows(used);
  setup_.host->on_memory_watch(setup_.index, false);
}

// 1. what is free here and elsewhere goes back; 2. if the bound is still near, circuits end, whole,
// the one with the oldest queued data first, until there is room again.
void Shard::relieve(Now now) {
  give_free();
  relieve_at_ = now.mono + kRelieveEvery;
  watch_at_ = now.mono + kWatchNearly;
  size_windows(setup_.bound->node().used());
  setup_.host->on_memory_watch(setup_.index, true);
  const std::uint64_t used = setup_.bound->node().used();
  if (used >= memory_max_ / 64 * kReclaimAt) reclaiming_ = true;
  const std::uint64_t wanted = memory_max_ / 64 * kReclaimTo;
  if (used < wanted) reclaiming_ = false;
  if (!reclaiming_) return;
  reclaimed_bytes_ += circuits_.reclaim((used - wanted) / setup_.shards + 1, now);
  relieve_at_ = now.mono + kReclaimEvery;
  give_free();
}

void Shard::size_windows(std::uint64_t used) {
  const std::uint64_t room = memory_max_ - std::min(memory_max_, used);
  endpoint_->set_stream_window(
      std::clamp<std::size_t>(room / kWindowOneIn, kWindowMin, kWindowMax));
}

void Shard::give_free() {
  static_cast<void>(pool_.empty(kTrimPieces));
  endpoint_->trim_heap();
}

// Trims in small parts, so that no turn is long. What is busy is left alone: pools keep what the
// last seconds needed, buffers go only when hardly anything came.
void Shard::maintain(Now now) {
  const bool more = pool_.trim(kTrimPieces);
  maintain_at_ = now.mono + (more ? kMaintainNext : kMaintainEvery);
  if (more) return;
  stock_.rest();

  const link::EndpointStats links = endpoint_->stats();
  const runtime::SocketStats socket = setup_.socket->stats();
  Seen seen{.datagrams = socket.received_datagrams + socket.sent_datagrams,
            .handshakes = links.handshakes_done + links.handshakes_failed,
            .rested = circuits_.stats().rested,
            .trimmed = pool_.stats().trimmed};
  if (seen.datagrams - seen_.datagrams < kQuietDatagrams) {
    endpoint_->trim();
    setup_.socket->trim();
  }
  const std::uint64_t freed = (seen.handshakes - seen_.handshakes) * kHandshakeBytes +
                              (seen.rested - seen_.rested) * kRestedBytes +
                              (seen.trimmed - seen_.trimmed) * memory::kBlockCapacity[0];
  seen_ = seen;
  setup_.host->on_maintained(setup_.index, freed);
}

}  // namespace qudag::node
