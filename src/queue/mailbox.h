// From any thread to one: a bounded lock-free queue that is emptied in batches.
//
// Every thread pushes on a lane of its own, as long as there are not more threads than lanes, so
// that producers do not meet. A lane is two stacks of slots: push() takes a slot from the free
// ones, fills it and puts it onto the waiting ones; drain() takes that whole stack at once, turns
// it round, so that the order is that of the pushes, and gives the slots back some at a time. Slots
// are used again before fresh ones, so that hardly more are ever touched than waited at one time. A
// lane without free slots takes a fresh one, or one of another lane: the bound is of all together.
//
// Waking is the owner's business: the push that finds its lane empty says `wake` (eventfd, a posted
// task, or the simulator's queue), so there is one for each batch, or one for each lane of it.
//
// The order of items is that of each thread's pushes; between threads there is none.
//
// A slot is taken from a free stack by several threads: its head carries a number that changes with
// every take, against a head that only looks unchanged (ABA; R. K. Treiber, 1986, and the IBM
// System/370 manual). The waiting stack needs none: it is only added to, or taken as a whole. The
// closing bit sits in its head, so after close() the set of accepted items is known.
//
// Threads: push() and close() on any, the rest on the consumer's. Limits: `items_max`.
#pragma once

#include "base/assert.h"
#include "base/bounded.h"
#include "base/mapped_array.h"
#include "memory/thread_number.h"
#include "queue/ledger.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace qudag::queue {

enum class Pushed : std::uint8_t {
  queued,  ///< accepted; somebody else wakes or has woken the consumer
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
        items_max_(static_cast<std::uint32_t>(items_max)),
        given_back_together_(std::clamp(items_max_ / (16 * kLanes), 1u, 32u)),
        slots_(items_max),
        next_(items_max) {
    QUDAG_ASSERT(!name.empty() && items_max > 0 && items_max < UINT32_MAX);
  }
  ~Mailbox() {
    drain([](T&&) {});
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Moves from `item` only if it is accepted.
  Pushed push(T&& item) {
    Lane& lane = lanes_[memory::this_thread() % kLanes];
    const std::uint32_t index = take_slot(lane);
    if (index == kNone) {
      if (closed()) return Pushed::closed;
      refused_.fetch_add(1, std::memory_order_relaxed);
      return Pushed::full;
    }
    Slot& slot = at(index);
    ::new (static_cast<void*>(slot.room)) T(std::move(item));
    std::uint64_t head = lane.waiting.load(std::memory_order_relaxed);
    do {
      if ((head & kClosed) != 0) {
        item = end(slot);
        give_back(lane, index, index);
        untaken_.fetch_add(1, std::memory_order_relaxed);
        return Pushed::closed;
      }
      next_of(index).store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
    } while (!lane.waiting.compare_exchange_weak(head, index, std::memory_order_release,
                                                 std::memory_order_relaxed));
    return head == kNone ? Pushed::wake : Pushed::queued;
  }

  /// Refuses everything from now on; what was accepted can still be taken.
  void close() {
    for (Lane& lane : lanes_) lane.waiting.fetch_or(kClosed, std::memory_order_relaxed);
  }
  bool closed() const {
    return (lanes_.back().waiting.load(std::memory_order_relaxed) & kClosed) != 0;
  }

  /// Takes what waits now: f(T&&) for each. f may push, and not drain. What is pushed from now on
  /// says `wake` again.
  template <class F>
  std::size_t drain(F&& f) {
    std::size_t taken = 0;
    for (Lane& lane : lanes_) {
      // Whoever pushes onto an empty lane after this look says `wake`.
      const std::uint64_t head = lane.waiting.load(std::memory_order_relaxed);
      if (static_cast<std::uint32_t>(head) != kNone) taken += drain(lane, f);
    }
    left_ += taken;
    return taken;
  }

  std::size_t items_max() const { return items_max_; }
  /// Items that wait, and those that are being pushed or drained at this moment.
  std::size_t depth() const {
    std::uint32_t held = fresh_.load(std::memory_order_relaxed);  // all modulo 2^32
    for (const Lane& lane : lanes_) {
      held += static_cast<std::uint32_t>(lane.free.load(std::memory_order_relaxed) >> 32);
    }
    return held - untaken_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_relaxed);
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
    out.items_max = items_max_;
    out.bytes = out.items * kSlotBytes;
    out.bytes_max = std::uint64_t{items_max_} * kSlotBytes;
    out.waited_p50 = waited_.percentile(50);
    out.waited_p99 = waited_.percentile(99);
    out.waited_max = waited_.max();
    out.entered = left_ + out.items;
    out.left = left_;
    out.drops[static_cast<std::size_t>(DropReason::items_full)] = refused();
    return out;
  }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
  static constexpr std::uint32_t kNone = 0;  // slots are numbered from 1
  static constexpr std::uint32_t kLanes = 8;

