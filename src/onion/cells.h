// Cells: sealed and opened in place, by the source (all layers) and by a hop (its own).
//
// Every function works on a Block whose window is the cell; layers come off and on by moving the
// window within headroom and tailroom. A false return ends the circuit: the object must not be used
// again. Counters, epochs and key changes are inside. Not thread-safe; one owner.
#pragma once

#include "base/limits.h"
#include "crypto/aead.h"
#include "memory/block.h"
#include "onion/build.h"
#include "onion/layers.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::onion {

constexpr std::size_t cell_bytes(Priority priority) {
  return priority == Priority::low ? limits::kBulkCellBytes : limits::kSmallCellBytes;
}
constexpr std::size_t payload_bytes(Priority priority) {
  return cell_bytes(priority) - limits::kCellOverheadBytes;
}
constexpr memory::BlockSize block_size(Priority priority) {
  return priority == Priority::low ? memory::BlockSize::bulk : memory::BlockSize::cell;
}
/// High priority has a share of the blocks for itself.
constexpr memory::For block_use(Priority priority) {
  return priority == Priority::high ? memory::For::high : memory::For::all;
}
constexpr const Shape& cell_shape(Priority priority) {
  return priority == Priority::low ? kBulkCellShape : kSmallCellShape;
}

/// A hop's half of a circuit, relay or destination: two directions, their keys and counters.
///
/// Key contexts are made at the first cell of a direction and of an epoch; until then, and after
/// rest(), this object is all the memory that the crypto of a circuit takes.
class HopCrypto {
 public:
  HopCrypto(HopSecrets secrets, Priority priority);

  /// Relay, forward: verifies, opens, drops the tag, appends the filler. Window stays U bytes.
  [[nodiscard]] bool forward(memory::Block& cell);
  /// Relay, backward: drops the last 16 bytes, seals, prepends the tag. Window stays U bytes.
  void backward(memory::Block& cell);

  /// Destination: verifies and opens; the window becomes the payload (U - 96 bytes).
  [[nodiscard]] bool open(memory::Block& cell);
  /// Destination: the window is a payload of U - 96 bytes; becomes the cell.
  void seal(memory::Block& payload);

  /// Puts the key contexts of an idle circuit away; the next cell makes them again.
  void rest() noexcept;

 private:
  struct Opener;  // forward: the AEAD and the filler stream
  struct Sealer;  // backward: the AEAD
  struct ContextDeleter {
    void operator()(Opener* opener) const noexcept;
    void operator()(Sealer* sealer) const noexcept;
  };
  bool open_layer(memory::Block& cell);
  void seal_layer(memory::Block& text);
  void count_forward();

  Key256 forward_chain_;
  Key256 backward_chain_;
  std::unique_ptr<Opener, ContextDeleter> opener_;
  std::unique_ptr<Sealer, ContextDeleter> sealer_;
  std::uint32_t forward_cells_ = 0;  // in this epoch
  std::uint32_t backward_cells_ = 0;
  Priority cls_;
  crypto::Cipher cipher_;
};

/// The source's half: all hops' keys in route order.
class SourceCrypto {
 public:
  SourceCrypto(std::vector<HopSecrets> hops, Priority priority, Rng& rng);
  ~SourceCrypto();
  SourceCrypto(SourceCrypto&&) noexcept;
  SourceCrypto& operator=(SourceCrypto&&) noexcept;

  /// The window is a payload of U - 96 bytes; becomes the cell for hop 1.
  void seal(memory::Block& payload);
  /// The window is a cell from hop 1; becomes the payload. nullopt on success, otherwise the index
  /// of the first layer that did not verify: the cell was changed behind the hop before that one,
  /// and not necessarily next to it, so this blames no hop. kTailNotZero: every layer verified, and
  /// the destination left something behind the payload; that is its own doing and nobody else's.
  static constexpr std::size_t kTailNotZero = SIZE_MAX;
  [[nodiscard]] std::optional<std::size_t> open(memory::Block& cell);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qudag::onion
