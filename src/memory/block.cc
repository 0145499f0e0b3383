// Pools of pieces, and the way home of a piece that ends on another thread.
//
// take():  1. from the owner's free list; 2. else everything that other threads gave back since the
//          last time, popped as one stack; 3. else from the system, up to blocks_max and the
//          budget. For high priority there is a share behind the budget; so many pieces stay free
//          for it from then on, until trim() gives them back, first of all.
// trim():  the fewest free pieces there were since the last round are those that nobody needed.
// return:  on the owner's thread onto the free list, elsewhere onto the lock-free stack.
// The core counts the pieces that are out, and the pool itself; the last to go frees the core.
#include "memory/block.h"

#include "memory/thread_number.h"

#include <algorithm>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define QUDAG_POISON(at, n) ASAN_POISON_MEMORY_REGION(at, n)
#define QUDAG_UNPOISON(at, n) ASAN_UNPOISON_MEMORY_REGION(at, n)
#else
#define QUDAG_POISON(at, n) (static_cast<void>(at), static_cast<void>(n))
#define QUDAG_UNPOISON(at, n) (static_cast<void>(at), static_cast<void>(n))
#endif

namespace qudag::memory {

static_assert(std::size(kBlockSizeNames) == kBlockSizeCount);
namespace {

constexpr std::size_t index_of(BlockSize size) { return static_cast<std::size_t>(size); }

constexpr std::size_t area_bytes(BlockSize size) {
  return kHeadroomBytes + capacity_of(size) + kTailroomBytes;
}

BlockHeader* allocate(BlockSize size) {
  void* raw = ::operator new(sizeof(BlockHeader) + area_bytes(size), std::nothrow);
  if (raw == nullptr) return nullptr;
  auto* header = new (raw) BlockHeader;
  header->size = size;
  return header;
}

/// While a piece is free nobody reads or writes its data; AddressSanitizer then says who does.
void hide(BlockHeader* header) { QUDAG_POISON(header->data(), area_bytes(header->size)); }
void show(BlockHeader* header) { QUDAG_UNPOISON(header->data(), area_bytes(header->size)); }

void free_piece(BlockHeader* header) {
  show(header);
  header->~BlockHeader();
  ::operator delete(header);
}

void free_list(BlockHeader* header) {
  while (header != nullptr) free_piece(std::exchange(header, header->next));
}

}  // namespace

std::size_t piece_bytes(BlockSize size) { return sizeof(BlockHeader) + area_bytes(size) + 16; }

class PoolCore {
 public:
  explicit PoolCore(PoolOptions options)
      : options_(std::move(options)),
        all_(options_.budget.get()),
        high_(options_.high_budget.get()) {}

  // ---- owner's thread ---------------------------------------------------------------------------

  void bind_to_this_thread() { owner_.store(this_thread(), std::memory_order_relaxed); }

  BlockHeader* take(BlockSize size, For whom) {
    adopt_owner();
    Shelf& shelf = shelves_[index_of(size)];
    const std::size_t untouchable = whom == For::high ? 0 : shelf.high;
    if (shelf.free_count <= untouchable) collect(shelf);
    BlockHeader* header = shelf.free;
    if (shelf.free_count > untouchable) {
      shelf.free = header->next;
      if (--shelf.free_count < shelf.fewest_free) shelf.fewest_free = shelf.free_count;
      show(header);
    } else {
      shelf.fewest_free = 0;
      header = grow(shelf, size, whom);
      if (header == nullptr) return nullptr;
    }
    holders_.fetch_add(1, std::memory_order_relaxed);
    ++taken_;
    header->core = this;
    header->next = nullptr;
    header->begin = kHeadroomBytes;
    header->end = kHeadroomBytes;
    return header;
  }

