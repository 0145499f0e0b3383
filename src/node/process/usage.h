// What this process uses, as the kernel counts it. Reads /proc: not for a loop's thread, but for
// resident_bytes(), which is one short file.
#pragma once

#include <cstdint>

namespace qudag::node {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system
  double started = 0;      // seconds since 1970
  std::uint64_t files_open = 0;
  std::uint64_t files_max = 0;  // 0: no limit
  std::uint64_t sockets_open = 0;
  std::uint64_t resident_bytes = 0;
};
/// What cannot be read is 0.
ProcessUsage process_usage();

/// Share of RLIMIT_NOFILE that the process has open, 0 to 1; 0 without a limit.
double descriptors_used();

/// Resident bytes of this process; 0 if that cannot be read.
std::uint64_t resident_bytes();

}  // namespace qudag::node
