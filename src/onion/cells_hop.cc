// A hop's cells. Per cell: one AEAD pass over the encrypted part, in place, and 16 bytes of filler
// from a read-ahead. At the last cell of an epoch the chain moves on and the contexts are dropped.
#include "base/assert.h"
#include "onion/cells.h"
#include "onion/key_schedule.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace qudag::onion {

using limits::kCellReserveBytes;
using limits::kTagBytes;

namespace {

constexpr std::size_t kFillersAhead = 32;

/// The fillers of one epoch, read ahead in batches.
class FillerStream {
 public:
  /// `skip` fillers were used before the contexts were put away.
  FillerStream(const Key256& key, std::size_t skip) : stream_(key) {
    refill();
    for (; skip > kFillersAhead; skip -= kFillersAhead) refill();
    used_ = skip;
  }

  void next(std::byte* out) {
    if (used_ == kFillersAhead) refill();
    std::memcpy(out, ahead_.data() + used_ * kTagBytes, kTagBytes);
    ++used_;
  }

 private:
  void refill() {
    stream_.next(ahead_);
    used_ = 0;
  }

  crypto::KeyStream stream_;
  std::array<std::byte, kFillersAhead * kTagBytes> ahead_;
  std::size_t used_ = 0;
};

std::span<std::byte, kTagBytes> tag_of(memory::Block& cell) {
  return std::span<std::byte, kTagBytes>(cell.data(), kTagBytes);
}

}  // namespace

struct HopCrypto::Opener {
  Opener(const Key256& chain, crypto::Cipher cipher)
      : aead(cell_key(chain), crypto::Aead::kOpen, cipher) {}
  crypto::Aead aead;
  std::optional<FillerStream> filler;  // relays only
};

struct HopCrypto::Sealer {
  Sealer(const Key256& chain, crypto::Cipher cipher)
      : aead(cell_key(chain), crypto::Aead::kSeal, cipher) {}
  crypto::Aead aead;
};

void HopCrypto::ContextDeleter::operator()(Opener* opener) const noexcept { delete opener; }
void HopCrypto::ContextDeleter::operator()(Sealer* sealer) const noexcept { delete sealer; }

HopCrypto::HopCrypto(HopSecrets secrets, Priority priority)
    : forward_chain_(std::move(secrets.forward_chain)),
      backward_chain_(std::move(secrets.backward_chain)),
      cls_(priority),
      cipher_(secrets.cipher) {}

void HopCrypto::rest() noexcept {
  opener_.reset();
  sealer_.reset();
}

// Verifies and opens; the tag stays in front. The caller counts the cell when it is done with it.
bool HopCrypto::open_layer(memory::Block& cell) {
  if (cell.size() != cell_bytes(cls_)) return false;
  if (!opener_) opener_.reset(new Opener(forward_chain_, cipher_));
  return opener_->aead.open(crypto::counter_nonce(forward_cells_), {},
                            cell.bytes().subspan(kTagBytes), tag_of(cell));
}

bool HopCrypto::forward(memory::Block& cell) {
  if (!open_layer(cell)) return false;
  auto& filler = opener_->filler;
  if (!filler) filler.emplace(filler_key(forward_chain_), forward_cells_);
  cell.drop_front(kTagBytes);
  cell.append(kTagBytes);
  filler->next(cell.data() + cell.size() - kTagBytes);
  count_forward();
  return true;
}

bool HopCrypto::open(memory::Block& cell) {
  if (!open_layer(cell)) return false;
  cell.drop_front(kTagBytes);
  cell.drop_back(kCellReserveBytes);
  count_forward();
  return true;
}

void HopCrypto::count_forward() {
  if (++forward_cells_ < limits::kCellsPerKey) return;
  advance_chain(forward_chain_);
  forward_cells_ = 0;
  opener_.reset();
}

// The window is the text of the layer, U - 16 bytes; becomes the cell.
void HopCrypto::seal_layer(memory::Block& text) {
  QUDAG_ASSERT(text.size() == cell_bytes(cls_) - kTagBytes);
  if (!sealer_) sealer_.reset(new Sealer(backward_chain_, cipher_));
  text.prepend(kTagBytes);
  sealer_->aead.seal(crypto::counter_nonce(backward_cells_), {}, text.bytes().subspan(kTagBytes),
                     tag_of(text));
  if (++backward_cells_ < limits::kCellsPerKey) return;
  advance_chain(backward_chain_);
  backward_cells_ = 0;
  sealer_.reset();
}

void HopCrypto::backward(memory::Block& cell) {
  cell.drop_back(kTagBytes);
  seal_layer(cell);
}

void HopCrypto::seal(memory::Block& payload) {
  QUDAG_ASSERT(payload.size() == payload_bytes(cls_));
  payload.append(kCellReserveBytes);
  std::memset(payload.data() + payload_bytes(cls_), 0, kCellReserveBytes);
  seal_layer(payload);
}

}  // namespace qudag::onion
