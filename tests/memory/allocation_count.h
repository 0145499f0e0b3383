// Counts what this test binary takes from operator new, so that a test can prove that it is
// nothing.
#pragma once

#include <cstdint>

namespace qudag::test {
std::uint64_t allocations();
}
