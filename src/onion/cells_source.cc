// A source's cells. All hops count in step, so what one cell needs beside the AEAD passes is made
// ahead for up to 32 cells at a time: forward the 80 bytes behind the payload (random bytes, then
// the known tail), backward the pieces that relays drop.
#include "base/assert.h"
#include "onion/cells.h"
#include "onion/key_schedule.h"
#include "onion/layers.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace qudag::onion {

using limits::kCellReserveBytes;
using limits::kCellsPerKey;
using limits::kHopsMax;
using limits::kTagBytes;

struct SourceCrypto::State {
  /// One direction over all hops.
  struct Direction {
    std::vector<Key256> chains;
    std::vector<crypto::Aead> keys;          // of this epoch; empty: to be made
    std::vector<crypto::KeyStream> fillers;  // forward only, of all hops but the last
    std::vector<crypto::Aead*> pointers;     // to keys, as layers.h takes them
    std::uint64_t cells = 0;                 // in this epoch
    std::size_t ahead = 0;                   // units made ahead ...
    std::size_t used = 0;                    // ... and how many of them are used
    std::array<std::byte, kRunMax * kCellReserveBytes> units;
  };

  State(std::vector<HopSecrets> hops, Priority c, Rng& rng)
      : priority(c), reserve(random_key(rng)) {
    for (auto& hop : hops) {
      ciphers.push_back(hop.cipher);
      forward.chains.push_back(std::move(hop.forward_chain));
      backward.chains.push_back(std::move(hop.backward_chain));
    }
  }

  static Key256 random_key(Rng& rng) {
    Key256 key;
    rng.fill(key.span());
    return key;
  }

  std::size_t hops() const { return forward.chains.size(); }
  const Shape& shape() const { return cell_shape(priority); }

  void make_keys(Direction& d, crypto::Aead::Uses use, bool with_fillers) const {
    d.keys.reserve(hops());
    for (std::size_t i = 0; i < hops(); ++i) {
      d.keys.emplace_back(cell_key(d.chains[i]), use | crypto::Aead::kKeystream, ciphers[i]);
    }
    for (auto& key : d.keys) d.pointers.push_back(&key);
    for (std::size_t i = 0; with_fillers && i + 1 < hops(); ++i) {
      d.fillers.emplace_back(filler_key(d.chains[i]));
    }
  }

  void count(Direction& d) const {
    ++d.used;
    if (++d.cells < kCellsPerKey) return;
    for (Key256& chain : d.chains) advance_chain(chain);
    d.keys.clear();
    d.pointers.clear();
    d.fillers.clear();
    d.cells = 0;
  }

  // How many units to make ahead: never beyond the epoch.
  static std::size_t run_of(const Direction& d) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(kRunMax, kCellsPerKey - d.cells));
  }

  // The bytes behind the payload of the next cell.
  const std::byte* next_reserve() {
    Direction& d = forward;
    if (d.used == d.ahead) {
      if (d.keys.empty()) make_keys(d, crypto::Aead::kSeal, true);
      d.ahead = run_of(d);
      d.used = 0;
      std::array<std::byte, (kHopsMax - 1) * kRunMax * kTagBytes> filler_bytes;
      std::array<Bytes, kHopsMax> fillers;
      for (std::size_t i = 0; i + 1 < hops(); ++i) {
        const MutableBytes piece =
            MutableBytes(filler_bytes).subspan(i * kRunMax * kTagBytes, d.ahead * kTagBytes);
        d.fillers[i].next(piece);
        fillers[i] = piece;
      }
      const MutableBytes units = MutableBytes(d.units).first(d.ahead * kCellReserveBytes);
      reserve.next(units);
      forward_tail_run(shape(), d.pointers, d.cells, d.ahead, fillers, kCellReserveBytes, units);
    }
    return d.units.data() + d.used * kCellReserveBytes;
  }

  // The pieces that relays dropped from the next cell, in the order of the layers.
  const std::byte* next_dropped() {
    Direction& d = backward;
    const std::size_t stride = (hops() - 1) * kTagBytes;
    if (d.used == d.ahead) {
      if (d.keys.empty()) make_keys(d, crypto::Aead::kOpen, false);
      d.ahead = run_of(d);
      d.used = 0;
      backward_tails_run(shape(), d.pointers, d.cells, d.ahead,
                         MutableBytes(d.units).first(d.ahead * stride));
    }
    return d.units.data() + d.used * stride;
  }

  Priority priority;
  std::vector<crypto::Cipher> ciphers;  // of the hops
  crypto::KeyStream reserve;            // random bytes that nobody else can compute
  Direction forward;
  Direction backward;
};

SourceCrypto::SourceCrypto(std::vector<HopSecrets> hops, Priority priority, Rng& rng) {
  QUDAG_ASSERT(!hops.empty() && hops.size() <= kHopsMax);
  state_ = std::make_unique<State>(std::move(hops), priority, rng);
}

SourceCrypto::~SourceCrypto() = default;
SourceCrypto::SourceCrypto(SourceCrypto&&) noexcept = default;
SourceCrypto& SourceCrypto::operator=(SourceCrypto&&) noexcept = default;

void SourceCrypto::seal(memory::Block& payload) {
  State& s = *state_;
  QUDAG_ASSERT(payload.size() == payload_bytes(s.priority));
  const std::byte* reserve = s.next_reserve();
  payload.append(kCellReserveBytes);
  std::memcpy(payload.data() + payload_bytes(s.priority), reserve, kCellReserveBytes);

  const crypto::Nonce nonce = crypto::counter_nonce(s.forward.cells);
  for (std::size_t hop = s.hops(); hop-- > 0;) {
    payload.prepend(kTagBytes);
    s.forward.keys[hop].seal(nonce, {}, payload.bytes().subspan(kTagBytes),
                             std::span<std::byte, kTagBytes>(payload.data(), kTagBytes));
    if (hop > 0) payload.drop_back(kTagBytes);  // the filler that hop - 1 will append
  }
  s.count(s.forward);
}

std::optional<std::size_t> SourceCrypto::open(memory::Block& cell) {
  State& s = *state_;
  if (cell.size() != cell_bytes(s.priority)) return 0;
  const std::byte* dropped = s.next_dropped();
  const crypto::Nonce nonce = crypto::counter_nonce(s.backward.cells);
  for (std::size_t hop = 0; hop < s.hops(); ++hop) {
    if (hop > 0) {
      cell.append(kTagBytes);
      std::memcpy(cell.data() + cell.size() - kTagBytes, dropped + (hop - 1) * kTagBytes,
                  kTagBytes);
    }
    if (!s.backward.keys[hop].open(nonce, {}, cell.bytes().subspan(kTagBytes),
                                   std::span<const std::byte, kTagBytes>(cell.data(), kTagBytes))) {
      return hop;
    }
    cell.drop_front(kTagBytes);
  }
  const auto tail = cell.bytes().last(kCellReserveBytes);
  if (std::ranges::any_of(tail, [](std::byte b) { return b != std::byte{0}; })) return kTailNotZero;
  cell.drop_back(kCellReserveBytes);
  s.count(s.backward);
  return std::nullopt;
}

}  // namespace qudag::onion
