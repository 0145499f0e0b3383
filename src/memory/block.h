// Pooled blocks: the pieces of memory that payload bytes live in, from the socket to the handler.
//
// A Block is a move-only handle on one fixed-size piece with headroom and tailroom, so that onion
// layers are added and removed by moving the window [begin, end) and never by copying. It goes back
// to the pool of the shard that made it, from whichever thread ends it.
//
//   | header | headroom 128 | capacity (256, 1024 or 8192) | tailroom 128 |
//                           ^begin ... end^
//
// Threads: take() on the owner's thread only; a Block may be moved to and ended on any thread.
// Limits: a pool hands out at most `blocks_max` of each size, and what its budget has room for, and
// then returns an empty Block. It reserves before it takes from the system, in steps, never per
// block.
#pragma once

#include "base/bounded.h"
#include "base/bytes.h"
#include "memory/budget.h"
#include "telemetry/metric.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace qudag::memory {

enum class BlockSize : std::uint8_t { cell = 0, bulk = 1, small = 2 };
inline constexpr std::size_t kBlockSizeCount = 3;
inline constexpr std::size_t kBlockCapacity[kBlockSizeCount] = {1024, 8192, 256};
constexpr std::size_t capacity_of(BlockSize size) {
  return kBlockCapacity[static_cast<std::size_t>(size)];
}
inline constexpr std::size_t kHeadroomBytes = 128;
inline constexpr std::size_t kTailroomBytes = 128;

/// The blocks for copies of so many bytes: several cells up to half of a bulk block, because much
/// more memory than bytes would be held otherwise.
inline constexpr BlockSize block_size_for(std::size_t bytes) {
  if (bytes <= capacity_of(BlockSize::small)) return BlockSize::small;
  return bytes < capacity_of(BlockSize::bulk) / 2 ? BlockSize::cell : BlockSize::bulk;
}

class BlockPool;

/// The record in front of every piece. Only memory/ touches it.
struct alignas(16) BlockHeader {
  class PoolCore* core = nullptr;  // kept alive until the last block is back
  BlockHeader* next = nullptr;     // link in a free list or in a Chain
  std::uint32_t begin = 0;         // window, as offsets from data()
  std::uint32_t end = 0;
  BlockSize size = BlockSize::cell;
  std::uint32_t queued_at = 0;  // 16 us of the clock, for a queue's owner: see link/stream/stream.h

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

class Block {
 public:
  Block() = default;
  explicit Block(BlockHeader* header) : header_(header) {}
  ~Block() { reset(); }
  Block(Block&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      reset();
      header_ = std::exchange(other.header_, nullptr);
    }
    return *this;
  }

  explicit operator bool() const { return header_ != nullptr; }
  /// Returns the piece to its pool.
  void reset() noexcept;

  std::byte* data() { return header_->data() + header_->begin; }
  const std::byte* data() const { return header_->data() + header_->begin; }
  std::size_t size() const { return header_->end - header_->begin; }
  MutableBytes bytes() { return {data(), size()}; }
  Bytes bytes() const { return {data(), size()}; }

  std::size_t headroom() const { return header_->begin; }
  std::size_t tailroom() const;
  std::size_t capacity() const { return capacity_of(header_->size); }

  /// Moves the window: grow by n at the front or back (room is asserted), or shrink.
  void prepend(std::size_t n);
  void append(std::size_t n);
  void drop_front(std::size_t n);
  void drop_back(std::size_t n);
  /// The whole of the piece, head- and tailroom included, for what is no message: 16-byte aligned.
  MutableBytes area() const;
  /// Empties the window and puts it at the start of the capacity, with full headroom.
  void clear();

  BlockHeader* release() noexcept { return std::exchange(header_, nullptr); }
  BlockHeader* header() const noexcept { return header_; }

 private:
  BlockHeader* header_ = nullptr;
};

/// Whom a block is for. What was made from the share of `high` serves nobody else, free or not.
enum class For : std::uint8_t { all, high };

