// The queue of the product: a few levels, strictly the higher before the lower, and yet never
// nothing for the lower ones.
//
// push():   1. an item that does not fit makes room as its level's policy says, or is refused;
//           2. it waits in a slot that was reserved with the queue, in the line of its level, and
//           with its end on a timing wheel.
// pop():    the highest level that has an item, unless a lower one was passed over so often that
//           its guaranteed turn has come; what has expired is dropped on the way, never served.
// expire(): drops what is due, wherever it stands: O(expired).
//
// It cannot be made without bounds (items, bytes and age of every level), a policy for each, and
// somebody who is told of every item that is dropped. All operations are O(1), allocate nothing,
// and touch the item's slot and its neighbours only, however many wait.
//
// Threads: one owner. Limits: `Bounds`.
#pragma once

#include "base/assert.h"
#include "base/mapped_array.h"
#include "sync/codel.h"
#include "sync/ledger.h"
#include "sync/wheel.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace qudag::sync {

template <class T, std::size_t kLevels = kPriorityCount>
class Queue {
 public:
  struct Popped {
    T item;
    std::size_t level;
    std::size_t bytes;
    Duration waited;
  };
  /// Gets every item that is dropped. May push and pop.
  using Dropped = std::function<void(T&&, std::size_t level, DropReason)>;

