#include "crypto/openssl_memory.h"

#include <openssl/crypto.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>

namespace qudag::crypto {
namespace {

// The hooks take no argument of ours, so the counters are process-wide as OpenSSL's allocator is.
// Relaxed and shared by all threads: OpenSSL allocates per handshake and circuit, never per cell.
std::atomic<bool> counted{false};
std::atomic<std::uint64_t> bytes{0};
std::atomic<std::uint64_t> allocations{0};

void* note(void* object) noexcept {
  if (object == nullptr) return nullptr;
  bytes.fetch_add(malloc_usable_size(object), std::memory_order_relaxed);
  allocations.fetch_add(1, std::memory_order_relaxed);
  return object;
}

void forget(void* object) noexcept {
  if (object != nullptr) bytes.fetch_sub(malloc_usable_size(object), std::memory_order_relaxed);
}

void* hook_malloc(std::size_t size, const char*, int) {
  return size == 0 ? nullptr : note(std::malloc(size));
}

void* hook_realloc(void* object, std::size_t size, const char*, int) {
  const std::size_t before = object == nullptr ? 0 : malloc_usable_size(object);
  if (size == 0) {
    forget(object);
    std::free(object);
    return nullptr;
  }
  void* const out = std::realloc(object, size);
  if (out == nullptr) return nullptr;
  bytes.fetch_sub(before, std::memory_order_relaxed);
  return note(out);
}

void hook_free(void* object, const char*, int) {
  forget(object);
  std::free(object);
}

}  // namespace

bool count_openssl_memory() noexcept {
  if (CRYPTO_set_mem_functions(hook_malloc, hook_realloc, hook_free) != 1) return false;
  counted.store(true, std::memory_order_relaxed);
  return true;
}

OpenSslMemory openssl_memory() noexcept {
  return {.counted = counted.load(std::memory_order_relaxed),
          .bytes = bytes.load(std::memory_order_relaxed),
          .allocations = allocations.load(std::memory_order_relaxed)};
}

}  // namespace qudag::crypto
