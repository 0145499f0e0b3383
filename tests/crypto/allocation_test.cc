// Proves that the calls on the path of a cell allocate nothing, in OpenSSL or here. OpenSSL takes
// an allocator only before its first use, so it is put in before main.
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/openssl_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace qudag::crypto {
namespace {

const bool counting = count_openssl_memory();

std::uint64_t allocations() { return openssl_memory().allocations; }

TEST(Allocation, CellsAllocateNothing) {
  ASSERT_TRUE(counting);
  const std::uint64_t at_start = allocations();
  const Key256 key;
  Aead aead(key);
  KeyStream stream(key);
  ASSERT_GT(allocations(), at_start) << "the counter counts";
  std::array<std::byte, 8192> cell{};
  std::array<std::byte, 80> tail{};
  std::array<std::byte, kTagSize> tag{};
  sha256(cell);
  const std::uint64_t before = allocations();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    aead.seal(counter_nonce(i), tail, cell, tag);
    ASSERT_TRUE(aead.open(counter_nonce(i), tail, cell, tag));
    ASSERT_FALSE(aead.open(counter_nonce(i + 1), tail, cell, tag));
    aead.keystream(counter_nonce(i), 928, tail);
    stream.next(tail);
    sha256({cell, tail});
  }
  EXPECT_EQ(allocations() - before, 0u);
}

TEST(Allocation, BytesComeAndGo) {
  { const Aead first{Key256()}; }  // what OpenSSL sets up once stays
  const std::uint64_t before = openssl_memory().bytes;
  {
    const Aead aead{Key256()};
    EXPECT_GT(openssl_memory().bytes, before + 500);
  }
  EXPECT_EQ(openssl_memory().bytes, before);
}

}  // namespace
}  // namespace qudag::crypto
