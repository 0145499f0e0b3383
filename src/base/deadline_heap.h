// The timers of many objects: a binary heap that knows where each one stands in it, so that a
// deadline moves in O(log n) and without allocating. 16 bytes for each object that has one.
//
// Threads: one owner. An object leaves the heap before it ends, and does not move.
#pragma once

#include "base/assert.h"
#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qudag {

/// What a member of the heap embeds.
struct DeadlineHook {
  static constexpr std::uint32_t kOut = UINT32_MAX;
  std::uint32_t place = kOut;
};

/// `T` has a public member `deadline_hook` of type DeadlineHook.
template <class T>
class DeadlineHeap {
 public:
  bool empty() const { return heap_.empty(); }
  TimePoint earliest() const { return heap_.empty() ? kNever : heap_.front().at; }
  T* first() const { return heap_.empty() ? nullptr : heap_.front().item; }

  /// Adds, moves or (kNever) removes.
  void set(T& item, TimePoint at) {
    std::size_t place = item.deadline_hook.place;
    if (at == kNever) {
      remove(item);
      return;
    }
    if (place == DeadlineHook::kOut) {
      place = heap_.size();
      QUDAG_ASSERT(place < DeadlineHook::kOut);
      heap_.push_back({at, &item});
      item.deadline_hook.place = static_cast<std::uint32_t>(place);
    } else {
      heap_[place].at = at;
    }
    down(up(place));
  }

  void remove(T& item) {
    const std::size_t place = item.deadline_hook.place;
    if (place == DeadlineHook::kOut) return;
    item.deadline_hook.place = DeadlineHook::kOut;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (place == heap_.size()) return;
    put(place, last);
    down(up(place));
  }

 private:
  struct Entry {
    TimePoint at;
    T* item;
  };

  void put(std::size_t place, const Entry& entry) {
    heap_[place] = entry;
    entry.item->deadline_hook.place = static_cast<std::uint32_t>(place);
  }

  std::size_t up(std::size_t place) {
    const Entry moving = heap_[place];
    while (place > 0) {
      const std::size_t parent = (place - 1) / 2;
      if (heap_[parent].at <= moving.at) break;
      put(place, heap_[parent]);
      place = parent;
    }
    put(place, moving);
    return place;
  }

  void down(std::size_t place) {
    const Entry moving = heap_[place];
    for (;;) {
      std::size_t child = 2 * place + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1].at < heap_[child].at) ++child;
      if (moving.at <= heap_[child].at) break;
      put(place, heap_[child]);
      place = child;
    }
    put(place, moving);
  }

  std::vector<Entry> heap_;
};

}  // namespace qudag
