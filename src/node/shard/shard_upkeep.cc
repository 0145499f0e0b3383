// What a shard does beside its work: keys made ahead, and what a burst needed given back. The
// memory bound is watched in protection.cc.
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

void Shard::give_free() { protection_->give_free(); }

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