  struct Slot {
    alignas(T) std::byte room[sizeof(T)];
  };

  static constexpr std::size_t kSlotBytes = sizeof(Slot) + sizeof(std::uint32_t);

  struct Emptied {
    std::uint32_t first = kNone;
    std::uint32_t last = kNone;
    std::uint32_t count = 0;
  };
  struct Lane {
    alignas(64) std::atomic<std::uint64_t> free{0};     // slot, and above it the number of takes
    alignas(64) std::atomic<std::uint64_t> waiting{0};  // slot, and the closing bit
    alignas(64) Emptied emptied;                        // the consumer's, to be given back
  };

  Slot& at(std::uint32_t index) { return slots_[index - 1]; }
  /// The next of its stack. Apart from the slots, so that a stack is walked without fetching them.
  std::atomic<std::uint32_t>& next_of(std::uint32_t index) { return next_[index - 1]; }

  static T end(Slot& slot) {
    T& held = *std::launder(reinterpret_cast<T*>(slot.room));
    T item = std::move(held);
    held.~T();
    return item;
  }

  std::uint32_t take_slot(Lane& own) {
    if (const std::uint32_t index = take_free(own); index != kNone) return index;
    std::uint32_t fresh = fresh_.load(std::memory_order_relaxed);
    while (fresh < items_max_) {
      if (fresh_.compare_exchange_weak(fresh, fresh + 1, std::memory_order_relaxed)) {
        return fresh + 1;
      }
    }
    for (Lane& other : lanes_) {
      if (const std::uint32_t index = take_free(other); index != kNone) return index;
    }
    return kNone;
  }

  std::uint32_t take_free(Lane& lane) {
    std::uint64_t head = lane.free.load(std::memory_order_acquire);
    while (static_cast<std::uint32_t>(head) != kNone) {
      const auto index = static_cast<std::uint32_t>(head);
      // Perhaps somebody else's by now; then what is read here is not used.
      const std::uint64_t next = next_of(index).load(std::memory_order_relaxed);
      const std::uint64_t after = ((head >> 32) + 1) << 32 | next;
      if (lane.free.compare_exchange_weak(head, after, std::memory_order_acquire,
                                          std::memory_order_acquire)) {
        return index;
      }
    }
    return kNone;
  }

  /// A chain of slots from `first` to `last`.
  void give_back(Lane& lane, std::uint32_t first, std::uint32_t last) {
    std::uint64_t head = lane.free.load(std::memory_order_relaxed);
    std::uint64_t after = 0;
    do {
      next_of(last).store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
      after = (head >> 32) << 32 | first;
    } while (!lane.free.compare_exchange_weak(head, after, std::memory_order_release,
                                              std::memory_order_relaxed));
  }

  template <class F>
  std::size_t drain(Lane& lane, F& f) {
    std::uint32_t index = turned_round(
        static_cast<std::uint32_t>(lane.waiting.fetch_and(kClosed, std::memory_order_acquire)));
    std::size_t taken = 0;
    while (index != kNone) {
      const std::uint32_t next = next_of(index).load(std::memory_order_relaxed);
      if (next != kNone) __builtin_prefetch(&at(next));
      f(end(at(index)));
      empty(lane, index);
      index = next;
      ++taken;
    }
    return taken;
  }

  /// Slots go back together: one exchange with the producer for so many items.
  void empty(Lane& lane, std::uint32_t index) {
    taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    Emptied& emptied = lane.emptied;
    if (emptied.count == 0) emptied.last = index;
    next_of(index).store(std::exchange(emptied.first, index), std::memory_order_relaxed);
    if (++emptied.count < given_back_together_) return;
    give_back(lane, emptied.first, emptied.last);
    emptied = {};
  }

  std::uint32_t turned_round(std::uint32_t newest) {
    std::uint32_t previous = kNone;
    while (newest != kNone) {
      const std::uint32_t older = next_of(newest).load(std::memory_order_relaxed);
      next_of(newest).store(previous, std::memory_order_relaxed);
      previous = std::exchange(newest, older);
    }
    return previous;
  }

  const std::string_view name_;
  const std::uint32_t items_max_;
  const std::uint32_t given_back_together_;  // a sixteenth of the bound, at most, in every lane
  MappedArray<Slot> slots_;
  MappedArray<std::atomic<std::uint32_t>> next_;  // zeros at first
  std::array<Lane, kLanes> lanes_;
  alignas(64) std::atomic<std::uint32_t> fresh_{0};  // slots that were used at least once
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint32_t> untaken_{0};  // pushes that found it closed
  // The consumer's:
  alignas(64) std::atomic<std::uint32_t> taken_{0};
  std::uint64_t left_ = 0;
  WaitingTimes waited_;
};

}  // namespace qudag::queue
