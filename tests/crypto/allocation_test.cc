// Proves that the calls on the path of a cell allocate nothing, in OpenSSL or here. OpenSSL takes
// an allocator only before its first use, so it is put in before main.
#include "crypto/aead.h"
#include "crypto/kdf.h"

#include <openssl/crypto.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace qudag::crypto {
namespace {

std::atomic<std::uint64_t> allocations{0};

const bool counting = CRYPTO_set_mem_functions(
                          [](std::size_t n, const char*, int) {
                            allocations.fetch_add(1, std::memory_order_relaxed);
                            return std::malloc(n);
                          },
                          [](void* at, std::size_t n, const char*, int) {
                            allocations.fetch_add(1, std::memory_order_relaxed);
                            return std::realloc(at, n);
                          },
                          [](void* at, const char*, int) { std::free(at); }) == 1;

TEST(Allocation, CellsAllocateNothing) {
  ASSERT_TRUE(counting);
  const std::uint64_t at_start = allocations.load();
  const Key256 key;
  Aead aead(key);
  KeyStream stream(key);
  ASSERT_GT(allocations.load(), at_start) << "the counter counts";
  std::array<std::byte, 8192> cell{};
  std::array<std::byte, 80> tail{};
  std::array<std::byte, kTagSize> tag{};
  sha256(cell);
  const std::uint64_t before = allocations.load();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    aead.seal(counter_nonce(i), tail, cell, tag);
    ASSERT_TRUE(aead.open(counter_nonce(i), tail, cell, tag));
    ASSERT_FALSE(aead.open(counter_nonce(i + 1), tail, cell, tag));
    aead.keystream(counter_nonce(i), 928, tail);
    stream.next(tail);
    sha256({cell, tail});
  }
  EXPECT_EQ(allocations.load() - before, 0u);
}

}  // namespace
}  // namespace qudag::crypto
