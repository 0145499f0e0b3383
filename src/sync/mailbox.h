// From any thread to one: a bounded lock-free queue that is emptied in batches.
//
// Every producing thread has a lane of its own (its thread, memory/thread_index.h), so that
// producers do not meet: item k of a lane lies at place k modulo N of the lane's block k / N.
// push() fills the next place and says so by moving the lane's tail, one exchange; a new block
// every N items. drain() takes what is up to the tails and gives blocks back that are done. All
// lanes share the blocks, and there are as many as the bound says: so the bound is of all together,
// and because blocks are used again before fresh ones, hardly more are ever touched than waited at
// one time.
//
// Waking is the owner's business. A consumer that has nothing more to do says sleep(), and the
// first push after that says `wake` (eventfd, a posted task, or the simulator's queue); while it is
// awake nobody needs to. Both sides first write and then read: push its tail and then `asleep_`,
// sleep() `asleep_` and then the tails; so one of them sees the other.
//
// The order of items is that of each thread's pushes; between threads there is none.
//
// Free blocks are a stack that several threads take from: its head carries a number that changes
// with every take, against a head that only looks unchanged (ABA; R. K. Treiber, 1986, and the IBM
// System/370 manual). The closing bit sits in the tails, so after close() the set of accepted items
// is known.
//
// Threads: push() and close() on any, the rest on the consumer's. Those that came when every thread
// but the last was taken (more than 63 at a time) share a lane and take turns in it. Limits:
// `items_max`.
#pragma once

#include "base/assert.h"
#include "base/bounded.h"
#include "base/mapped_array.h"
#include "memory/thread_index.h"
#include "sync/ledger.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace qudag::sync {

enum class Pushed : std::uint8_t {
  queued,  ///< accepted; the consumer is awake, or somebody else wakes it
  wake,    ///< accepted; wake the consumer
  full,    ///< refused, the item is as it was
  closed,  ///< refused, the item is as it was
};

template <class T>
class Mailbox {
 public:
  /// `name`: static text.
  Mailbox(std::string_view name, std::size_t items_max)
      : name_(name),
        block_bits_(block_bits_for(items_max)),
        blocks_(static_cast<std::uint32_t>(items_max >> block_bits_)),
        slots_(std::size_t{blocks_} << block_bits_),
        next_(blocks_),
        lanes_(kLanes),
        places_(std::size_t{kLanes} * blocks_) {
    QUDAG_ASSERT(!name.empty() && items_max > 0 && items_max < UINT32_MAX);
  }
  ~Mailbox() {
    close();
    drain([](T&&) {});
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Moves from `item` only if it is accepted.
  Pushed push(T&& item) {
    const std::uint32_t thread = memory::thread_index();
    Lane& lane = lanes_[thread];
    if (thread != memory::kSharedThreadIndex) [[likely]] {
      return push(lane, thread, item);
    }
    while (lane.taken.test_and_set(std::memory_order_acquire)) lane.taken.wait(true);
    const Pushed pushed = push(lane, thread, item);
    lane.taken.clear(std::memory_order_release);
    lane.taken.notify_one();
    return pushed;
  }

  /// Refuses everything from now on; what was accepted can still be taken.
  void close() {
    for (std::uint32_t i = 0; i < kLanes; ++i) lanes_[i].tail.fetch_or(kClosed);
  }
  bool closed() const { return (lanes_[kLanes - 1].tail.load() & kClosed) != 0; }

  /// Takes what waits now: f(T&&) for each. f may push, and not drain.
  template <class F>
  std::size_t drain(F&& f) {
    // Woken by something else: nothing came, or who pushed has yet to see it and then says `wake`.
    if (asleep_.load(std::memory_order_acquire) && !closed()) return 0;
    std::size_t taken = 0;
    const std::uint32_t threads = threads_.load();
    for (std::uint32_t i = 0; i < threads; ++i) taken += drain(i, f);
    left_ += taken;
    return taken;
  }

  /// True: nothing waits, and the next push says `wake`. False: there is something to drain.
  bool sleep() {
    if (asleep_.load(std::memory_order_relaxed)) return true;
    asleep_.store(true);
    const std::uint32_t threads = threads_.load();
    for (std::uint32_t i = 0; i < threads; ++i) {
      const std::uint64_t tail = lanes_[i].tail.load() & ~kClosed;
      if (tail == lanes_[i].head.load(std::memory_order_relaxed)) continue;
      asleep_.store(false);  // who has seen it in between says `wake`, which does no harm
      return false;
    }
    return true;
  }

  std::size_t items_max() const { return slots_.size(); }
  /// Items that wait or are being drained at this moment.
  std::size_t depth() const {
    std::uint64_t items = 0;
    for (std::uint32_t i = 0; i < threads_.load(std::memory_order_relaxed); ++i) {
      const std::uint64_t head = lanes_[i].head.load(std::memory_order_acquire);
      items += (lanes_[i].tail.load(std::memory_order_relaxed) & ~kClosed) - head;
    }
    return items;
  }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  /// How long the last batch waited, if the consumer knows.
  void record_wait(Duration waited, std::size_t items) { waited_.record(waited, items); }

  /// On the consumer's thread.
  Bounded report() const {
    Bounded out;
    out.kind = Bounded::Kind::queue;
    out.name = name_;
    out.when_full = name_of(WhenFull::refuse_new);
    out.items = depth();
    out.items_max = items_max();
    out.bytes = out.items * sizeof(Slot);
    out.bytes_max = std::uint64_t{items_max()} * sizeof(Slot);
    out.waited = waited_;
    out.entered = left_ + out.items;
    out.left = left_;
    out.drops[static_cast<std::size_t>(DropReason::items_full)] = refused();
    return out;
  }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
  static constexpr std::uint32_t kNone = 0;  // blocks are numbered from 1
  static constexpr std::uint32_t kLanes = memory::kThreadIndices;

  struct Slot {
    alignas(T) std::byte room[sizeof(T)];
  };
  struct Lane {
    alignas(64) std::atomic<std::uint64_t> tail;  // items ever accepted, and the closing bit
    std::uint32_t block;                          // the producer's: where its next item goes
    std::atomic_flag taken;                       // of the shared lane only
    alignas(64) std::atomic<std::uint64_t> head;  // items ever taken
  };

  /// A block may rest half empty in every lane: together at most a sixteenth of the bound.
  static std::uint32_t block_bits_for(std::size_t items_max) {
    const auto items = std::clamp<std::size_t>(items_max / (16 * kLanes), 1, 32);
    return static_cast<std::uint32_t>(std::bit_width(items)) - 1;
  }
  std::byte* at(std::uint32_t block, std::uint64_t item) {
    const std::size_t first = std::size_t{block - 1} << block_bits_;
    return slots_[first + place_in_block(item)].room;
  }
  static T& held(std::byte* place) { return *std::launder(reinterpret_cast<T*>(place)); }
  std::size_t place_in_block(std::uint64_t item) const {
    return item & ((std::size_t{1} << block_bits_) - 1);
  }
  /// Which block holds an item of a lane. A lane cannot have more blocks than there are, so an
  /// entry is read, and its block given back, before that block can be the reason to write it.
  std::uint32_t& block_of(std::uint32_t thread, std::uint64_t item) {
    return places_[std::size_t{thread} * blocks_ + (item >> block_bits_) % blocks_];
  }

  Pushed push(Lane& lane, std::uint32_t thread, T& item) {
    std::uint64_t tail = lane.tail.load(std::memory_order_relaxed);
    if ((tail & kClosed) != 0) return Pushed::closed;
    if (lane.block == kNone && !begin_block(lane, thread, tail)) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      return Pushed::full;
    }
    std::byte* const place = at(lane.block, tail);
    ::new (static_cast<void*>(place)) T(std::move(item));
    if (!lane.tail.compare_exchange_strong(tail, tail + 1)) {  // closed just now
      item = std::move(held(place));
      held(place).~T();
      return Pushed::closed;
    }
    if (place_in_block(tail + 1) == 0) lane.block = kNone;
    return asleep_.load() && asleep_.exchange(false) ? Pushed::wake : Pushed::queued;
  }

