// Pages for private keys that live long: locked, so that they are never written to a swap file; in
// no core dump; zeros in a child process.
//
// OpenSSL makes the keys, so its allocations of one thread can be sent there for a while
// (KeyScope). It works in a program that called count_openssl_memory(), and else changes nothing.
// Where the limit (RLIMIT_MEMLOCK) allows no lock, the pages are used without one; when they are
// full, keys go where everything else is. Both are told by key_memory().
//
// Threads: any; one lock, for keys only. Limits: kKeyMemoryBytes for the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace qudag::crypto {

/// An identity takes 75 KB, an onion key 30; two of the latter are kept, and for a moment three.
inline constexpr std::size_t kKeyMemoryBytes = 512 * 1024;

/// While it lives, what OpenSSL allocates on this thread lies in these pages.
class KeyScope {
 public:
  KeyScope() noexcept;
  ~KeyScope();
  KeyScope(const KeyScope&) = delete;
  KeyScope& operator=(const KeyScope&) = delete;

 private:
  const bool before_;
};

struct KeyMemory {
  bool in_use = false;        // somebody asked for it, and it is there
  bool locked = false;        // in memory
  int lock_error = 0;         // why not
  std::size_t bytes = 0;      // taken
  std::uint64_t spilled = 0;  // allocations that found no room
  const void* begin = nullptr;
};
/// Any thread.
KeyMemory key_memory() noexcept;

// For OpenSSL's allocator (openssl_memory.cc).
/// Null: not in a scope, or no room.
void* take_key_memory(std::size_t bytes) noexcept;
/// What take_key_memory() gave; false: it is another's.
bool is_key_memory(const void* object) noexcept;
std::size_t key_memory_size(const void* object) noexcept;
/// Wipes it.
void free_key_memory(void* object) noexcept;

}  // namespace qudag::crypto
