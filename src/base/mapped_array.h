// Room for very many objects at once, of which only those that were used cost memory.
//
// The whole array is reserved from the system when it is made, so that nothing is allocated later
// and no object ever moves; a page becomes resident when something in it is written for the first
// time. The memory begins as zeros. Constructs nothing and destroys nothing: that is the owner's.
#pragma once

#include "base/assert.h"

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>

namespace qudag {

inline void* map_room(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  QUDAG_ASSERT(at != MAP_FAILED);  // address space is out
  // A huge page would make two megabytes resident for one object.
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
  return at;
}
inline void unmap_room(void* at, std::size_t bytes) { ::munmap(at, bytes); }

template <class T>
class MappedArray {
 public:
  explicit MappedArray(std::size_t size) : size_(size), at_(static_cast<T*>(map_room(bytes()))) {}
  ~MappedArray() { unmap_room(at_, bytes()); }
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;

  T* data() { return at_; }
  const T* data() const { return at_; }
  T& operator[](std::size_t i) { return at_[i]; }
  const T& operator[](std::size_t i) const { return at_[i]; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return (size_ == 0 ? 1 : size_) * sizeof(T); }

 private:
  std::size_t size_;
  T* at_;
};

/// For containers that reserve all that they may ever hold when they are made. Small ones are the
/// heap's.
template <class T>
struct MappedAllocator {
  using value_type = T;
  static constexpr std::size_t kMappedFrom = 64 * 1024;  // bytes: below, two calls cost more

  MappedAllocator() = default;
  template <class U>
  constexpr MappedAllocator(const MappedAllocator<U>&) noexcept {
  }  // NOLINT: as the standard has it

  [[nodiscard]] T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    return static_cast<T*>(bytes < kMappedFrom ? ::operator new(bytes) : map_room(bytes));
  }
  void deallocate(T* at, std::size_t count) noexcept {
    const std::size_t bytes = count * sizeof(T);
    bytes < kMappedFrom ? ::operator delete(at) : unmap_room(at, bytes);
  }
  bool operator==(const MappedAllocator&) const = default;
};

}  // namespace qudag
