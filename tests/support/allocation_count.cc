#include "support/allocation_count.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> count{0};
std::atomic<std::uint64_t> bytes{0};
std::atomic<std::uint64_t> largest{0};
std::atomic<std::uint64_t> regrown{0};
thread_local bool left_out = false;

void* counted(std::size_t size) noexcept {
  qudag::test::count_allocation(size);
  return std::malloc(size == 0 ? 1 : size);
}
void* counted_or_abort(std::size_t size) {
  void* at = counted(size);
  if (at == nullptr) std::abort();
  return at;
}

}  // namespace

namespace qudag::test {

std::uint64_t allocations() { return count.load(std::memory_order_relaxed); }
std::uint64_t allocated_bytes() { return bytes.load(std::memory_order_relaxed); }
std::uint64_t largest_allocation() { return largest.exchange(0, std::memory_order_relaxed); }
std::uint64_t reallocations() { return regrown.load(std::memory_order_relaxed); }
void do_not_count_this_thread() { left_out = true; }
void count_allocation(std::size_t size) {
  if (left_out) return;
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(size, std::memory_order_relaxed);
  std::uint64_t before = largest.load(std::memory_order_relaxed);
  while (before < size && !largest.compare_exchange_weak(before, size, std::memory_order_relaxed)) {
  }
}

}  // namespace qudag::test

void* operator new(std::size_t size) { return counted_or_abort(size); }
void* operator new[](std::size_t size) { return counted_or_abort(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { std::free(at); }

// Asio's way past operator new. Sanitizers have their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  qudag::test::count_allocation(size);
  return ::memalign(alignment, size);
}
extern "C" void* __libc_realloc(void* at, std::size_t size);  // glibc's own name of it
extern "C" void* realloc(void* at, std::size_t size) noexcept {
  if (at != nullptr && !left_out) regrown.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(at, size);
}
#endif
