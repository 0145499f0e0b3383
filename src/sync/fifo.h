// A growing circular buffer: first in, first out, without allocation once it has grown.
#pragma once

#include "base/assert.h"

#include <cstddef>
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

  void push_back(T item) {
    if (size_ == items_.size()) grow();
    items_[(first_ + size_) & (items_.size() - 1)] = std::move(item);
    ++size_;
  }

  T pop_front() {
    T item = std::move(front());
    items_[first_] = T{};
    first_ = (first_ + 1) & (items_.size() - 1);
    --size_;
    return item;
  }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 8 : items_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) {
      larger[i] = std::move(items_[(first_ + i) & (items_.size() - 1)]);
    }
    items_.swap(larger);
    first_ = 0;
  }

  std::vector<T> items_;  // a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace qudag::sync
