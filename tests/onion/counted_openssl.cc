#include "onion/counted_openssl.h"

#include "support/allocation_count.h"

#include <openssl/crypto.h>

#include <cstdlib>

namespace {

void* counted(std::size_t size, const char*, int) {
  qudag::test::count_allocation(size);
  return std::malloc(size);
}
void* counted_again(void* p, std::size_t size, const char*, int) {
  qudag::test::count_allocation(size);
  return std::realloc(p, size);
}
void free_counted(void* p, const char*, int) { std::free(p); }

// Before main, and so before OpenSSL's first allocation.
const bool hooked = CRYPTO_set_mem_functions(counted, counted_again, free_counted) == 1;

}  // namespace

namespace qudag::onion::test {

bool openssl_is_counted() { return hooked; }

}  // namespace qudag::onion::test
