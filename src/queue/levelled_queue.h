// A bounded queue with a level per message class: high before normal before low, and yet never
// nothing for the lower ones.
//
// push():  1. an item larger than its level's byte bound is refused; 2. a full level refuses the
//          item or drops its oldest ones, as the level's policy says; 3. the item waits in a slot
//          that was allocated with the queue.
// pop():   the highest level that has an item, unless a lower one was passed over so often that its
//          guaranteed turn has come.
//
// Threads: one owner. Limits: items and bytes per level, fixed at construction. Both operations are
// O(1); drop_oldest drops each item once, so it is O(1) per item pushed.
#pragma once

#include "base/assert.h"
#include "base/time.h"

#include <qudag/message.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace qudag::queue {

/// What a level does when an item does not fit.
enum class WhenFull : std::uint8_t {
  refuse_new,   ///< the pusher hears it and keeps the item: backpressure
  drop_oldest,  ///< what has waited longest is worth least: live data
};

/// Why an item did not get through.
enum class DropReason : std::uint8_t {
  items_full,  ///< refused: the level's number of items
  bytes_full,  ///< refused: the level's bytes
  too_large,   ///< refused: larger than the level's bytes, it could never fit
  oldest,      ///< dropped to make room for a newer item
  cleared,     ///< dropped by clear()
};
inline constexpr std::size_t kDropReasonCount = 5;

struct LevelOptions {
  std::size_t items_max = 1024;
  std::size_t bytes_max = std::size_t{1} << 20;
  WhenFull when_full = WhenFull::refuse_new;
  /// While it has items, a level is served at least once in this many pops, or one later when
  /// normal's turn comes at the same time; 0: no guarantee. The shares of both lower levels must
  /// add up to less than one. Has no meaning for high.
  std::uint32_t serve_every = 0;
};

using LevelledQueueOptions = std::array<LevelOptions, kClassCount>;

/// A sixteenth for low and an eighth for normal, however much high there is.
inline LevelledQueueOptions default_levels() {
  LevelledQueueOptions options{};
  options[static_cast<std::size_t>(Class::normal)].serve_every = 8;
  options[static_cast<std::size_t>(Class::low)].serve_every = 16;
  return options;
}

struct LevelStats {
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  std::uint64_t guaranteed = 0;  // of those popped, how many before a higher level's item
  std::array<std::uint64_t, kDropReasonCount> drops{};
  std::size_t items_peak = 0;
  std::size_t bytes_peak = 0;
};

template <class T>
class LevelledQueue {
 public:
  struct Popped {
    T item;
    Class cls;
    std::size_t bytes;
    Duration waited;
  };

  explicit LevelledQueue(const LevelledQueueOptions& options) {
    for (std::size_t i = 0; i < kClassCount; ++i) {
      QUDAG_ASSERT(options[i].items_max > 0);
      levels_[i].options = options[i];
      levels_[i].slots = std::make_unique<Slot[]>(options[i].items_max);
    }
  }

  /// nullopt: the item waits. Otherwise it was refused, and `item` was not moved from.
  /// `on_drop(T&&, DropReason)` gets what drop_oldest throws out.
  template <class OnDrop>
  std::optional<DropReason> push(Class cls, T&& item, std::size_t bytes, TimePoint now,
                                 OnDrop&& on_drop) {
    Level& level = level_of(cls);
    if (bytes > level.options.bytes_max) return refuse(level, DropReason::too_large);
    while (level.count == level.options.items_max ||
           bytes > level.options.bytes_max - level.bytes) {
      if (level.options.when_full == WhenFull::refuse_new) {
        return refuse(level, level.count == level.options.items_max ? DropReason::items_full
                                                                    : DropReason::bytes_full);
      }
      count_drop(level, DropReason::oldest);
      Slot oldest = take_front(level);
      on_drop(std::move(*oldest.item), DropReason::oldest);
    }
    const std::size_t at = (level.first + level.count) % level.options.items_max;
    level.slots[at] = Slot{std::move(item), bytes, now};
    ++level.count;
    level.bytes += bytes;
    ++level.stats.pushed;
    level.stats.items_peak = std::max(level.stats.items_peak, level.count);
    level.stats.bytes_peak = std::max(level.stats.bytes_peak, level.bytes);
    ++items_;
    return std::nullopt;
  }

