// What makes a run leave nothing behind: it happens in a process namespace of its own, whose first
// process is the emulator. When that one ends, the kernel kills every program that it started, and
// theirs; the one outside only waits, and if it is killed, the one inside is killed too.
#pragma once

#include <qudag/error.h>

#include <functional>

namespace qudag::emulator {

/// Runs `inside` as process 1 of a new namespace; its result is ours. permission_denied where the
/// system does not allow it. SIGINT and SIGTERM are handed to it.
Result<int> isolated(const std::function<int()>& inside);

}  // namespace qudag::emulator
