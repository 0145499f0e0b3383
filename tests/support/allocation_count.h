// Counts what a test binary takes from operator new and aligned_alloc, so that a test can prove
// that it is nothing. For modules that link qudag_allocation_count.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qudag::test {

std::uint64_t allocations();
std::uint64_t allocated_bytes();
/// The largest since the last call.
std::uint64_t largest_allocation();
/// Calls that asked to grow or shrink what there was (not counted with sanitizers).
std::uint64_t reallocations();
/// The calling thread does not count from now on: it makes payloads and futures for the others.
void do_not_count_this_thread();
/// For allocators of libraries that a test hooks.
void count_allocation(std::size_t bytes);

}  // namespace qudag::test
