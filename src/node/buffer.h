// Buffer's inside: a chain of blocks, its share of the memory bound, and the pool's lifetime.
#pragma once

#include "memory/block.h"
#include "memory/budget.h"

#include <qudag/message.h>

#include <memory>
#include <vector>

namespace qudag {

class Buffer::Impl {
 public:
  /// `keep` holds the budget that `reservation` belongs to: a Buffer may outlive its node.
  Impl(memory::Chain chain, memory::Reservation reservation, std::shared_ptr<const void> keep);

  memory::Chain take_chain() { return std::move(chain_); }
  memory::Reservation take_reservation() { return std::move(reservation_); }
  const memory::Chain& chain() const { return chain_; }
  const std::vector<MutableBytes>& pieces() const { return pieces_; }

 private:
  std::shared_ptr<const void> keep_;  // owners: the node and every buffer it gave out
  memory::Reservation reservation_;
  memory::Chain chain_;
  std::vector<MutableBytes> pieces_;
};

namespace node {

/// The chain of `bytes` bytes with blocks of the right size, not filled; false if the pool is empty.
bool make_chain(memory::BlockPool& pool, std::size_t bytes, memory::Chain& out);

}  // namespace node
}  // namespace qudag