  bool trim(std::size_t pieces_max) {
    bool more = false;
    for (std::size_t i = 0; i < kBlockSizeCount; ++i) {
      Shelf& shelf = shelves_[i];
      collect(shelf);
      const std::size_t spare = std::min(
          shelf.fewest_free, shelf.free_count - std::min(shelf.free_count, options_.keep[i]));
      const std::size_t now = std::min(spare, pieces_max);
      drop_free(static_cast<BlockSize>(i), now);
      shelf.fewest_free = spare > now ? shelf.fewest_free - now : shelf.free_count;
      more = more || spare > now;
    }
    return more;
  }

  bool release_free(std::size_t pieces_max) {
    bool more = false;
    for (std::size_t i = 0; i < kBlockSizeCount; ++i) {
      Shelf& shelf = shelves_[i];
      collect(shelf);
      const std::size_t now = std::min(shelf.free_count, pieces_max);
      drop_free(static_cast<BlockSize>(i), now);
      shelf.fewest_free = std::min(shelf.fewest_free, shelf.free_count);
      more = more || shelf.free_count > 0;
    }
    all_.trim();
    high_.trim();
    return more;
  }

  PoolStats stats() {
    PoolStats out;
    for (std::size_t i = 0; i < kBlockSizeCount; ++i) {
      collect(shelves_[i]);
      out.free[i] = shelves_[i].free_count;
      out.in_use[i] = shelves_[i].owned - shelves_[i].free_count;
    }
    out.taken = taken_;
    out.allocated = allocated_;
    out.trimmed = trimmed_;
    out.exhausted = exhausted_;
    return out;
  }

  /// The pool ends: pieces that are still out go to the system when they come back.
  void close() {
    closed_.store(true, std::memory_order_seq_cst);
    for (Shelf& shelf : shelves_) {
      free_list(std::exchange(shelf.free, nullptr));
      free_list(shelf.returned.exchange(nullptr, std::memory_order_seq_cst));
    }
    leave();
  }

  // ---- any thread -------------------------------------------------------------------------------

  void give_back(BlockHeader* header) noexcept {
    Shelf& shelf = shelves_[index_of(header->size)];
    if (closed_.load(std::memory_order_acquire)) {
      free_piece(header);
    } else if (owner_.load(std::memory_order_relaxed) == this_thread()) {
      hide(header);
      header->next = shelf.free;
      shelf.free = header;
      ++shelf.free_count;
    } else {
      hide(header);
      BlockHeader* head = shelf.returned.load(std::memory_order_relaxed);
      do {
        header->next = head;
      } while (!shelf.returned.compare_exchange_weak(head, header, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed));
      // close() may have swept the stack between our first look and the push; sweep once more.
      // Both stores and both loads are sequentially consistent, so one of the two sees the other.
      if (closed_.load(std::memory_order_seq_cst)) {
        free_list(shelf.returned.exchange(nullptr, std::memory_order_seq_cst));
      }
    }
    leave();
  }

 private:
  struct alignas(64) Shelf {
    BlockHeader* free = nullptr;  // the owner's
    std::size_t free_count = 0;
    std::size_t fewest_free = 0;                              // since the last round of trim()
    std::size_t owned = 0;                                    // free, out, or on the stack
    std::size_t high = 0;                                     // of them from the share of high
    alignas(64) std::atomic<BlockHeader*> returned{nullptr};  // other threads push, owner pops all
  };

  // The first take() names the owner: pools are made by main and handed to their shard's thread.
  void adopt_owner() {
    if (options_.shared) return;
    if (owner_.load(std::memory_order_relaxed) == 0) bind_to_this_thread();
    QUDAG_DCHECK(owner_.load(std::memory_order_relaxed) == this_thread());
  }

  void collect(Shelf& shelf) {
    if (shelf.returned.load(std::memory_order_relaxed) == nullptr) return;
    BlockHeader* header = shelf.returned.exchange(nullptr, std::memory_order_acquire);
    while (header != nullptr) {
      BlockHeader* next = header->next;
      header->next = shelf.free;
      shelf.free = header;
      ++shelf.free_count;
      header = next;
    }
  }

