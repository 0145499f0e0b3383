#include "node/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::uint64_t> count{0};
thread_local bool left_out = false;

void* counted(std::size_t size) noexcept {
  if (!left_out) count.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size == 0 ? 1 : size);
}
void* counted_or_abort(std::size_t size) {
  void* at = counted(size);
  if (at == nullptr) std::abort();
  return at;
}
}  // namespace

namespace qudag::test {
std::uint64_t node_allocations() { return count.load(std::memory_order_relaxed); }
void do_not_count_this_thread() { left_out = true; }
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
