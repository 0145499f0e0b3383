// Slabs of one size class each, mapped from the system, so that a page costs memory only once it
// was used and the whole goes back when it is empty. In front of every object stands one word,
// where it belongs: its slab, or for one from malloc its heap.
#include "memory/slab_heap.h"

#include "base/assert.h"
#include "memory/thread_number.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

namespace qudag::memory {
namespace {

constexpr std::size_t kSlabBytes = 64 * 1024;
constexpr std::size_t kRunBytes = 16 * 1024;  // reserved at once
// Steps of 16 bytes up to 256, then 16 steps for each doubling: idle streams and links are many,
// and what a class adds to their size they hold for good.
constexpr std::size_t kFineClasses = 16;
constexpr std::size_t kFineBytes = kFineClasses * 16;
constexpr unsigned kStepBits = 4;
constexpr std::size_t kStepsPerDoubling = 1 << kStepBits;
// AddressSanitizer sees only what malloc gives out.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSlabs = false;
#else
constexpr bool kSlabs = true;
#endif
constexpr unsigned kFirstWidth = std::bit_width(kFineBytes);  // of the sizes behind the fine ones

}  // namespace

/// The word in front of an object. Objects are aligned to 16, the word ends where they begin.
struct SlabHeap::Object {
  std::uintptr_t home;  // the slab; from malloc: the heap, with kFromMalloc

  void* body() { return this + 1; }
  bool from_malloc() const { return (home & kFromMalloc) != 0; }
  Slab* slab() const { return reinterpret_cast<Slab*>(home); }
  SlabHeap* heap() const;
  /// Where malloc's piece begins.
  void* piece() { return reinterpret_cast<std::byte*>(body()) - kMallocFront; }
  static Object* of(void* body) { return static_cast<Object*>(body) - 1; }

  static constexpr std::uintptr_t kFromMalloc = 1;
  static constexpr std::size_t kMallocFront = 16;
};

/// A free object, in a slab's list or on the stack of returned ones.
struct SlabHeap::Returned {
  Object head;
  Returned* next;
};

struct alignas(64) SlabHeap::Slab {
  SlabHeap* heap = nullptr;
  Slab* prev = nullptr;  // in the class's list of slabs with room
  Slab* next = nullptr;
  Returned* free = nullptr;
  std::uint32_t size_class = 0;
  std::uint32_t used = 0;
  std::uint32_t carved = 0;  // objects that were handed out at least once
  std::uint32_t objects = 0;
  std::uint32_t reserved = 0;  // bytes from its start

