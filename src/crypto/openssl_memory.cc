#include "crypto/openssl_memory.h"

#include "crypto/key_memory.h"

#include <openssl/crypto.h>

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace qudag::crypto {
namespace {

// The hooks take no argument of ours, so the counters are process-wide as OpenSSL's allocator is.
// Relaxed and shared by all threads: OpenSSL allocates per handshake and circuit, never per cell.
std::atomic<bool> counted{false};
std::atomic<std::uint64_t> bytes{0};
std::atomic<std::uint64_t> allocations{0};

std::size_t size_of(void* object) noexcept {
  return is_key_memory(object) ? key_memory_size(object) : malloc_usable_size(object);
}

void* note(void* object) noexcept {
  if (object == nullptr) return nullptr;
  bytes.fetch_add(size_of(object), std::memory_order_relaxed);
  allocations.fetch_add(1, std::memory_order_relaxed);
  return object;
}

void forget(void* object) noexcept {
  if (object != nullptr) bytes.fetch_sub(size_of(object), std::memory_order_relaxed);
}

void* hook_malloc(std::size_t size, const char*, int) {
  if (size == 0) return nullptr;
  void* const key = take_key_memory(size);
  return note(key != nullptr ? key : std::malloc(size));
}

void hook_free(void* object, const char*, int) {
  forget(object);
  is_key_memory(object) ? free_key_memory(object) : std::free(object);
}

/// A piece of a key's memory stays one, or becomes one.
void* move(void* object, std::size_t before, std::size_t size, const char* file, int line) {
  void* const out = hook_malloc(size, file, line);
  if (out == nullptr) return nullptr;
  std::memcpy(out, object, std::min(before, size));
  hook_free(object, file, line);
  return out;
}

void* hook_realloc(void* object, std::size_t size, const char* file, int line) {
  if (object == nullptr) return hook_malloc(size, file, line);
  if (size == 0) {
    hook_free(object, file, line);
    return nullptr;
  }
  const std::size_t before = size_of(object);
  if (is_key_memory(object)) return move(object, before, size, file, line);
  void* const out = std::realloc(object, size);
  if (out == nullptr) return nullptr;
  bytes.fetch_sub(before, std::memory_order_relaxed);
  return note(out);
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

const char* openssl_version() noexcept { return OpenSSL_version(OPENSSL_VERSION_STRING); }

}  // namespace qudag::crypto
