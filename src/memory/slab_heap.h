// A heap of one owner for objects that live long and differ in size: QUIC's memory, streams.
//
// allocate:  1. a free object of the size class, from the slab that is nearly full; 2. what other
//            threads gave back; 3. the next untouched piece of a slab; 4. a new slab of 64 KiB
// release:   to its slab; from another thread onto a lock-free stack
// trim:      slabs without objects go back to the system
//
// Why not malloc: such objects would lie among short-lived ones (TLS, key contexts, handshakes),
// whose pages could then not be returned. Here they lie together, are counted exactly, and need no
// lock. Objects above kObjectBytesMax, and what another thread allocates, come from malloc.
//
// Threads: the first that allocates is the owner; others may allocate and release, and pay more.
// Every object must be back before the heap ends (asserted).
#pragma once

#include "memory/budget.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace qudag::memory {

struct SlabHeapStats {
  std::uint64_t bytes_used = 0;          // objects out, with what their size class adds
  std::uint64_t bytes_held = 0;          // slabs, and objects from malloc
  std::uint64_t allocations = 0;         // since the start
  std::uint64_t system_allocations = 0;  // of those, how many needed a slab or malloc
};

class SlabHeap {
 public:
  static constexpr std::size_t kObjectBytesMax = 16 * 1024 - 8;

  /// What slabs and large objects are reserved from, before they are taken from the system; it
  /// outlives the heap. Null: no bound.
  explicit SlabHeap(Budget* budget = nullptr) : budget_(budget) {}
  ~SlabHeap();
  SlabHeap(const SlabHeap&) = delete;
  SlabHeap& operator=(const SlabHeap&) = delete;

  /// Aligned to 16 bytes; null if the budget has no room, or the system no memory.
  void* allocate(std::size_t bytes) noexcept;
  /// As std::realloc.
  void* reallocate(void* object, std::size_t bytes) noexcept;
  /// Any thread; finds its heap itself. Null is allowed.
  static void release(void* object) noexcept;

  /// Owner's thread.
  void trim() noexcept;
  SlabHeapStats stats() const noexcept;

 private:
  struct Slab;
  struct Object;
  struct Returned;
  static constexpr std::size_t kClasses = 16 + 6 * 16;

  static std::size_t class_of(std::size_t bytes) noexcept;
  static std::size_t bytes_of(std::size_t size_class) noexcept;
  bool owned_by_caller() noexcept;
  void* from_system(std::size_t bytes) noexcept;
  Slab* slab_with_room(std::size_t size_class) noexcept;
  bool reserve_next(Slab& slab) noexcept;
  void put_back(Object* object) noexcept;
  void collect() noexcept;
  void link(Slab* slab) noexcept;
  void unlink(Slab* slab) noexcept;

  Budget* budget_;
  std::array<Slab*, kClasses> with_room_{};
  std::uint64_t bytes_used_ = 0;
  std::uint64_t slabs_ = 0;
  std::uint64_t allocations_ = 0;
  std::uint64_t slabs_made_ = 0;
  std::atomic<std::uint64_t> owner_{0};
  std::atomic<std::uint64_t> system_bytes_{0};
  std::atomic<std::uint64_t> system_allocations_{0};
  std::atomic<Returned*> returned_{nullptr};
};

}  // namespace qudag::memory
