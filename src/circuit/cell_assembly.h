// Bytes of a stream become units of exact size: a cell in a pooled block, or a build message or
// reply in a temporary that exists only while the circuit is built.
//
// Both take from the front of `data` what belongs to the unit under assembly and leave the rest.
// Streams cut bytes anywhere, so a unit may come in any number of pieces.
#pragma once

#include "base/bytes.h"
#include "memory/block.h"
#include "onion/cells.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace qudag::circuit {

/// Assembles cells. Holds a block only while a part of a cell is there.
class CellAssembly {
 public:
  enum class Step : std::uint8_t { partial, cell, exhausted };

  /// `cell`: one whole cell was put into `out`. `exhausted`: the pool gave no block, nothing taken.
  Step take(memory::BlockPool& pool, Priority priority, Bytes& data, memory::Block& out) {
    if (!partial_) {
      partial_ = pool.take(onion::block_size(priority), onion::block_use(priority));
      if (!partial_) return Step::exhausted;
    }
    const std::size_t have = partial_.size();
    const std::size_t more = std::min(onion::cell_bytes(priority) - have, data.size());
    partial_.append(more);
    // The one copy of a cell on its way through a node: the stream's view ends with the call.
    if (more > 0) std::memcpy(partial_.data() + have, data.data(), more);
    data = data.subspan(more);
    if (partial_.size() < onion::cell_bytes(priority)) return Step::partial;
    out = std::move(partial_);
    return Step::cell;
  }

 private:
  memory::Block partial_;
};

/// Assembles one unit of N bytes; allocates when its first byte arrives.
template <std::size_t N>
class UnitAssembly {
 public:
  using Unit = std::array<std::byte, N>;

  /// True when the unit is whole.
  bool take(Bytes& data) {
    if (!unit_) unit_ = std::make_unique_for_overwrite<Unit>();
    const std::size_t more = std::min(N - filled_, data.size());
    if (more > 0) std::memcpy(unit_->data() + filled_, data.data(), more);
    filled_ += more;
    data = data.subspan(more);
    return filled_ == N;
  }

  std::size_t filled() const { return filled_; }

  std::unique_ptr<Unit> release() {
    filled_ = 0;
    return std::move(unit_);
  }

 private:
  std::unique_ptr<Unit> unit_;
  std::size_t filled_ = 0;
};

}  // namespace qudag::circuit