  bool full() const { return free == nullptr && carved == objects; }
  std::byte* at(std::size_t index) {
    return reinterpret_cast<std::byte*>(this) + kFirst + index * bytes_of(size_class);
  }
  /// Classes are multiples of 16, so that with the first body all are aligned.
  static const std::size_t kFirst;
};
constexpr std::size_t SlabHeap::Slab::kFirst = sizeof(Slab) + 16 - sizeof(Object);

SlabHeap* SlabHeap::Object::heap() const {
  return from_malloc() ? reinterpret_cast<SlabHeap*>(home - kFromMalloc) : slab()->heap;
}

std::size_t SlabHeap::class_of(std::size_t bytes) noexcept {
  // A free object holds a Returned.
  if (bytes <= kFineBytes) return (std::max(bytes, sizeof(Returned)) + 15) / 16 - 1;
  const auto width = static_cast<unsigned>(std::bit_width(bytes - 1));
  return kFineClasses + (width - kFirstWidth) * kStepsPerDoubling +
         ((bytes - 1) >> (width - 1 - kStepBits)) - kStepsPerDoubling;
}

std::size_t SlabHeap::bytes_of(std::size_t size_class) noexcept {
  if (size_class < kFineClasses) return (size_class + 1) * 16;
  const std::size_t step = size_class - kFineClasses;
  return (kStepsPerDoubling + step % kStepsPerDoubling + 1)
         << (kFirstWidth - 1 - kStepBits + step / kStepsPerDoubling);
}

SlabHeap::~SlabHeap() {
  trim();
  QUDAG_ASSERT(slabs_ == 0 && system_bytes_.load(std::memory_order_relaxed) == 0);
}

bool SlabHeap::owned_by_caller() noexcept {
  const std::uint64_t owner = owner_.load(std::memory_order_relaxed);
  if (owner == this_thread()) return true;
  if (owner != 0) return false;
  std::uint64_t nobody = 0;
  return owner_.compare_exchange_strong(nobody, this_thread(), std::memory_order_relaxed);
}

void* SlabHeap::allocate(std::size_t bytes) noexcept {
  if (!kSlabs || bytes > kObjectBytesMax || !owned_by_caller()) return from_system(bytes);
  const std::size_t size_class = class_of(bytes + sizeof(Object));
  Slab* const slab = slab_with_room(size_class);
  if (slab == nullptr || (slab->free == nullptr && !reserve_next(*slab))) return nullptr;
  ++allocations_;
  bytes_used_ += bytes_of(size_class);
  ++slab->used;
  void* place = slab->free;
  if (place != nullptr) {
    slab->free = slab->free->next;
  } else {
    place = slab->at(slab->carved++);
  }
  if (slab->full()) unlink(slab);
  return (::new (place) Object{reinterpret_cast<std::uintptr_t>(slab)})->body();
}

// A slab's memory counts from its first touch on, so it is reserved as the slab is carved.
bool SlabHeap::reserve_next(Slab& slab) noexcept {
  const std::size_t end = Slab::kFirst + (slab.carved + 1) * bytes_of(slab.size_class);
  if (end <= slab.reserved) return true;
  const std::size_t wanted = std::min(kSlabBytes, (end + kRunBytes - 1) / kRunBytes * kRunBytes);
  if (budget_ != nullptr && !budget_->reserve(wanted - slab.reserved)) return false;
  slab.reserved = static_cast<std::uint32_t>(wanted);
  return true;
}

// The allocator may give more than was asked for: that is only known when it did.
void* SlabHeap::from_system(std::size_t bytes) noexcept {
  if (bytes > SIZE_MAX / 2) return nullptr;
  const std::size_t wanted = bytes + Object::kMallocFront;
  if (budget_ != nullptr && !budget_->reserve(wanted)) return nullptr;
  void* const place = std::malloc(wanted);
  if (place == nullptr) {
    if (budget_ != nullptr) budget_->release(wanted);
    return nullptr;
  }
  const std::size_t got = malloc_usable_size(place);
  if (budget_ != nullptr) budget_->reserve_anyway(got - wanted);
  system_allocations_.fetch_add(1, std::memory_order_relaxed);
  system_bytes_.fetch_add(got, std::memory_order_relaxed);
  void* const body = static_cast<std::byte*>(place) + Object::kMallocFront;
  ::new (Object::of(body)) Object{reinterpret_cast<std::uintptr_t>(this) | Object::kFromMalloc};
  return body;
}

void* SlabHeap::reallocate(void* body, std::size_t bytes) noexcept {
  if (body == nullptr) return allocate(bytes);
  Object* const object = Object::of(body);
  const std::size_t room = object->from_malloc()
                               ? malloc_usable_size(object->piece()) - Object::kMallocFront
                               : bytes_of(object->slab()->size_class) - sizeof(Object);
  if (bytes <= room && bytes >= room / 2) return body;
  void* const out = allocate(bytes);
  if (out == nullptr) return nullptr;
  std::memcpy(out, body, std::min(bytes, room));
  release(body);
  return out;
}

void SlabHeap::release(void* body) noexcept {
  if (body == nullptr) return;
  Object* const object = Object::of(body);
  SlabHeap* const heap = object->heap();
  if (object->from_malloc()) {
    void* const piece = object->piece();
    const std::size_t got = malloc_usable_size(piece);
    Budget* const budget = heap->budget_;
    std::free(piece);
    if (budget != nullptr) budget->release(got);
    heap->system_bytes_.fetch_sub(got, std::memory_order_relaxed);
  } else if (heap->owner_.load(std::memory_order_relaxed) == this_thread()) {
    heap->put_back(object);
  } else {
    auto* const returned = reinterpret_cast<Returned*>(object);
    Returned* head = heap->returned_.load(std::memory_order_relaxed);
    do {
      returned->next = head;
    } while (!heap->returned_.compare_exchange_weak(head, returned, std::memory_order_release,
                                                    std::memory_order_relaxed));
  }
}

void SlabHeap::put_back(Object* object) noexcept {
  Slab* const slab = object->slab();
  const bool was_full = slab->full();
  auto* const returned = reinterpret_cast<Returned*>(object);
  returned->next = slab->free;
  slab->free = returned;
  --slab->used;
  bytes_used_ -= bytes_of(slab->size_class);
  // In front: what is nearly full is used first, and what is nearly empty can become empty.
  if (was_full) link(slab);
}

void SlabHeap::collect() noexcept {
  Returned* at = returned_.load(std::memory_order_relaxed);
  if (at == nullptr) return;
  at = returned_.exchange(nullptr, std::memory_order_acquire);
  while (at != nullptr) {
    Returned* const next = at->next;
    put_back(&at->head);
    at = next;
  }
}

SlabHeap::Slab* SlabHeap::slab_with_room(std::size_t size_class) noexcept {
  if (with_room_[size_class] == nullptr) collect();
  if (with_room_[size_class] != nullptr) return with_room_[size_class];
  if (budget_ != nullptr && !budget_->reserve(kRunBytes)) return nullptr;
  void* const memory =
      ::mmap(nullptr, kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    if (budget_ != nullptr) budget_->release(kRunBytes);
    return nullptr;
  }
  Slab* const slab = ::new (memory) Slab;
  slab->heap = this;
  slab->reserved = kRunBytes;
  slab->size_class = static_cast<std::uint32_t>(size_class);
  slab->objects = static_cast<std::uint32_t>((kSlabBytes - Slab::kFirst) / bytes_of(size_class));
  ++slabs_;
  ++slabs_made_;
  link(slab);
  return slab;
}

void SlabHeap::link(Slab* slab) noexcept {
  Slab*& head = with_room_[slab->size_class];
  slab->prev = nullptr;
  slab->next = head;
  if (head != nullptr) head->prev = slab;
  head = slab;
}

void SlabHeap::unlink(Slab* slab) noexcept {
  (slab->prev != nullptr ? slab->prev->next : with_room_[slab->size_class]) = slab->next;
  if (slab->next != nullptr) slab->next->prev = slab->prev;
}

void SlabHeap::trim() noexcept {
  collect();
  for (Slab* slab : with_room_) {
    while (slab != nullptr) {
      Slab* const next = slab->next;
      if (slab->used == 0) {
        unlink(slab);
        if (budget_ != nullptr) budget_->release(slab->reserved);
        ::munmap(slab, kSlabBytes);
        --slabs_;
      }
      slab = next;
    }
  }
}

SlabHeapStats SlabHeap::stats() const noexcept {
  const std::uint64_t system_bytes = system_bytes_.load(std::memory_order_relaxed);
  const std::uint64_t system_allocations = system_allocations_.load(std::memory_order_relaxed);
  return {.bytes_used = bytes_used_ + system_bytes,
          .bytes_held = slabs_ * kSlabBytes + system_bytes,
          .allocations = allocations_ + system_allocations,
          .system_allocations = slabs_made_ + system_allocations};
}

}  // namespace qudag::memory