  bool begin_block(Lane& lane, std::uint32_t thread, std::uint64_t item) {
    lane.block = take_block();
    if (lane.block == kNone) return false;
    block_of(thread, item) = lane.block;
    std::uint32_t threads = threads_.load();
    while (threads <= thread && !threads_.compare_exchange_weak(threads, thread + 1)) {
    }
    return true;
  }

  std::uint32_t take_block() {
    std::uint64_t head = free_.load(std::memory_order_acquire);
    while (static_cast<std::uint32_t>(head) != kNone) {
      const auto block = static_cast<std::uint32_t>(head);
      // Perhaps somebody else's by now; then what is read here is not used.
      const std::uint64_t next = next_[block - 1].load(std::memory_order_relaxed);
      const std::uint64_t after = ((head >> 32) + 1) << 32 | next;
      if (free_.compare_exchange_weak(head, after, std::memory_order_acquire)) return block;
    }
    std::uint32_t fresh = fresh_.load(std::memory_order_relaxed);
    while (fresh < blocks_) {
      if (fresh_.compare_exchange_weak(fresh, fresh + 1, std::memory_order_relaxed)) {
        return fresh + 1;
      }
    }
    return kNone;
  }

  void give_back(std::uint32_t block) {
    std::uint64_t head = free_.load(std::memory_order_relaxed);
    std::uint64_t after = 0;
    do {
      next_[block - 1].store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
      after = (head >> 32) << 32 | block;
    } while (!free_.compare_exchange_weak(head, after, std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  template <class F>
  std::size_t drain(std::uint32_t thread, F& f) {
    Lane& lane = lanes_[thread];
    const std::uint64_t first = lane.head.load(std::memory_order_relaxed);
    const std::uint64_t end = lane.tail.load() & ~kClosed;
    for (std::uint64_t item = first; item != end;) {
      const std::uint32_t block = block_of(thread, item);
      T& taken = held(at(block, item));
      f(std::move(taken));
      taken.~T();
      lane.head.store(++item, std::memory_order_release);
      if (place_in_block(item) == 0) give_back(block);
    }
    return end - first;
  }

  const std::string_view name_;
  const std::uint32_t block_bits_;
  const std::uint32_t blocks_;
  MappedArray<Slot> slots_;
  MappedArray<std::atomic<std::uint32_t>> next_;  // of the free blocks
  MappedArray<Lane> lanes_;                       // zeros at first, like all of these
  MappedArray<std::uint32_t> places_;
  alignas(64) std::atomic<std::uint64_t> free_{0};  // block, and above it the number of takes
  std::atomic<std::uint32_t> fresh_{0};             // blocks that were used at least once
  std::atomic<std::uint32_t> threads_{0};           // the highest in use, and one
  std::atomic<std::uint64_t> refused_{0};
  alignas(64) std::atomic<bool> asleep_{true};  // the next push says `wake`
  // The consumer's:
  alignas(64) std::uint64_t left_ = 0;
  TimeHistogram waited_;
};

}  // namespace qudag::sync
