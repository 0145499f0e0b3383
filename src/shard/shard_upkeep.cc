// What a shard does beside its work: keys made ahead, and what a burst needed given back. The
// memory bound is watched in protection.cc.
#include "shard/shard.h"

#include "netmap/kept.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

namespace {

using namespace std::chrono_literals;

// Maintenance: what a burst needed goes back to the system (docs/design/memory.md).
constexpr Duration kMaintainEvery = 5s;
constexpr Duration kMaintainNext = 10ms;  // while there is more to trim
constexpr Duration kKeepNetmapEvery = 10min;
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
  filling_stock_ = setup_.environment->workers().submit(
      [made, wanted] {
        while (made->size() < wanted) {
          auto pair = crypto::KemKeyPair::generate();
          if (!pair) return;
          made->push_back(std::move(*pair));
        }
      },
      setup_.environment->executor(setup_.index),
      [this, made](WorkEnd, Now) {
        filling_stock_ = false;
        for (crypto::KemKeyPair& pair : *made) stock_.put(std::move(pair));
      });
}

std::function<bool()> Shard::state_to_keep(bool all, Now now) {
  auto guards = std::make_shared<std::vector<std::byte>>();
  setup_.guards->with([&](netmap::Guards& now_held) {
    if (std::exchange(guards_kept_, now_held.version()) == now_held.version()) return;
    *guards = now_held.encode();
  });
  auto relays = std::make_shared<std::vector<netmap::Kept>>();
  if (all || now.mono >= keep_netmap_at_) {
    keep_netmap_at_ = now.mono + kKeepNetmapEvery;
    *relays = setup_.hub->worth_keeping(netmap::kKeptMax);
  }
  const auto month =
      setup_.quota ? setup_.quota->to_keep(all, now.mono) : std::optional<circuit::KeptMonth>{};
  return [state = setup_.state, guards, relays, month, quota = setup_.quota, at = now.mono] {
    bool ok = true;
    if (month) {
      ok = state->save_quota(month->encode());
      if (ok) quota->kept(*month, at);
    }
    if (!guards->empty()) ok = state->save_guards(*guards) && ok;
    if (!relays->empty()) ok = state->save_netmap(netmap::encode_kept(*relays)) && ok;
    return ok;
  };
}

/// Guards a few seconds after they changed; of the netmap a part, now and then.
void Shard::keep_state(Now now) {
  if (setup_.state == nullptr || setup_.index != 0 || keeping_state_) return;
  const auto ok = std::make_shared<bool>(false);
  keeping_state_ = setup_.environment->workers().submit(
      [work = state_to_keep(false, now), ok] { *ok = work(); }, setup_.environment->executor(0),
      [this, ok](WorkEnd, Now) {
        keeping_state_ = false;
        if (!*ok) guards_kept_ = UINT64_MAX;  // tried again the next time
      });
  if (!keeping_state_) guards_kept_ = UINT64_MAX;
}

void Shard::give_free() { protection_->give_free(); }

// Trims in small parts, so that no turn is long. What is busy is left alone: pools keep what the
// last seconds needed, buffers go only when hardly anything came.
void Shard::maintain(Now now) {
  look_at_quota(now);
  const bool more = pool_.trim(kTrimPieces);
  maintain_at_ = now.mono + (more ? kMaintainNext : kMaintainEvery);
  if (more) return;
  setup_.socket->fit(protection_->shrinks(), now.mono);
  stock_.rest();
  tell_means(now);  // descriptors and keys end by the clock
  endpoint_->look_at_links();
  if (phase_ == Phase::running) keep_state(now);

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
  const std::uint64_t freed =
      (seen.handshakes - seen_.handshakes) * kHandshakeBytes +
      (seen.rested - seen_.rested) * kRestedBytes +
      (seen.trimmed - seen_.trimmed) * memory::capacity_of(memory::BlockSize::cell);
  seen_ = seen;
  setup_.environment->on_maintained(setup_.index, freed);
}

}  // namespace qudag::shard
