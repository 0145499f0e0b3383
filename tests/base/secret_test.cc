#include "base/secret.h"
#include "base/assert.h"
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <new>

namespace qudag {
namespace {

Secret<32> filled(std::uint8_t value) {
  Secret<32> secret;
  for (std::byte& b : secret.span()) b = std::byte{value};
  return secret;
}

bool all(Bytes bytes, std::uint8_t value) {
  for (const std::byte b : bytes) {
    if (b != std::byte{value}) return false;
  }
  return true;
}

TEST(Secret, MoveLeavesZerosBehind) {
  Secret<32> from = filled(7);
  Secret<32> to(std::move(from));
  EXPECT_TRUE(all(to.span(), 7));
  EXPECT_TRUE(all(from.span(), 0));  // NOLINT: that is the promise

  Secret<32> assigned = filled(9);
  assigned = std::move(to);
  EXPECT_TRUE(all(assigned.span(), 7));
  EXPECT_TRUE(all(to.span(), 0));  // NOLINT
}

TEST(Secret, AssignmentToItselfKeepsIt) {
  Secret<32> secret = filled(7);
  Secret<32>& same = secret;
  secret = std::move(same);
  EXPECT_TRUE(all(secret.span(), 7));
}

TEST(Secret, EndWipesTheMemory) {
  alignas(Secret<32>) std::array<std::byte, sizeof(Secret<32>)> place{};
  auto* secret = new (place.data()) Secret<32>(filled(7));
  ASSERT_TRUE(all(place, 7));
  secret->~Secret();
  EXPECT_TRUE(all(place, 0));
}

TEST(Secret, CloneIsACopy) {
  const Secret<32> secret = filled(7);
  const Secret<32> copy = secret.clone();
  EXPECT_TRUE(equal_constant_time(secret.span(), copy.span()));
  static_assert(!std::is_copy_constructible_v<Secret<32>>);
  static_assert(!std::is_copy_assignable_v<Secret<32>>);
}

TEST(EqualConstantTime, SeesEveryBit) {
  const std::array<std::byte, 9> a{};
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_TRUE(equal_constant_time({}, {}));
  EXPECT_FALSE(equal_constant_time(a, Bytes(a).first(8)));
  for (std::size_t bit = 0; bit < a.size() * 8; ++bit) {
    auto b = a;
    b[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(equal_constant_time(a, b)) << bit;
  }
}

TEST(Bytes, IntegersAreBigEndian) {
  std::array<std::byte, 8> raw{};
  store_be<std::uint64_t>(raw.data(), 0x0102030405060708);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(std::to_integer<unsigned>(raw[i]), i + 1);
  EXPECT_EQ(load_be<std::uint64_t>(raw.data()), 0x0102030405060708u);
  EXPECT_EQ(load_be<std::uint16_t>(raw.data()), 0x0102u);
  EXPECT_EQ(load_be<std::uint8_t>(raw.data()), 0x01u);
}

TEST(ByteReader, StaysBadAfterTheFirstShortRead) {
  const std::array<std::byte, 3> raw{std::byte{1}, std::byte{2}, std::byte{3}};
  ByteReader in(raw);
  EXPECT_EQ(in.u16(), 0x0102);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.u16(), 0);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0);  // the third byte is gone: a parser cannot resynchronise
  EXPECT_TRUE(in.take(1).empty());
  EXPECT_FALSE(in.done());
}

TEST(ByteReader, DoneOnlyWhenAllIsRead) {
  const std::array<std::byte, 2> raw{};
  ByteReader in(raw);
  EXPECT_FALSE(in.done());
  EXPECT_EQ(in.array<2>().size(), 2u);
  EXPECT_TRUE(in.done());
}

TEST(ByteWriter, WritesInOrderAndStopsAtTheEnd) {
  std::array<std::byte, 7> raw{};
  ByteWriter out(raw);
  out.u8(1);
  out.u16(0x0203);
  out.put(as_bytes("ab"));
  out.zero(1);
  EXPECT_EQ(out.written(), 6u);
  EXPECT_EQ(out.remaining(), 1u);
  EXPECT_EQ(raw[2], std::byte{3});
  EXPECT_EQ(raw[4], std::byte{'b'});
  EXPECT_DEATH(out.u16(1), "assertion failed: n <= remaining");
}

TEST(Assert, SaysWhatAndWhere) {
  EXPECT_DEATH(QUDAG_ASSERT(1 == 2), "qudag: assertion failed: 1 == 2 .*secret_test.cc:[0-9]+");
}

}  // namespace
}  // namespace qudag
