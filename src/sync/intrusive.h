// Lists and tables whose links are in the records themselves: with records from a SlotMap they keep
// every operation on a message O(1) and free of allocation once the working set has grown.
#pragma once

#include "base/assert.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qudag::sync {

template <class T>
struct Links {
  T* previous = nullptr;
  T* next = nullptr;
  bool linked = false;
};

/// A doubly linked list; a record is in at most one list per Links member. Owns nothing.
template <class T, Links<T> T::*kLinks>
class List {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T* front() const { return front_; }
  static T* next(const T& record) { return (record.*kLinks).next; }
  static bool contains(const T& record) { return (record.*kLinks).linked; }

  void push_back(T& record) { insert(record, back_, nullptr); }
  void push_front(T& record) { insert(record, nullptr, front_); }

  void erase(T& record) {
    Links<T>& links = record.*kLinks;
    QUDAG_DCHECK(links.linked);
    (links.previous != nullptr ? (links.previous->*kLinks).next : front_) = links.next;
    (links.next != nullptr ? (links.next->*kLinks).previous : back_) = links.previous;
    links = {};
    --size_;
  }

  T* pop_front() {
    T* record = front_;
    if (record != nullptr) erase(*record);
    return record;
  }

  /// Puts all of `other` before our first, in its order.
  void splice_front(List& other) {
    if (other.empty()) return;
    (other.back_->*kLinks).next = front_;
    (front_ != nullptr ? (front_->*kLinks).previous : back_) = other.back_;
    front_ = other.front_;
    size_ += other.size_;
    other = List{};
  }

 private:
  void insert(T& record, T* after, T* before) {
    Links<T>& links = record.*kLinks;
    QUDAG_DCHECK(!links.linked);
    links = {after, before, true};
    (after != nullptr ? (after->*kLinks).next : front_) = &record;
    (before != nullptr ? (before->*kLinks).previous : back_) = &record;
    ++size_;
  }

  T* front_ = nullptr;
  T* back_ = nullptr;
  std::size_t size_ = 0;
};

/// A hash table over records, chained through a member. Traits: `static const Key& key(const T&)`
/// and `std::uint64_t hash(const Key&) const`. Grows with its size, allocates nothing else.
template <class T, T* T::*kNext, class Traits>
class Index {
 public:
  explicit Index(Traits traits = {}) : traits_(traits) {}

  std::size_t size() const { return size_; }

  template <class Key>
  T* find(const Key& key) const {
    if (size_ == 0) return nullptr;
    T* record = buckets_[slot(key)];
    while (record != nullptr && !(Traits::key(*record) == key)) record = record->*kNext;
    return record;
  }

  void insert(T& record) {
    if (size_ >= buckets_.size()) grow();
    T*& bucket = buckets_[slot(Traits::key(record))];
    record.*kNext = bucket;
    bucket = &record;
    ++size_;
  }

  void erase(T& record) {
    T** at = &buckets_[slot(Traits::key(record))];
    while (*at != &record) at = &((*at)->*kNext);
    *at = record.*kNext;
    record.*kNext = nullptr;
    --size_;
  }

 private:
  template <class Key>
  std::size_t slot(const Key& key) const {
    return static_cast<std::size_t>(traits_.hash(key)) & (buckets_.size() - 1);
  }

  void grow() {
    std::vector<T*> old(buckets_.empty() ? 8 : buckets_.size() * 2, nullptr);
    old.swap(buckets_);
    for (T* record : old) {
      while (record != nullptr) {
        T* next = record->*kNext;
        T*& bucket = buckets_[slot(Traits::key(*record))];
        record->*kNext = bucket;
        bucket = record;
        record = next;
      }
    }
  }

  Traits traits_;
  std::vector<T*> buckets_;
  std::size_t size_ = 0;
};

}  // namespace qudag::sync
