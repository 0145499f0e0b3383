// Counts what this test binary allocates through operator new and through OpenSSL.
#pragma once

#include <cstddef>

namespace qudag::onion::test {

std::size_t allocations();
std::size_t allocated_bytes();
/// False if OpenSSL had allocated before the counter was in place.
bool openssl_is_counted();

}  // namespace qudag::onion::test
