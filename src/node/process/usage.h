// What this process uses, as the kernel counts it.
#pragma once

#include <cstdint>

namespace qudag::node {

/// Share of RLIMIT_NOFILE that the process has open, 0 to 1; 0 without a limit. Reads a directory
/// of /proc: not for a loop's thread.
double descriptors_used();

/// Resident bytes of this process, from /proc; 0 if that cannot be read.
std::uint64_t resident_bytes();

}  // namespace qudag::node
