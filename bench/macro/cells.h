// Cells in this process, without a network: what `relay` and `features` time.
#pragma once

#include "crypto/random.h"
#include "onion/cells.h"

#include <memory>
#include <vector>

namespace qudag::app::bench {

/// The two halves of a circuit with `hops` hops, and pieces to work on.
class Cells {
 public:
  Cells(std::size_t hops, Priority priority, crypto::Cipher cipher = crypto::Cipher::aes_256_gcm);

  /// Payloads of a cell each, to be sealed.
  void fill(std::size_t count);
  std::vector<memory::Block>& blocks() { return blocks_; }
  onion::SourceCrypto& source() { return *source_; }
  onion::HopCrypto& hop(std::size_t i) { return hops_[i]; }

 private:
  Priority cls_;
  crypto::SystemRng rng_;
  memory::BlockPool pool_;
  std::vector<onion::HopCrypto> hops_;
  std::unique_ptr<onion::SourceCrypto> source_;
  std::vector<memory::Block> blocks_;
};

/// ns of CPU per cell that one relay opens, in turns of 64 that a source has sealed; 0: refused.
double relay_ns_per_cell(Priority priority, double seconds,
                         crypto::Cipher cipher = crypto::Cipher::aes_256_gcm);
/// ns of CPU per cell that a source seals for `hops` hops.
double source_ns_per_cell(std::size_t hops, double seconds);

}  // namespace qudag::app::bench
