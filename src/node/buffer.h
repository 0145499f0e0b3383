// Buffer's inside: a chain of blocks, its share of the memory bound, and the pool's lifetime. It
// lives in a block itself, together with the list of its pieces, so that a message costs no
// allocation, and goes home without a lock from whichever thread ends it.
#pragma once

#include "memory/block.h"
#include "memory/budget.h"

#include <qudag/message.h>

#include <memory>
#include <new>
#include <span>
#include <vector>

namespace qudag {

class Buffer::Impl {
 public:
  /// `keep` holds the budget that `reservation` belongs to: a Buffer may outlive its node. Null if
  /// the pool is exhausted; the arguments are then as they were.
  static std::unique_ptr<Impl> make(memory::BlockPool& pool, memory::Chain& chain,
                                    memory::Reservation& reservation,
                                    std::shared_ptr<const void> keep);
  static void operator delete(Impl* self, std::destroying_delete_t) noexcept;

  memory::Chain take_chain() { return std::move(chain_); }
  memory::Reservation take_reservation() { return std::move(reservation_); }
  const memory::Chain& chain() const { return chain_; }
  std::span<const MutableBytes> pieces() const { return pieces_; }

 private:
  Impl(memory::Block home, memory::Chain& chain, memory::Reservation& reservation,
       std::shared_ptr<const void> keep);
  void list_pieces();

  memory::Block home_;                // this object and, if they fit, its pieces are in it
  std::shared_ptr<const void> keep_;  // owners: the node and every buffer it gave out
  memory::Reservation reservation_;
  memory::Chain chain_;
  std::span<MutableBytes> pieces_;
  std::vector<MutableBytes> many_;  // the pieces of a message of more than 4 MB
};

namespace node {

/// The chain of `bytes` bytes with blocks of the right size, not filled; false if the pool is
/// empty.
bool make_chain(memory::BlockPool& pool, std::size_t bytes, memory::Chain& out);

}  // namespace node
}  // namespace qudag
