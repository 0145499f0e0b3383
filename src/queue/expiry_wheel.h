// Deadlines of many things: a hierarchical timing wheel (Varghese and Lauck, 1987).
//
// A deadline is a tick number. Written in digits of 6 bits, it differs from the current tick first
// at some digit: that digit's position is the level, its value the slot. So the lowest level that
// has entries holds the earliest, and the lowest occupied slot of it (one bit operation) is what
// happens next: its entries expire or move to a lower level. An entry moves down at most once per
// level, therefore schedule and cancel are O(1) and expire() costs what it expires, not how much
// time went by. All 64 bits are covered, so no deadline is too far.
//
// An entry never expires early, and late by less than one `resolution` plus the time until
// expire() is called.
//
// Threads: one owner. Limits: `entries_max`, then schedule() gives a null handle.
#pragma once

#include "base/assert.h"
#include "base/slot_map.h"
#include "base/time.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qudag::queue {

template <class T>
class ExpiryWheel {
 public:
  using Handle = SlotHandle;

  ExpiryWheel(std::size_t entries_max, Duration resolution)
      : entries_max_(entries_max), resolution_(resolution.count()) {
    QUDAG_ASSERT(resolution_ > 0 && entries_max < UINT32_MAX - kLists);
    for (std::uint32_t list = 0; list < kLists; ++list) links_.push_back({list, list});
  }

  /// Null handle when entries_max is reached.
  Handle schedule(TimePoint deadline, T value) {
    const std::uint32_t index = take_entry();
    if (index == kNone) return {};
    Entry& entry = entries_[index];
    entry.tick = tick_after(deadline);
    entry.value = std::move(value);
    entry.used = true;
    ++size_;
    place(index);
    return {index, entry.generation};
  }

  /// False if it expired or was cancelled before.
  bool cancel(Handle handle) {
    if (!live(handle)) return false;
    unlink(handle.slot());
    free_entry(handle.slot());
    return true;
  }

  T* find(Handle handle) { return live(handle) ? &entries_[handle.slot()].value : nullptr; }

