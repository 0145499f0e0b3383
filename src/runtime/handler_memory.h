// Memory for what a loop waits on: a few places that are used again and again.
//
// Asio keeps each wait (readable, writable, timer, wake-up) in memory of its own. It has a cache
// for that, but only inside run(); a loop that asks between two runs would take and give back
// memory with every turn that sleeps.
//
// Threads: any. Limits: kPlaces waits at once of kPlaceBytes, others come from operator new.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <new>

namespace qudag::runtime {

class HandlerMemory {
 public:
  static constexpr std::size_t kPlaces = 8;
  static constexpr std::size_t kPlaceBytes = 240;

  HandlerMemory() = default;
  HandlerMemory(const HandlerMemory&) = delete;
  HandlerMemory& operator=(const HandlerMemory&) = delete;

  void* take(std::size_t bytes) {
    if (bytes <= kPlaceBytes) {
      for (Place& place : places_) {
        if (!place.taken.exchange(true, std::memory_order_acquire)) return place.bytes;
      }
    }
    return ::operator new(bytes);
  }

  void give_back(void* memory) noexcept {
    for (Place& place : places_) {
      if (memory != place.bytes) continue;
      place.taken.store(false, std::memory_order_release);
      return;
    }
    ::operator delete(memory);
  }

 private:
  struct Place {
    alignas(std::max_align_t) std::byte bytes[kPlaceBytes];
    std::atomic<bool> taken{false};
  };
  std::array<Place, kPlaces> places_;
};

/// For asio::bind_allocator; the memory outlives what is waited for.
template <class T = void>
class HandlerAllocator {
 public:
  using value_type = T;

  explicit HandlerAllocator(HandlerMemory& memory) : memory_(&memory) {}
  template <class U>
  HandlerAllocator(const HandlerAllocator<U>& other) : memory_(other.memory_) {}

  T* allocate(std::size_t n) { return static_cast<T*>(memory_->take(n * sizeof(T))); }
  void deallocate(T* at, std::size_t) noexcept { memory_->give_back(at); }

  template <class U>
  bool operator==(const HandlerAllocator<U>& other) const {
    return memory_ == other.memory_;
  }

 private:
  template <class U>
  friend class HandlerAllocator;
  HandlerMemory* memory_;
};

}  // namespace qudag::runtime