  Queue(const Bounds<kLevels>& bounds, Dropped dropped)
      : name_(bounds.name), dropped_(std::move(dropped)), slots_(slots_of(bounds)) {
    QUDAG_ASSERT(dropped_ != nullptr && !name_.empty());
    for (std::size_t i = 0; i < kLevels; ++i) levels_[i].emplace(bounds.levels[i]);
  }
  ~Queue() {
    for (auto& level : levels_) {
      while (level->line.first != nullptr) end(*level, *level->line.first);
    }
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// nullopt: the item waits, until its level's age or `expires`. Otherwise it was refused, and
  /// `item` was not moved from.
  std::optional<DropReason> push(std::size_t level, T&& item, std::size_t bytes, TimePoint now,
                                 TimePoint expires = kNever) {
    Level& to = *levels_[level];
    auto refusal = to.ledger.refusal(bytes);
    if (refusal) [[unlikely]] {
      refusal = make_room(level, bytes, *refusal, now);
      if (refusal) {
        to.ledger.refuse(*refusal);
        return refusal;
      }
    }
    Slot& slot = take_slot();
    ::new (static_cast<void*>(slot.room)) T(std::move(item));
    slot.since = now;
    slot.bytes = bytes & kBytesMask;
    slot.level = static_cast<std::uint8_t>(level);
    to.line.push_back(slot);
    wheel_.set(slot, std::min(expires, now + to.ledger.bounds().age_max));
    to.ledger.enter(bytes);
    ++items_;
    return std::nullopt;
  }

  std::optional<Popped> pop(TimePoint now) {
    while (items_ > 0) {
      const std::size_t chosen = choose();
      Level& level = *levels_[chosen];
      Slot& front = *level.line.first;
      const Duration waited = std::max(Duration{0}, now - front.since);
      if (wheel_.is_due(front, now)) {
        drop(front, DropReason::expired);
      } else if (level.ledger.bounds().when_full == WhenFull::drop_waited &&
                 level.codel.drops(waited, level.ledger.items() == 1, now)) {
        drop(front, DropReason::waited);
      } else {
        serve(chosen);
        level.ledger.leave(front.bytes, waited);
        const std::size_t bytes = front.bytes;
        return Popped{end(level, front), chosen, bytes, waited};
      }
    }
    return std::nullopt;
  }

  /// At most `items_max` items in the order of pop(): f(Popped&&) for each.
  template <class F>
  std::size_t pop_batch(std::size_t items_max, TimePoint now, F&& f) {
    std::size_t popped = 0;
    while (popped < items_max) {
      auto one = pop(now);
      if (!one) break;
      ++popped;
      f(std::move(*one));
    }
    return popped;
  }

  /// Drops what has expired. Call it at next_deadline().
  std::size_t expire(TimePoint now) {
    return wheel_.expire(
        now, [this](Timer& timer) { drop(static_cast<Slot&>(timer), DropReason::expired); });
  }
  TimePoint next_deadline() const { return wheel_.next_deadline(); }

  /// Drops everything that waits at this level. What is pushed meanwhile stays.
  void purge(std::size_t level) {
    for (std::size_t n = items(level); n > 0; --n) {
      drop(*levels_[level]->line.first, DropReason::purged);
    }
  }

  bool empty() const { return items_ == 0; }
  std::size_t items() const { return items_; }
  std::size_t items(std::size_t level) const { return levels_[level]->ledger.items(); }
  const Ledger& ledger(std::size_t level) const { return levels_[level]->ledger; }
  /// Of those served, how many before an item of a higher level.
  std::uint64_t guaranteed(std::size_t level) const { return levels_[level]->guaranteed; }
  /// How long the front item of the level has waited.
  Duration oldest(std::size_t level, TimePoint now) const {
    const Slot* front = levels_[level]->line.first;
    return front == nullptr ? Duration{0} : std::max(Duration{0}, now - front->since);
  }

  void report(BoundedList& out, TimePoint now) const {
    for (std::size_t i = 0; i < kLevels; ++i) {
      out.push_back(levels_[i]->ledger.report(name_, level_name(i), oldest(i, now)));
    }
  }

 private:
  static constexpr std::uint64_t kBytesMask = (std::uint64_t{1} << 56) - 1;

  /// An item and all that is known of it: one line of the cache, if the item is a pointer.
  struct Slot : Timer {
    Slot* prev = nullptr;
    Slot* next = nullptr;  // in the line of its level, or in the list of free slots
    TimePoint since{};
    std::uint64_t bytes : 56 = 0;
    std::uint64_t level : 8 = 0;
    alignas(T) std::byte room[sizeof(T)];

    T& item() { return *std::launder(reinterpret_cast<T*>(room)); }
  };

  struct Line {
    Slot* first = nullptr;
    Slot* last = nullptr;

    void push_back(Slot& slot) {
      slot.prev = last;
      slot.next = nullptr;
      (last != nullptr ? last->next : first) = &slot;
      last = &slot;
    }
    void erase(Slot& slot) {
      (slot.prev != nullptr ? slot.prev->next : first) = slot.next;
      (slot.next != nullptr ? slot.next->prev : last) = slot.prev;
    }
  };

  struct Level {
    explicit Level(const LevelBounds& bounds)
        : ledger(bounds), codel(bounds.wait_target, bounds.wait_interval) {}
    Ledger ledger;
    CoDel codel;
    Line line;
    std::uint32_t passed_over = 0;  // pops since it was served, while it had items
    std::uint64_t guaranteed = 0;
  };

  static std::size_t slots_of(const Bounds<kLevels>& bounds) {
    std::size_t sum = 0;
    for (const LevelBounds& level : bounds.levels) {
      QUDAG_ASSERT(level.bytes_max <= kBytesMask);
      sum += level.items_max;
    }
    return sum;
  }
  static constexpr std::string_view level_name(std::size_t level) {
    if constexpr (kLevels == kPriorityCount) return qudag::name_of(static_cast<Priority>(level));
    return {};
  }

  std::optional<DropReason> make_room(std::size_t level, std::size_t bytes, DropReason refusal,
                                      TimePoint now) {
    if (refusal == DropReason::too_large) return refusal;
    Level& to = *levels_[level];
    if (to.ledger.bounds().when_full == WhenFull::drop_oldest) {
      while (to.ledger.refusal(bytes)) drop(*to.line.first, DropReason::oldest);
      return std::nullopt;
    }
    if (to.ledger.bounds().when_full == WhenFull::drop_expired) expire(now);
    return to.ledger.refusal(bytes);
  }

  std::size_t choose() const {
    std::size_t highest = 0;
    while (levels_[highest]->line.first == nullptr) ++highest;
    for (std::size_t i = highest + 1; i < kLevels; ++i) {
      const Level& level = *levels_[i];
      const std::uint32_t every = level.ledger.bounds().serve_every;
      if (every > 0 && level.line.first != nullptr && level.passed_over + 1 >= every) return i;
    }
    return highest;
  }

  void serve(std::size_t chosen) {
    bool before_higher = false;
    for (std::size_t i = 0; i < kLevels; ++i) {
      Level& level = *levels_[i];
      const bool waits = level.line.first != nullptr;
      before_higher |= waits && i < chosen;
      level.passed_over = i == chosen || !waits ? 0 : level.passed_over + 1;
    }
    if (before_higher) ++levels_[chosen]->guaranteed;
  }

  void drop(Slot& slot, DropReason reason) {
    const std::size_t number = slot.level;
    Level& level = *levels_[number];
    level.ledger.drop(slot.bytes, reason);
    dropped_(end(level, slot), number, reason);
  }

  /// Takes the item out and frees its slot.
  T end(Level& level, Slot& slot) {
    level.line.erase(slot);
    wheel_.clear(slot);
    T item = std::move(slot.item());
    slot.item().~T();
    slot.next = free_;
    free_ = &slot;
    --items_;
    return item;
  }

  Slot& take_slot() {
    if (free_ != nullptr) return *std::exchange(free_, free_->next);
    QUDAG_DCHECK(used_ < slots_.size());
    return *::new (static_cast<void*>(&slots_[used_++])) Slot;
  }

  std::string_view name_;
  Dropped dropped_;
  std::array<std::optional<Level>, kLevels> levels_;
  Wheel wheel_{std::chrono::milliseconds(1)};
  MappedArray<Slot> slots_;
  std::size_t used_ = 0;  // slots that were used at least once
  Slot* free_ = nullptr;
  std::size_t items_ = 0;
};

}  // namespace qudag::sync
