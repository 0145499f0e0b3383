// Deadlines of many things: a hierarchical timing wheel (Varghese and Lauck, 1987).
//
// A deadline is a tick number. Written in digits of 6 bits, it differs from the current tick first
// at some digit: that digit's position is the level, its value the slot. So the lowest level that
// has timers holds the earliest, and the lowest occupied slot of it (one bit operation) is what
// happens next: its timers expire or move to a lower level. A timer moves down at most once per
// level, therefore set and clear are O(1) and expire() costs what it expires, not how much time
// went by. All 64 bits are covered, so no deadline is too far.
//
// A timer is part of the record that it is about: the wheel owns nothing and allocates nothing. It
// never fires early, and late by less than one `resolution` plus the time until expire() is called.
//
// Threads: one owner. Limits: none of its own; the records have theirs. 11 KB.
#pragma once

#include "base/assert.h"
#include "base/time.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace qudag::sync {

/// Base of a record with a deadline. It must not move or end while it is set.
class Timer {
 public:
  bool is_set() const { return hook_.next != nullptr; }

 private:
  friend class Wheel;
  struct Hook {
    Hook* prev = nullptr;
    Hook* next = nullptr;
  };
  Hook hook_;  // first: a Hook* in a list is its Timer
  std::uint64_t tick_ = 0;
};

class Wheel {
 public:
  explicit Wheel(Duration resolution) : resolution_(resolution.count()) {
    QUDAG_ASSERT(resolution_ > 0);
    for (Hook& list : lists_) list = {&list, &list};
  }
  Wheel(const Wheel&) = delete;
  Wheel& operator=(const Wheel&) = delete;

  /// Sets the timer, or moves it. kNever only clears.
  void set(Timer& timer, TimePoint deadline) {
    clear(timer);
    if (deadline == kNever) return;
    timer.tick_ = tick_after(deadline);
    ++size_;
    place(timer);
  }
  /// Nothing if it is not set.
  void clear(Timer& timer) {
    if (!timer.is_set()) return;
    unlink(timer);
    --size_;
  }
  bool is_due(const Timer& timer, TimePoint now) const {
    return timer.is_set() && timer.tick_ <= tick_before(now);
  }

  /// Calls f(Timer&) for every timer whose deadline is not after `now`, in order of ticks; it is no
  /// longer set then. f may set and clear; what it sets to the past comes with the next call.
  template <class F>
  std::size_t expire(TimePoint now, F&& f) {
    QUDAG_ASSERT(!expiring_);
    expiring_ = true;
    const std::uint64_t until = tick_before(now);
    splice(lists_[kDueList], lists_[kFiringList]);
    std::size_t expired = fire(f);
    while (true) {
      const int level = lowest_level();
      if (level < 0) break;
      const std::uint64_t event = event_tick(level);
      if (event > until) break;
      current_ = event;
      const auto slot = static_cast<std::size_t>(std::countr_zero(occupied_[to_size(level)]));
      occupied_[to_size(level)] &= ~(std::uint64_t{1} << slot);
      // Down they go: those of this very tick to the firing list, the others to lower levels.
      Hook& list = lists_[to_size(level) * kSlots + slot];
      while (list.next != &list) {
        Timer& timer = timer_of(*list.next);
        unlink(timer);
        if (timer.tick_ <= current_) {
          append(lists_[kFiringList], timer);
        } else {
          place(timer);
        }
      }
      expired += fire(f);
    }
    if (until > current_) current_ = until;
    expiring_ = false;
    return expired;
  }

  /// When to call expire() next: kNever if nothing is set; at the earliest timer's tick, or before
  /// it when timers must move down first (at most once per level and timer).
  TimePoint next_deadline() const {
    if (size_ == 0) return kNever;
    if (lists_[kDueList].next != &lists_[kDueList]) return time_of(current_);
    const int level = lowest_level();
    // Nothing in a slot: what is left is being fired at this moment.
    return level < 0 ? time_of(current_) : time_of(event_tick(level));
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  using Hook = Timer::Hook;
  static constexpr unsigned kDigitBits = 6;
  static constexpr std::size_t kSlots = 1u << kDigitBits;
  static constexpr std::size_t kLevels = (64 + kDigitBits - 1) / kDigitBits;  // 11
  static constexpr std::size_t kDueList = kLevels * kSlots;                   // set to the past
  static constexpr std::size_t kFiringList = kDueList + 1;                    // being expired now
  static constexpr std::size_t kLists = kFiringList + 1;

  static std::size_t to_size(int level) { return static_cast<std::size_t>(level); }
  static Timer& timer_of(Hook& links) { return reinterpret_cast<Timer&>(links); }

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
    for (std::size_t level = 0; level < kLevels; ++level) {
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

  void place(Timer& timer) {
    if (timer.tick_ <= current_) return append(lists_[kDueList], timer);
    const auto highest_bit = static_cast<unsigned>(std::bit_width(timer.tick_ ^ current_)) - 1;
    const unsigned level = highest_bit / kDigitBits;
    const std::size_t slot = (timer.tick_ >> (level * kDigitBits)) & (kSlots - 1);
    occupied_[level] |= std::uint64_t{1} << slot;
    append(lists_[level * kSlots + slot], timer);
  }

  template <class F>
  std::size_t fire(F& f) {
    Hook& firing = lists_[kFiringList];
    std::size_t count = 0;
    while (firing.next != &firing) {
      Timer& timer = timer_of(*firing.next);
      clear(timer);
      f(timer);
      ++count;
    }
    return count;
  }

  static void append(Hook& list, Timer& timer) {
    timer.hook_ = {list.prev, &list};
    list.prev->next = &timer.hook_;
    list.prev = &timer.hook_;
  }

  void unlink(Timer& timer) {
    const Hook l = timer.hook_;
    l.prev->next = l.next;
    l.next->prev = l.prev;
    timer.hook_ = {};
    if (l.prev != l.next) return;
    // Both neighbours are the head: it was the last of its list. (Two timers are never each other's
    // both neighbours, because the head stands between.)
    const auto list = static_cast<std::size_t>(l.prev - lists_.data());
    if (list < kDueList) occupied_[list / kSlots] &= ~(std::uint64_t{1} << (list % kSlots));
  }

  static void splice(Hook& from, Hook& to) {
    if (from.next == &from) return;
    from.next->prev = to.prev;
    to.prev->next = from.next;
    from.prev->next = &to;
    to.prev = from.prev;
    from = {&from, &from};
  }

  Duration::rep resolution_;
  std::uint64_t current_ = 0;  // everything up to this tick has expired
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<Hook, kLists> lists_;
  std::size_t size_ = 0;
  bool expiring_ = false;
};

}  // namespace qudag::sync
