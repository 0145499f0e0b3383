// How many files the process has open, of those that it may.
#pragma once

namespace qudag::node {

/// Share of RLIMIT_NOFILE, 0 to 1; 0 if the system does not say or sets no limit. Reads a directory
/// of /proc: not for a loop's thread.
double descriptors_used();

}  // namespace qudag::node
