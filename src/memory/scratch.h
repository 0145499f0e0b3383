// Memory for one turn of a loop: allocation moves a pointer, reset() at the end of the turn takes
// everything back at once. No destructors run, so only trivially destructible types are given out.
//
// A turn that needs more than the arena holds gets a second piece from the system; reset() then
// makes one piece of that size, so that turns like it allocate nothing any more.
//
// Threads: one owner. Limits: `bytes_max` in one turn, then nullptr or an empty span.
#pragma once

#include "base/assert.h"
#include "base/bytes.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

namespace qudag::memory {

class Scratch {
 public:
  explicit Scratch(std::size_t bytes_start, std::size_t bytes_max)
      : bytes_max_(std::max(bytes_start, bytes_max)) {
    add_piece(bytes_start);
  }

  /// Valid until reset(). nullptr beyond the bound. Alignment up to that of new.
  void* allocate(std::size_t bytes, std::size_t alignment) {
    QUDAG_DCHECK(alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    const std::size_t at = (used_ + alignment - 1) & ~(alignment - 1);
    if (at <= pieces_.back().size && bytes <= pieces_.back().size - at) {
      turn_bytes_ += bytes + (at - used_);
      used_ = at + bytes;
      return pieces_.back().data.get() + at;
    }
    if (bytes > bytes_max_ - std::min(turn_bytes_, bytes_max_)) {
      ++refused_;
      return nullptr;
    }
    add_piece(std::max(bytes, pieces_.back().size));
    turn_bytes_ += bytes;
    used_ = bytes;
    return pieces_.back().data.get();
  }

  /// n value-initialised objects; empty beyond the bound.
  template <class T>
  std::span<T> make(std::size_t n) {
    static_assert(std::is_trivially_destructible_v<T>, "reset() runs no destructors");
    if (n == 0 || n > bytes_max_ / sizeof(T)) return {};
    void* raw = allocate(n * sizeof(T), alignof(T));
    if (raw == nullptr) return {};
    T* first = static_cast<T*>(raw);
    std::uninitialized_value_construct_n(first, n);
    return {first, n};
  }

  /// Ends the turn: everything given out is invalid.
  void reset() {
    high_water_ = std::max(high_water_, turn_bytes_);
    if (pieces_.size() > 1) {
      pieces_.clear();
      add_piece(std::min(bytes_max_, turn_bytes_ + turn_bytes_ / 4));
    }
    used_ = 0;
    turn_bytes_ = 0;
  }

  std::size_t turn_bytes() const { return turn_bytes_; }
  /// The most that one turn used, and the pieces that came from the system, since the start.
  std::size_t high_water_bytes() const { return std::max(high_water_, turn_bytes_); }
  std::size_t system_allocations() const { return system_allocations_; }
  std::size_t refused() const { return refused_; }

 private:
  struct Piece {
    std::unique_ptr<std::byte[]> data;
    std::size_t size;
  };

  void add_piece(std::size_t size) {
    pieces_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
    ++system_allocations_;
  }

  std::size_t bytes_max_;
  std::vector<Piece> pieces_;  // the last one is in use
  std::size_t used_ = 0;       // of the last piece
  std::size_t turn_bytes_ = 0;
  std::size_t high_water_ = 0;
  std::size_t system_allocations_ = 0;
  std::size_t refused_ = 0;
};

}  // namespace qudag::memory
