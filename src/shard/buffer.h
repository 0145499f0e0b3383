// Buffer's inside: a chain of blocks, its share of the memory bound, and the pool's lifetime. It
// lives in the headroom of the chain's first block, so that a message costs neither an allocation
// nor a block of its own, and goes home without a lock from whichever thread ends it.
#pragma once

#include "memory/block.h"
#include "memory/budget.h"

#include <qudag/message.h>

#include <memory>
#include <new>
#include <span>
#include <utility>

namespace qudag {

// Hidden: a class inside one that is exported would be as well.
class __attribute__((visibility("hidden"))) Buffer::Impl {
 public:
  /// `keep` holds the budget that `reservation` belongs to: a Buffer may outlive its node. Null if
  /// the pool is exhausted; the arguments are then as they were.
  static std::unique_ptr<Impl> make(memory::BlockPool& pool, memory::Chain& chain,
                                    memory::Reservation& reservation,
                                    std::shared_ptr<const void> keep,
                                    memory::For whom = memory::For::all);
  static Buffer wrap(std::unique_ptr<Impl> impl) { return Buffer(std::move(impl)); }
  static void operator delete(Impl* self, std::destroying_delete_t) noexcept;

  /// What a buffer consisted of; the buffer is empty afterwards.
  struct Parts {
    memory::Chain chain;
    memory::Reservation reservation;
  };
  static Parts take(Buffer& buffer);

  const memory::Chain& chain() const { return chain_; }
  std::size_t piece_count() const { return piece_count_; }
  MutableBytes piece(std::size_t index) const;

 private:
  Impl(memory::Block home, memory::Chain& chain, memory::Reservation& reservation,
       std::shared_ptr<const void> keep);

  memory::Block home_;                // empty, or where this object is
  std::shared_ptr<const void> keep_;  // owners: the node and every buffer it gave out
  memory::Reservation reservation_;
  memory::Chain chain_;
  std::uint32_t piece_count_ = 0;  // blocks that are not empty
  // Pieces are asked for in order, nearly always: where the last one was.
  mutable std::uint32_t last_index_ = 0;
  mutable memory::BlockHeader* last_ = nullptr;
};

namespace shard {

/// The chain of `bytes` bytes with blocks of the right size, not filled; false if the pool is
/// empty.
bool make_chain(memory::BlockPool& pool, std::size_t bytes, memory::Chain& out,
                memory::For whom = memory::For::all);
/// What such a chain and the record of its message take, which is what a sender claims.
std::size_t chain_bytes(std::size_t bytes);

}  // namespace shard
}  // namespace qudag
