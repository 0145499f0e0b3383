// A queue whose items have an end, each its own.
//
// push():   1. an item that does not fit makes room of what has expired, or is refused;
//           2. it waits in a slot that was reserved with the queue, in the line, and with its end
//           on
//              a timing wheel.
// pop():    the first of the line; what has expired is dropped on the way, never served.
// expire(): drops what is due, wherever it stands: O(expired).
//
// It cannot be made without bounds (items, bytes and age) and somebody who is told of every item
// that expired. All operations are O(1), allocate nothing, and touch the item's slot and its
// neighbours only, however many wait.
//
// Threads: one owner. Limits: `Bounds`.
#pragma once

#include "base/assert.h"
#include "base/mapped_array.h"
#include "sync/ledger.h"
#include "sync/wheel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <utility>

namespace qudag::sync {

template <class T>
class Queue {
 public:
  /// Gets every item that expired. May push and pop.
  using Expired = std::function<void(T&&)>;

  /// `name`: static text. The policy of the bounds is drop_expired.
  Queue(std::string_view name, const Bounds& bounds, Expired expired)
      : name_(name), expired_(std::move(expired)), ledger_(bounds), slots_(bounds.items_max) {
    QUDAG_ASSERT(expired_ != nullptr && !name_.empty());
    QUDAG_ASSERT(bounds.when_full == WhenFull::drop_expired);
  }
  ~Queue() {
    while (first_ != nullptr) end(*first_);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// nullopt: the item waits, until the age of the bounds or `expires`. Otherwise it was refused,
  /// and `item` was not moved from.
  std::optional<DropReason> push(T&& item, std::size_t bytes, TimePoint now,
                                 TimePoint expires = kNever) {
    auto refusal = ledger_.refusal(bytes);
    if (refusal && *refusal != DropReason::too_large) [[unlikely]] {
      expire(now);
      refusal = ledger_.refusal(bytes);
    }
    if (refusal) [[unlikely]] {
      ledger_.refuse(*refusal);
      return refusal;
    }
    Slot& slot = take_slot();
    ::new (static_cast<void*>(slot.room)) T(std::move(item));
    slot.since = now;
    slot.bytes = bytes;
    slot.prev = last_;
    slot.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &slot;
    last_ = &slot;
    wheel_.set(slot, std::min(expires, now + ledger_.bounds().age_max));
    ledger_.enter(bytes);
    return std::nullopt;
  }

  std::optional<T> pop(TimePoint now) {
    while (first_ != nullptr) {
      Slot& front = *first_;
      if (wheel_.is_due(front, now)) {
        drop(front);
        continue;
      }
      ledger_.leave(front.bytes, std::max(Duration{0}, now - front.since));
      return end(front);
    }
    return std::nullopt;
  }

  /// Drops what has expired, and says how many that were.
  std::size_t expire(TimePoint now) {
    return wheel_.expire(now, [this](Timer& timer) { drop(static_cast<Slot&>(timer)); });
  }

  bool empty() const { return first_ == nullptr; }
  const Ledger& ledger() const { return ledger_; }

  void report(BoundedList& out, TimePoint now) const {
    const Duration oldest =
        first_ == nullptr ? Duration{0} : std::max(Duration{0}, now - first_->since);
    out.push_back(ledger_.report(name_, {}, oldest));
  }

 private:
  /// An item and all that is known of it: one line of the cache, if the item is a pointer.
  struct Slot : Timer {
    Slot* prev = nullptr;
    Slot* next = nullptr;  // in the line, or in the list of free slots
    TimePoint since{};
    std::size_t bytes = 0;
    alignas(T) std::byte room[sizeof(T)];

    T& item() { return *std::launder(reinterpret_cast<T*>(room)); }
  };

  void drop(Slot& slot) {
    ledger_.drop(slot.bytes, DropReason::expired);
    expired_(end(slot));
  }

  /// Takes the item out and frees its slot.
  T end(Slot& slot) {
    (slot.prev != nullptr ? slot.prev->next : first_) = slot.next;
    (slot.next != nullptr ? slot.next->prev : last_) = slot.prev;
    wheel_.clear(slot);
    T item = std::move(slot.item());
    slot.item().~T();
    slot.next = free_;
    free_ = &slot;
    return item;
  }

  Slot& take_slot() {
    if (free_ != nullptr) return *std::exchange(free_, free_->next);
    QUDAG_DCHECK(used_ < slots_.size());
    return *::new (static_cast<void*>(&slots_[used_++])) Slot;
  }

  std::string_view name_;
  Expired expired_;
  Ledger ledger_;
  Slot* first_ = nullptr;
  Slot* last_ = nullptr;
  Wheel wheel_{std::chrono::milliseconds(1)};
  MappedArray<Slot> slots_;
  std::size_t used_ = 0;  // slots that were used at least once
  Slot* free_ = nullptr;
};

}  // namespace qudag::sync
