// Counts what the node's threads take from operator new in this test binary: those of the test
// itself, which make payloads and futures, leave themselves out.
#pragma once

#include <cstdint>

namespace qudag::test {
std::uint64_t node_allocations();
/// The calling thread does not count from now on.
void do_not_count_this_thread();
}  // namespace qudag::test