  /// For levels that refuse; what drop_oldest throws out just ends.
  std::optional<DropReason> push(Class cls, T&& item, std::size_t bytes, TimePoint now) {
    return push(cls, std::move(item), bytes, now, [](T&&, DropReason) {});
  }

  std::optional<Popped> pop(TimePoint now) {
    const std::size_t highest = first_with_items();
    if (highest == kClassCount) return std::nullopt;
    std::size_t chosen = highest;
    for (std::size_t i = highest + 1; i < kClassCount; ++i) {
      if (is_due(levels_[i])) {
        chosen = i;
        break;
      }
    }
    for (std::size_t i = 0; i < kClassCount; ++i) {
      if (i == chosen || levels_[i].count == 0) {
        levels_[i].passed_over = 0;
      } else {
        ++levels_[i].passed_over;
      }
    }
    Level& level = levels_[chosen];
    ++level.stats.popped;
    if (chosen != highest) ++level.stats.guaranteed;
    Slot slot = take_front(level);
    return Popped{std::move(*slot.item), static_cast<Class>(chosen), slot.bytes,
                  std::max(Duration{0}, now - slot.since)};
  }

  /// Throws out everything that waits at this level.
  template <class OnDrop>
  void clear(Class cls, OnDrop&& on_drop) {
    Level& level = level_of(cls);
    // Not until empty: on_drop may push.
    for (std::size_t n = level.count; n > 0; --n) {
      count_drop(level, DropReason::cleared);
      Slot slot = take_front(level);
      on_drop(std::move(*slot.item), DropReason::cleared);
    }
  }

  bool empty() const { return items_ == 0; }
  std::size_t items() const { return items_; }
  std::size_t items(Class cls) const { return level_of(cls).count; }
  std::size_t bytes(Class cls) const { return level_of(cls).bytes; }
  const LevelStats& stats(Class cls) const { return level_of(cls).stats; }
  /// How long the front item of the level has waited: what the queue is judged by.
  Duration oldest(Class cls, TimePoint now) const {
    const Level& level = level_of(cls);
    if (level.count == 0) return Duration{0};
    return std::max(Duration{0}, now - level.slots[level.first].since);
  }

 private:
  struct Slot {
    std::optional<T> item;
    std::size_t bytes = 0;
    TimePoint since{};
  };
  struct Level {
    LevelOptions options;
    std::unique_ptr<Slot[]> slots;  // a ring
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t bytes = 0;
    std::uint32_t passed_over = 0;  // pops since it was served, while it had items
    LevelStats stats;
  };

  Level& level_of(Class cls) { return levels_[static_cast<std::size_t>(cls)]; }
  const Level& level_of(Class cls) const { return levels_[static_cast<std::size_t>(cls)]; }

  std::size_t first_with_items() const {
    std::size_t i = 0;
    while (i < kClassCount && levels_[i].count == 0) ++i;
    return i;
  }

  static bool is_due(const Level& level) {
    return level.count > 0 && level.options.serve_every > 0 &&
           level.passed_over + 1 >= level.options.serve_every;
  }

  static void count_drop(Level& level, DropReason reason) {
    ++level.stats.drops[static_cast<std::size_t>(reason)];
  }
  static DropReason refuse(Level& level, DropReason reason) {
    count_drop(level, reason);
    return reason;
  }

  Slot take_front(Level& level) {
    Slot slot = std::exchange(level.slots[level.first], Slot{});
    level.first = (level.first + 1) % level.options.items_max;
    --level.count;
    level.bytes -= slot.bytes;
    --items_;
    return slot;
  }

  std::array<Level, kClassCount> levels_;
  std::size_t items_ = 0;
};

}  // namespace qudag::queue
