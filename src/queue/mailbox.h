// Many threads to one shard: a bounded lock-free ring.
//
// Each slot carries a sequence number that says whose turn it is (the idea of D. Vyukov's bounded
// queue). A producer claims a position by moving the tail, fills the slot and publishes it with the
// sequence; the consumer takes slots in order. The closing bit sits in the tail itself, so after
// close() the set of accepted items is known: what push() accepted will be taken.
//
// Waking is the owner's business: push() says `wake` at most once between two begin_drain() calls,
// to the producer that must ring (eventfd, or the simulator's queue).
//
// Threads: push() and close() on any, the rest on the consumer's. Limits: `items_max`, rounded up
// to a power of two.
#pragma once

#include "base/assert.h"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace qudag::queue {

enum class Pushed : std::uint8_t {
  queued,  ///< accepted; somebody else rings or has rung
  wake,    ///< accepted; ring the consumer
  full,    ///< refused, the item is as it was
  closed,  ///< refused, the item is as it was
};

template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t items_max)
      : mask_(std::bit_ceil(items_max < 2 ? std::size_t{2} : items_max) - 1),
        slots_(std::make_unique<Slot[]>(mask_ + 1)) {
    for (std::size_t i = 0; i <= mask_; ++i) {
      slots_[i].turn.store(i, std::memory_order_relaxed);
    }
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Moves from `item` only if it is accepted.
  Pushed push(T&& item) {
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    Slot* slot = nullptr;
    while (true) {
      if (tail & kClosed) return Pushed::closed;
      slot = &slots_[tail & mask_];
      const std::uint64_t turn = slot->turn.load(std::memory_order_acquire);
      if (turn == tail) {
        if (tail_.compare_exchange_weak(tail, tail + 1, std::memory_order_relaxed)) break;
      } else if (turn < tail) {  // still holds the item of one round ago
        refused_.fetch_add(1, std::memory_order_relaxed);
        return Pushed::full;
      } else {
        tail = tail_.load(std::memory_order_relaxed);
      }
    }
    slot->item.emplace(std::move(item));
    slot->turn.store(tail + 1, std::memory_order_release);
    // Two exchanges on one variable are ordered: either begin_drain() comes after this one and then
    // sees the item, or this one comes after and reads false.
    return rung_.exchange(true, std::memory_order_acq_rel) ? Pushed::queued : Pushed::wake;
  }

  /// Refuses everything from now on; what was accepted can still be taken.
  void close() { tail_.fetch_or(kClosed, std::memory_order_relaxed); }

  /// Before pop(): the next push rings again.
  void begin_drain() { rung_.exchange(false, std::memory_order_acq_rel); }

  /// Nothing when empty, or while the next item's producer is between claiming and filling; that
  /// producer rings when it is done.
  std::optional<T> pop() {
    Slot& slot = slots_[head_ & mask_];
    if (slot.turn.load(std::memory_order_acquire) != head_ + 1) return std::nullopt;
    std::optional<T> out = std::exchange(slot.item, std::nullopt);
    slot.turn.store(head_ + mask_ + 1, std::memory_order_release);
    ++head_;
    return out;
  }

  /// Closed, and everything that was accepted is taken.
  bool drained() const {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    return (tail & kClosed) != 0 && (tail & ~kClosed) == head_;
  }

  std::size_t items_max() const { return mask_ + 1; }
  /// Items that waited or wait, seen from the consumer.
  std::size_t depth() const {
    return static_cast<std::size_t>((tail_.load(std::memory_order_relaxed) & ~kClosed) - head_);
  }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;

  struct Slot {
    std::atomic<std::uint64_t> turn{0};
    std::optional<T> item;
  };

  const std::size_t mask_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> refused_{0};
  alignas(64) std::atomic<bool> rung_{false};
  alignas(64) std::uint64_t head_ = 0;  // the consumer's
};

}  // namespace qudag::queue