  BlockHeader* grow(Shelf& shelf, BlockSize size, For whom) {
    const std::size_t bytes = piece_bytes(size);
    const bool room = shelf.owned < options_.blocks_max[index_of(size)];
    const bool ordinary = room && all_.take(bytes);
    const bool reserved =
        ordinary || (room && whom == For::high && options_.high_budget && high_.take(bytes));
    BlockHeader* const header = reserved ? allocate(size) : nullptr;
    if (header == nullptr) {
      if (reserved) (ordinary ? all_ : high_).give(bytes);
      ++exhausted_;
      return nullptr;
    }
    if (!ordinary) ++shelf.high;
    ++shelf.owned;
    ++allocated_;
    return header;
  }

  /// The share of high is full again before others get something back.
  void drop_free(BlockSize size, std::size_t pieces) {
    Shelf& shelf = shelves_[index_of(size)];
    for (std::size_t n = 0; n < pieces; ++n) {
      free_piece(std::exchange(shelf.free, shelf.free->next));
    }
    const std::size_t high = std::min(pieces, shelf.high);
    high_.give(high * piece_bytes(size));
    all_.give((pieces - high) * piece_bytes(size));
    shelf.high -= high;
    shelf.free_count -= pieces;
    shelf.owned -= pieces;
    trimmed_ += pieces;
  }

  void leave() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  PoolOptions options_;
  Allowance all_;  // the owner's; what is out when the pool ends goes back with the core
  Allowance high_;
  std::array<Shelf, kBlockSizeCount> shelves_;
  std::uint64_t taken_ = 0;
  std::uint64_t allocated_ = 0;
  std::uint64_t trimmed_ = 0;
  std::uint64_t exhausted_ = 0;
  std::atomic<std::uint64_t> owner_{0};  // as this_thread() counts; 0: nobody yet
  std::atomic<bool> closed_{false};
  alignas(64) std::atomic<std::uint64_t> holders_{1};  // the pool, and every piece that is out
};

// ---- Block --------------------------------------------------------------------------------------

void Block::reset() noexcept {
  if (BlockHeader* header = release()) header->core->give_back(header);
}

MutableBytes Block::area() const { return {header_->data(), area_bytes(header_->size)}; }

std::size_t Block::tailroom() const { return area_bytes(header_->size) - header_->end; }

void Block::prepend(std::size_t n) {
  QUDAG_ASSERT(n <= headroom());
  header_->begin -= static_cast<std::uint32_t>(n);
}

void Block::append(std::size_t n) {
  QUDAG_ASSERT(n <= tailroom());
  header_->end += static_cast<std::uint32_t>(n);
}

void Block::drop_front(std::size_t n) {
  QUDAG_ASSERT(n <= size());
  header_->begin += static_cast<std::uint32_t>(n);
}

void Block::drop_back(std::size_t n) {
  QUDAG_ASSERT(n <= size());
  header_->end -= static_cast<std::uint32_t>(n);
}

void Block::clear() {
  header_->begin = kHeadroomBytes;
  header_->end = kHeadroomBytes;
}

std::uint64_t held_bytes(const PoolStats& stats) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < kBlockSizeCount; ++i) {
    out += (stats.in_use[i] + stats.free[i]) * piece_bytes(static_cast<BlockSize>(i));
  }
  return out;
}

void report(std::string_view name, const PoolOptions& options, const PoolStats& stats,
            BoundedList& out) {
  constexpr std::string_view kSizes[kBlockSizeCount] = {"cell", "bulk", "small"};
  for (std::size_t i = 0; i < kBlockSizeCount; ++i) {
    Bounded row = bounded(
        Bounded::Kind::pool, name, "refuse", stats.in_use[i] + stats.free[i], options.blocks_max[i],
        sizeof(BlockHeader) + kHeadroomBytes + kBlockCapacity[i] + kTailroomBytes);
    row.level = kSizes[i];
    out.push_back(row);
  }
}

// ---- BlockPool ----------------------------------------------------------------------------------

