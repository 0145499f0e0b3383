// A queue that is fair between those who fill it: a line for each of them, and lines take turns.
// Who floods waits for itself. When places run out, the longest line gives way; nobody else's does.
//
// All places are there from construction: nothing allocates later, unless an item does. Bounds are
// the owner's: it asks size() and length() before it pushes. Threads: one owner.
// Costs: lines lie in a sorted row, so a new one or one that ends moves those behind it (32 bytes
// each); the longest one is found by looking at all.
#pragma once

#include "base/assert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace qudag::sync {

template <class Item, class Key = std::uint64_t>
class FairLines {
 public:
  struct Popped {
    Key key;
    Item item;
  };

  explicit FairLines(std::size_t items_max) : places_(items_max) {
    lines_.reserve(items_max);
    for (std::size_t i = items_max; i-- > 0;) give(static_cast<std::uint32_t>(i));
  }

  /// There are fewer than items_max.
  void push(Key key, Item item) {
    QUDAG_ASSERT(free_ != kNone);
    const std::uint32_t place = std::exchange(free_, places_[free_].next);
    places_[place].item = std::move(item);
    places_[place].next = kNone;
    auto line = at(key);
    if (line == lines_.end() || line->key != key) {
      line = lines_.insert(line, Line{key, kNone, kNone, 0});
    }
    (line->size == 0 ? line->first : places_[line->last].next) = place;
    line->last = place;
    ++line->size;
    ++size_;
  }
  /// The first of the line whose turn it is, in the order of their keys.
  std::optional<Popped> pop() {
    if (size_ == 0) return std::nullopt;
    auto line = std::ranges::upper_bound(lines_, served_, {}, &Line::key);
    if (line == lines_.end()) line = lines_.begin();
    served_ = line->key;
    return Popped{served_, take_first(line)};
  }

  /// The longest line; one more counts for `own`, whose item is about to come. Not when empty.
  Key longest(Key own) const {
    const auto length = [&](const Line& line) { return line.size + (line.key == own); };
    return std::ranges::max_element(lines_, {}, length)->key;
  }
  /// Of a line that is not empty.
  Item drop_first(Key key) { return take_first(at(key)); }
  Item drop_last(Key key) {
    const auto line = at(key);
    std::uint32_t before = line->first;
    if (line->size == 1) return take_first(line);
    while (places_[before].next != line->last) before = places_[before].next;
    Item out = take(std::exchange(line->last, before));
    places_[before].next = kNone;
    --line->size;
    --size_;
    return out;
  }
  void forget(Key key) {
    const auto line = at(key);
    if (line == lines_.end() || line->key != key) return;
    for (std::uint32_t one = line->first; one != kNone;) {
      const std::uint32_t next = places_[one].next;
      static_cast<void>(take(one));
      one = next;
    }
    size_ -= line->size;
    lines_.erase(line);
  }
  template <class Gone>
  void erase_if(Gone gone) {
    for (Line& line : lines_) {
      const Line old = std::exchange(line, Line{line.key, kNone, kNone, 0});
      for (std::uint32_t one = old.first; one != kNone;) {
        const std::uint32_t next = std::exchange(places_[one].next, kNone);
        if (gone(places_[one].item)) {
          static_cast<void>(take(one));
          --size_;
        } else {
          (line.size == 0 ? line.first : places_[line.last].next) = one;
          line.last = one;
          ++line.size;
        }
        one = next;
      }
    }
    std::erase_if(lines_, [](const Line& line) { return line.size == 0; });
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t length(Key key) const {
    const auto line = std::ranges::lower_bound(lines_, key, {}, &Line::key);
    return line == lines_.end() || line->key != key ? 0 : line->size;
  }
  /// f(item) for the first of each line.
  template <class F>
  void for_each_first(F f) const {
    for (const Line& line : lines_) f(places_[line.first].item);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Place {
    Item item{};
    std::uint32_t next = kNone;  // of its line, or of the free ones
  };
  struct Line {
    Key key;
    std::uint32_t first, last;
    std::uint32_t size;
  };
  using Lines = std::vector<Line>;

  typename Lines::iterator at(Key key) {
    return std::ranges::lower_bound(lines_, key, {}, &Line::key);
  }
  void give(std::uint32_t place) { places_[place].next = std::exchange(free_, place); }
  Item take(std::uint32_t place) {
    Item out = std::exchange(places_[place].item, Item{});
    give(place);
    return out;
  }
  Item take_first(typename Lines::iterator line) {
    const std::uint32_t first = line->first;
    line->first = places_[first].next;
    Item out = take(first);
    --size_;
    if (--line->size == 0) lines_.erase(line);
    return out;
  }

  std::vector<Place> places_;
  std::uint32_t free_ = kNone;
  Lines lines_;  // by key; none is empty
  std::size_t size_ = 0;
  Key served_{};  // the line that had its turn last
};

}  // namespace qudag::sync
