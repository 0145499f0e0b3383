// A queue that is fair between those who fill it: a line for each of them, and lines take turns.
// Who floods waits for itself. When places run out, the longest line gives way; nobody else's does.
//
// Bounds are the owner's: it asks size() and length() before it pushes. Threads: one owner.
// Costs: a line that is not empty takes a node of a map; the longest one is found by looking at
// all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace qudag::sync {

template <class Item, class Key = std::uint64_t>
class FairLines {
 public:
  struct Popped {
    Key key;
    Item item;
  };

  void push(Key key, Item item) {
    lines_[key].push_back(std::move(item));
    ++size_;
  }
  /// The first of the line whose turn it is, in the order of their keys.
  std::optional<Popped> pop() {
    if (size_ == 0) return std::nullopt;
    auto line = lines_.upper_bound(served_);
    if (line == lines_.end()) line = lines_.begin();
    served_ = line->first;
    return Popped{served_, take_first(line)};
  }

  /// The longest line; one more counts for `own`, whose item is about to come. Not when empty.
  Key longest(Key own) const {
    const auto length = [&](const auto& line) { return line.second.size() + (line.first == own); };
    return std::ranges::max_element(lines_, {}, length)->first;
  }
  /// Of a line that is not empty.
  Item drop_first(Key key) { return take_first(lines_.find(key)); }
  Item drop_last(Key key) {
    const auto line = lines_.find(key);
    Item out = std::move(line->second.back());
    line->second.pop_back();
    shrunk(line);
    return out;
  }
  void forget(Key key) {
    const auto line = lines_.find(key);
    if (line == lines_.end()) return;
    size_ -= line->second.size();
    lines_.erase(line);
  }
  template <class Gone>
  void erase_if(Gone gone) {
    size_ = 0;
    for (auto& [key, line] : lines_) {
      std::erase_if(line, gone);
      size_ += line.size();
    }
    std::erase_if(lines_, [](const auto& line) { return line.second.empty(); });
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t length(Key key) const {
    const auto line = lines_.find(key);
    return line == lines_.end() ? 0 : line->second.size();
  }
  /// f(item) for the first of each line.
  template <class F>
  void for_each_first(F f) const {
    for (const auto& [key, line] : lines_) f(line.front());
  }

 private:
  using Lines = std::map<Key, std::deque<Item>>;
  Item take_first(typename Lines::iterator line) {
    Item out = std::move(line->second.front());
    line->second.pop_front();
    shrunk(line);
    return out;
  }
  void shrunk(typename Lines::iterator line) {
    --size_;
    if (line->second.empty()) lines_.erase(line);
  }

  Lines lines_;  // none is empty
  std::size_t size_ = 0;
  Key served_{};  // the line that had its turn last
};

}  // namespace qudag::sync
