// What OpenSSL holds and how often it allocates, by its allocator hooks. They are process-wide and
// can be set only before OpenSSL has allocated anything, so this is for a program's main to decide.
#pragma once

#include <cstdint>

namespace qudag::crypto {

struct OpenSslMemory {
  bool counted = false;  // the hooks are set; all else is 0 otherwise
  std::uint64_t bytes = 0;
  std::uint64_t allocations = 0;  // since the start
};

/// False if OpenSSL was used before: nothing is counted then. Once, at the start of main.
bool count_openssl_memory() noexcept;
/// Any thread.
OpenSslMemory openssl_memory() noexcept;
/// "3.5.4", of the library that runs.
const char* openssl_version() noexcept;

}  // namespace qudag::crypto
