// A bounded table with handles that never name the wrong object: slot and generation in 64 bits.
//
// insert, find and erase are O(1) and allocate nothing: all slots are there from construction, as
// address space, and in memory from their first use on. Objects do not move. A handle of an erased
// object finds nothing, also after its slot was used again; a slot whose generations are used up is
// not used any more.
//
// Threads: one owner. Limits: `capacity` objects, then insert gives a null handle.
#pragma once

#include "base/assert.h"
#include "base/mapped_array.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace qudag {

/// The default handle names nothing.
struct SlotHandle {
  std::uint64_t value = 0;

  SlotHandle() = default;
  explicit constexpr SlotHandle(std::uint64_t raw) : value(raw) {}
  constexpr SlotHandle(std::uint32_t slot, std::uint32_t generation)
      : value((std::uint64_t{generation} << 32) | slot) {}

  std::uint32_t slot() const { return static_cast<std::uint32_t>(value); }
  std::uint32_t generation() const { return static_cast<std::uint32_t>(value >> 32); }
  explicit operator bool() const { return value != 0; }
  auto operator<=>(const SlotHandle&) const = default;
};

template <class T>
class SlotMap {
 public:
  explicit SlotMap(std::size_t capacity) : slots_(capacity) { QUDAG_ASSERT(capacity < kNoSlot); }
  ~SlotMap() { std::destroy_n(slots_.data(), used_); }
  SlotMap(const SlotMap&) = delete;
  SlotMap& operator=(const SlotMap&) = delete;

  /// Null handle when the capacity is reached; the arguments are then not used.
  template <class... Args>
  SlotHandle insert(Args&&... args) {
    const std::uint32_t slot = take_slot();
    if (slot == kNoSlot) return {};
    Slot& s = at(slot);
    s.object.emplace(std::forward<Args>(args)...);
    ++size_;
    return {slot, s.generation};
  }

  T* find(SlotHandle handle) {
    Slot* s = live(handle);
    return s == nullptr ? nullptr : &*s->object;
  }
  const T* find(SlotHandle handle) const { return const_cast<SlotMap*>(this)->find(handle); }

  /// False if the handle names nothing.
  bool erase(SlotHandle handle) {
    Slot* s = live(handle);
    if (s == nullptr) return false;
    // The generation moves first: a destructor that looks itself up finds nothing.
    const bool reusable = s->generation < UINT32_MAX;
    s->generation = reusable ? s->generation + 1 : 0;
    --size_;
    s->object.reset();
    if (reusable) {
      s->next_free = free_;
      free_ = handle.slot();
    }
    return true;
  }

  /// f(handle, object) for each, in slot order. f may erase the object that it is given.
  template <class F>
  void for_each(F&& f) {
    for (std::uint32_t slot = 0; slot < used_; ++slot) {
      Slot& s = at(slot);
      if (s.object) f(SlotHandle(slot, s.generation), *s.object);
    }
  }

  /// The same for the slots from `from`, `count` of them at most; where to go on, 0 after the last.
  template <class F>
  std::uint32_t for_some(std::uint32_t from, std::size_t count, F&& f) {
    std::uint32_t slot = from;
    for (; slot < used_ && count > 0; ++slot, --count) {
      Slot& s = at(slot);
      if (s.object) f(SlotHandle(slot, s.generation), *s.object);
    }
    return slot < used_ ? slot : 0;
  }

  void clear() {
    for_each([this](SlotHandle handle, T&) { erase(handle); });
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t capacity() const { return slots_.size(); }

 private:
  static constexpr std::uint32_t kNoSlot = UINT32_MAX;

  struct Slot {
    std::uint32_t generation = 1;  // 0: used up
    std::uint32_t next_free = kNoSlot;
    std::optional<T> object;
  };

  Slot& at(std::uint32_t slot) { return slots_[slot]; }

  Slot* live(SlotHandle handle) {
    if (handle.slot() >= used_ || handle.generation() == 0) return nullptr;
    Slot& s = at(handle.slot());
    return s.generation == handle.generation() && s.object ? &s : nullptr;
  }

  std::uint32_t take_slot() {
    if (free_ != kNoSlot) {
      const std::uint32_t slot = free_;
      free_ = at(slot).next_free;
      return slot;
    }
    if (used_ == slots_.size()) return kNoSlot;
    std::construct_at(&slots_[used_]);
    return used_++;
  }

  MappedArray<Slot> slots_;
  std::size_t size_ = 0;
  std::uint32_t used_ = 0;  // slots that were handed out at least once
  std::uint32_t free_ = kNoSlot;
};

}  // namespace qudag

template <>
struct std::hash<qudag::SlotHandle> {
  std::size_t operator()(qudag::SlotHandle handle) const noexcept {
    return std::hash<std::uint64_t>{}(handle.value);
  }
};
