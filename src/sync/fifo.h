// A growing circular buffer: first in, first out, without allocation once it has grown. It doubles,
// and never beyond what its owner says that it may hold.
#pragma once

#include "base/assert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qudag::sync {

template <class T>
class Fifo {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& front() {
    QUDAG_DCHECK(size_ > 0);
    return items_[first_];
  }

  const T& front() const {
    QUDAG_DCHECK(size_ > 0);
    return items_[first_];
  }

  /// There are fewer than `most`.
  void push_back(T item, std::size_t most = SIZE_MAX) {
    if (size_ == items_.size()) grow(most);
    items_[at(size_)] = std::move(item);
    ++size_;
  }

  T pop_front() {
    T item = std::move(front());
    items_[first_] = T{};
    first_ = at(1);
    --size_;
    return item;
  }

 private:
  std::size_t at(std::size_t i) const {
    const std::size_t place = first_ + i;
    return place < items_.size() ? place : place - items_.size();
  }
  void grow(std::size_t most) {
    std::vector<T> larger(std::min(most, items_.empty() ? 8 : items_.size() * 2));
    QUDAG_DCHECK(larger.size() > size_);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(items_[at(i)]);
    items_.swap(larger);
    first_ = 0;
  }

  std::vector<T> items_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace qudag::sync