  /// Calls f(T&&) for every entry whose deadline is not after `now`, in order of ticks. f may
  /// schedule and cancel; what it schedules for the past comes with the next call.
  template <class F>
  std::size_t expire(TimePoint now, F&& f) {
    QUDAG_ASSERT(!expiring_);
    expiring_ = true;
    std::size_t expired = 0;
    const std::uint64_t until = tick_before(now);
    splice(kDueList, kFiringList);
    expired += fire(f);
    while (true) {
      const int level = lowest_level();
      if (level < 0) break;
      const std::uint64_t event = event_tick(level);
      if (event > until) break;
      current_ = event;
      const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[to_size(level)]));
      const std::uint32_t list = list_of(static_cast<unsigned>(level), slot);
      occupied_[to_size(level)] &= ~(std::uint64_t{1} << slot);
      // Down they go: those of this very tick to the firing list, the others to lower levels.
      while (links_[list].next != list) {
        const std::uint32_t index = links_[list].next - kLists;
        unlink(index);
        if (entries_[index].tick <= current_) {
          append(kFiringList, index);
        } else {
          place(index);
        }
      }
      expired += fire(f);
    }
    if (until > current_) current_ = until;
    expiring_ = false;
    return expired;
  }

  /// When to call expire() next: kNever if empty; at the earliest entry's tick, or before it when
  /// entries must move down first (at most once per level and entry).
  TimePoint next_deadline() const {
    if (size_ == 0) return kNever;
    if (links_[kDueList].next != kDueList) return time_of(current_);
    return time_of(event_tick(lowest_level()));
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t entries_max() const { return entries_max_; }

 private:
  static constexpr unsigned kDigitBits = 6;
  static constexpr unsigned kSlots = 1u << kDigitBits;
  static constexpr unsigned kLevels = (64 + kDigitBits - 1) / kDigitBits;  // 11
  static constexpr std::uint32_t kDueList = kLevels * kSlots;              // scheduled for the past
  static constexpr std::uint32_t kFiringList = kDueList + 1;               // being expired now
  static constexpr std::uint32_t kLists = kFiringList + 1;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Entry {
    std::uint64_t tick = 0;
    std::uint32_t generation = 1;
    bool used = false;
    T value{};
  };
  /// Circular lists by index: the first kLists are the heads, entry i is kLists + i.
  struct Links {
    std::uint32_t prev;
    std::uint32_t next;
  };

  static std::size_t to_size(int level) { return static_cast<std::size_t>(level); }
  static std::uint32_t list_of(unsigned level, unsigned slot) { return level * kSlots + slot; }

  /// The first tick that is not before the time, and the last that is not after it.
  std::uint64_t tick_after(TimePoint at) const {
    const auto ns = at.time_since_epoch().count();
    if (ns <= 0) return 0;
    return static_cast<std::uint64_t>((ns - 1) / resolution_ + 1);
  }
  std::uint64_t tick_before(TimePoint at) const {
    const auto ns = at.time_since_epoch().count();
    return ns <= 0 ? 0 : static_cast<std::uint64_t>(ns / resolution_);
  }
  TimePoint time_of(std::uint64_t tick) const {
    const auto last = static_cast<std::uint64_t>(kNever.time_since_epoch().count() / resolution_);
    if (tick >= last) return kNever;
    return TimePoint(Duration(static_cast<Duration::rep>(tick) * resolution_));
  }

  int lowest_level() const {
    for (unsigned level = 0; level < kLevels; ++level) {
      if (occupied_[level] != 0) return static_cast<int>(level);
    }
    return -1;
  }
  /// When the lowest occupied slot of the level begins.
  std::uint64_t event_tick(int level) const {
    const unsigned shift = static_cast<unsigned>(level) * kDigitBits;
    const unsigned above = shift + kDigitBits;
    const std::uint64_t upper = above >= 64 ? 0 : current_ >> above << above;
    const auto slot = static_cast<std::uint64_t>(std::countr_zero(occupied_[to_size(level)]));
    return upper | (slot << shift);
  }

  void place(std::uint32_t index) {
    const std::uint64_t tick = entries_[index].tick;
    if (tick <= current_) {
      append(kDueList, index);
      return;
    }
    const auto highest_bit = static_cast<unsigned>(std::bit_width(tick ^ current_)) - 1;
    const unsigned level = highest_bit / kDigitBits;
    const auto slot = static_cast<unsigned>((tick >> (level * kDigitBits)) & (kSlots - 1));
    occupied_[level] |= std::uint64_t{1} << slot;
    append(list_of(level, slot), index);
  }

  template <class F>
  std::size_t fire(F& f) {
    std::size_t count = 0;
    while (links_[kFiringList].next != kFiringList) {
      const std::uint32_t index = links_[kFiringList].next - kLists;
      unlink(index);
      T value = std::move(entries_[index].value);
      free_entry(index);
      f(std::move(value));
      ++count;
    }
    return count;
  }

  void append(std::uint32_t list, std::uint32_t index) {
    const std::uint32_t at = kLists + index;
    const std::uint32_t last = links_[list].prev;
    links_[at] = {last, list};
    links_[last].next = at;
    links_[list].prev = at;
  }

  void unlink(std::uint32_t index) {
    const Links l = links_[kLists + index];
    links_[l.prev].next = l.next;
    links_[l.next].prev = l.prev;
    // The last of its list: both neighbours are the head.
    if (l.prev == l.next && l.prev < kDueList) {
      occupied_[l.prev / kSlots] &= ~(std::uint64_t{1} << (l.prev % kSlots));
    }
  }

  void splice(std::uint32_t from, std::uint32_t to) {
    while (links_[from].next != from) {
      const std::uint32_t index = links_[from].next - kLists;
      unlink(index);
      append(to, index);
    }
  }

  bool live(Handle handle) const {
    return handle.slot() < entries_.size() && entries_[handle.slot()].used &&
           entries_[handle.slot()].generation == handle.generation();
  }

  std::uint32_t take_entry() {
    if (free_ != kNone) return std::exchange(free_, links_[kLists + free_].next);
    if (entries_.size() == entries_max_) return kNone;
    entries_.emplace_back();
    links_.push_back({kNone, kNone});
    return static_cast<std::uint32_t>(entries_.size() - 1);
  }

  void free_entry(std::uint32_t index) {
    Entry& entry = entries_[index];
    entry.value = T{};
    entry.used = false;
    if (++entry.generation == 0) entry.generation = 1;
    links_[kLists + index].next = free_;
    free_ = index;
    --size_;
  }

  std::size_t entries_max_;
  Duration::rep resolution_;
  std::uint64_t current_ = 0;  // everything up to this tick has expired
  std::array<std::uint64_t, kLevels> occupied_{};
  std::vector<Links> links_;
  std::vector<Entry> entries_;
  std::uint32_t free_ = kNone;
  std::size_t size_ = 0;
  bool expiring_ = false;
};

}  // namespace qudag::queue