BlockPool::BlockPool(PoolOptions options) : core_(new PoolCore(std::move(options))) {}
BlockPool::~BlockPool() { core_->close(); }

Block BlockPool::take(BlockSize size, For whom) { return Block(core_->take(size, whom)); }
void BlockPool::bind_to_this_thread() { core_->bind_to_this_thread(); }
bool BlockPool::trim(std::size_t pieces_max) { return core_->trim(pieces_max); }
bool BlockPool::release_free(std::size_t pieces_max) { return core_->release_free(pieces_max); }
PoolStats BlockPool::stats() const { return core_->stats(); }

// ---- Chain --------------------------------------------------------------------------------------

void Chain::push_back(Block block) {
  BlockHeader* header = block.release();
  QUDAG_ASSERT(header != nullptr);
  header->next = nullptr;
  (tail_ == nullptr ? head_ : tail_->next) = header;
  tail_ = header;
  bytes_ += header->end - header->begin;
  ++blocks_;
}

void Chain::append(Chain&& other) {
  if (other.empty()) return;
  QUDAG_ASSERT(&other != this);
  (tail_ == nullptr ? head_ : tail_->next) = other.head_;
  tail_ = other.tail_;
  bytes_ += other.bytes_;
  blocks_ += other.blocks_;
  other.head_ = nullptr;
  other.tail_ = nullptr;
  other.bytes_ = 0;
  other.blocks_ = 0;
}

Block Chain::pop_front() {
  QUDAG_ASSERT(head_ != nullptr);
  Block block(head_);
  head_ = head_->next;
  if (head_ == nullptr) tail_ = nullptr;
  block.header()->next = nullptr;
  bytes_ -= block.size();
  --blocks_;
  return block;
}

void Chain::clear() noexcept {
  while (head_ != nullptr) Block(std::exchange(head_, head_->next)).reset();
  tail_ = nullptr;
  bytes_ = 0;
  blocks_ = 0;
}

void Chain::swap(Chain& other) noexcept {
  std::swap(head_, other.head_);
  std::swap(tail_, other.tail_);
  std::swap(bytes_, other.bytes_);
  std::swap(blocks_, other.blocks_);
}

bool Chain::copy_in(BlockPool& pool, BlockSize size, Bytes in, Chain& out) {
  Chain chain;
  const std::size_t capacity = capacity_of(size);
  while (!in.empty()) {
    Block block = pool.take(size);
    if (!block) {
      out.clear();
      return false;
    }
    const Bytes piece = in.first(std::min(in.size(), capacity));
    block.append(piece.size());
    std::memcpy(block.data(), piece.data(), piece.size());
    chain.push_back(std::move(block));
    in = in.subspan(piece.size());
  }
  out = std::move(chain);
  return true;
}

std::size_t Chain::fill_back(Bytes in) noexcept {
  if (tail_ == nullptr) return 0;
  const std::size_t most = kHeadroomBytes + capacity_of(tail_->size);
  const std::size_t n = tail_->end < most ? std::min<std::size_t>(in.size(), most - tail_->end) : 0;
  if (n > 0) std::memcpy(tail_->data() + tail_->end, in.data(), n);
  tail_->end += static_cast<std::uint32_t>(n);
  bytes_ += n;
  return n;
}

void Chain::copy_from(Bytes in) {
  QUDAG_ASSERT(in.size() == bytes_);
  for (BlockHeader* header = head_; header != nullptr; header = header->next) {
    const MutableBytes piece = view(header);
    if (!piece.empty()) std::memcpy(piece.data(), in.data(), piece.size());
    in = in.subspan(piece.size());
  }
}

void Chain::copy_out(MutableBytes out) const {
  QUDAG_ASSERT(out.size() == bytes_);
  for (BlockHeader* header = head_; header != nullptr; header = header->next) {
    const MutableBytes piece = view(header);
    if (!piece.empty()) std::memcpy(out.data(), piece.data(), piece.size());
    out = out.subspan(piece.size());
  }
}

}  // namespace qudag::memory
