#include "onion/counting_new.h"

#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count{0};
std::atomic<std::size_t> bytes{0};

void* counted(std::size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(size, std::memory_order_relaxed);
  return std::malloc(size);
}
void* counted_openssl(std::size_t size, const char*, int) { return counted(size); }
void* recounted_openssl(void* p, std::size_t size, const char*, int) {
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(size, std::memory_order_relaxed);
  return std::realloc(p, size);
}
void free_openssl(void* p, const char*, int) { std::free(p); }

// Before main, and so before OpenSSL's first allocation.
const bool hooked = CRYPTO_set_mem_functions(counted_openssl, recounted_openssl, free_openssl) == 1;

}  // namespace

void* operator new(std::size_t size) {
  if (void* p = counted(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size == 0 ? 1 : size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace qudag::onion::test {

std::size_t allocations() { return count.load(std::memory_order_relaxed); }
std::size_t allocated_bytes() { return bytes.load(std::memory_order_relaxed); }
bool openssl_is_counted() { return hooked; }

}  // namespace qudag::onion::test