struct PoolOptions {
  std::array<std::size_t, kBlockSizeCount> blocks_max{65'536, 32'768, 131'072};
  /// Free pieces that trim() leaves, however long nobody needed them.
  std::array<std::size_t, kBlockSizeCount> keep{128, 16, 128};
  /// Taken by threads in turn, under a lock of theirs: no thread is the owner when blocks return.
  bool shared = false;
  /// What pieces are reserved from, and the share behind it for For::high. Null: no bound. Owners:
  /// whoever made them, and the pool until its last block is back.
  std::shared_ptr<Budget> budget = nullptr;
  std::shared_ptr<Budget> high_budget = nullptr;
};

inline constexpr std::string_view kBlockSizeNames[] = {"cell", "bulk", "small"};

struct PoolStats {
  std::array<std::uint64_t, kBlockSizeCount> in_use{};
  std::array<std::uint64_t, kBlockSizeCount> free{};
  std::uint64_t taken = 0;      // since the start
  std::uint64_t allocated = 0;  // of those, how many came from the system allocator
  std::uint64_t trimmed = 0;    // given back to the system allocator
  std::uint64_t exhausted = 0;  // refused because of blocks_max or the budget
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<PoolStats> kPool[] = {
    {{"qudag_pool_blocks", "Pooled blocks of memory, by size and state.", Kind::gauge},
     label("state", "used").each("size", kBlockSizeNames),
     [](const PoolStats& s, std::size_t i) { return static_cast<double>(s.in_use[i]); }},
    {same, label("state", "free").each("size", kBlockSizeNames),
     [](const PoolStats& s, std::size_t i) { return static_cast<double>(s.free[i]); }},
    {{"qudag_pool_taken_total", "Blocks taken from pools.", Kind::counter},
     no_label,
     &PoolStats::taken},
    {{"qudag_pool_allocated_total", "Blocks that the pools had to get from the allocator.",
      Kind::counter},
     no_label,
     &PoolStats::allocated},
    {{"qudag_pool_trimmed_total", "Blocks given back to the allocator.", Kind::counter},
     no_label,
     &PoolStats::trimmed},
    {{"qudag_pool_exhausted_total",
      "Blocks refused because a pool or its memory budget was at its limit.", Kind::counter},
     no_label,
     &PoolStats::exhausted},
};
static_assert(telemetry::valid(kPool));

}  // namespace metrics

/// Of one piece, with what the allocator needs for itself.
std::size_t piece_bytes(BlockSize size);
/// Bytes of all pieces of a pool, used and free.
std::uint64_t held_bytes(const PoolStats& stats);
/// A row for each size; `name` is static text.
void report(std::string_view name, const PoolOptions& options, const PoolStats& stats,
            BoundedList& out);

class BlockPool {
 public:
  explicit BlockPool(PoolOptions options = {});
  /// Blocks may outlive the pool: their memory goes back to the system when they end.
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block with an empty window at full headroom; an empty handle when the limit is reached.
  Block take(BlockSize size, For whom = For::all);
  /// Makes the calling thread the owner. Needed only when another thread took first (set-up code);
  /// the caller orders this after that thread's last use.
  void bind_to_this_thread();
  /// Gives back to the system what nobody needed since the last round of trim(), beyond `keep`; at
  /// most `pieces_max` of each size. True: call again soon, the round goes on.
  bool trim(std::size_t pieces_max = SIZE_MAX);
  /// Memory is short: gives back everything that is free, at most `pieces_max` of each size. True:
  /// there is more.
  bool release_free(std::size_t pieces_max = SIZE_MAX);
  /// Owner's thread.
  PoolStats stats() const;

 private:
  PoolCore* core_;
};

/// A message of any size: blocks in order, moved by handle.
class Chain {
 public:
  Chain() = default;
  ~Chain() { clear(); }
  Chain(Chain&& other) noexcept { swap(other); }
  Chain& operator=(Chain&& other) noexcept {
    if (this != &other) {
      clear();
      swap(other);
    }
    return *this;
  }

  void push_back(Block block);
  void append(Chain&& other);
  Block pop_front();
  void clear() noexcept;
  void swap(Chain& other) noexcept;

  bool empty() const { return head_ == nullptr; }
  std::size_t bytes() const { return bytes_; }
  std::size_t blocks() const { return blocks_; }
  BlockHeader* front() const { return head_; }
  BlockHeader* back() const { return tail_; }
  /// The window of a block reached through front()/next.
  static MutableBytes view(BlockHeader* header) {
    return {header->data() + header->begin, header->end - header->begin};
  }

  /// Copies `in` into blocks of the pool; empty and false when the pool is exhausted.
  static bool copy_in(BlockPool& pool, BlockSize size, Bytes in, Chain& out);
  /// Copies the first of `in` behind the last block's bytes, as many as its capacity holds: how
  /// many those are.
  std::size_t fill_back(Bytes in) noexcept;
  /// in.size() must be bytes(): into the windows of the blocks.
  void copy_from(Bytes in);
  /// out.size() must be bytes().
  void copy_out(MutableBytes out) const;

 private:
  BlockHeader* head_ = nullptr;
  BlockHeader* tail_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace qudag::memory
