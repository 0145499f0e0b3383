// The control stream: golden bytes, exact lengths, and which types close a link.
#include "wire/control.h"

#include "wire/golden.h"

#include <gtest/gtest.h>

namespace qudag::wire {
namespace {

using test::from_hex;
using test::to_hex;

TEST(Control, GoldenBytes) {
  EXPECT_EQ(to_hex(encode_control_header(0x12, 0x1a2b)), "121a2b");
  EXPECT_EQ(to_hex(encode_hello({.version_min = 1, .version_max = 2})), "0001000200000000");
  EXPECT_EQ(to_hex(encode_hello({.known = true})), "0001000100000001");
  EXPECT_EQ(to_hex(encode_hello({})), "0001000100000000");
  EXPECT_EQ(to_hex(encode_ping(0x0102030405060708)), "0102030405060708");
  EXPECT_EQ(to_hex(encode_goodbye(5)), "05");
  EXPECT_EQ(to_hex(encode_load(0xfffe)), "fffe");
}

TEST(Control, HeaderNeedsThreeBytes) {
  const auto bytes = from_hex("12 4000");
  EXPECT_FALSE(parse_control_header(Bytes(bytes).first(2)));
  const auto header = parse_control_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, 0x12);
  EXPECT_EQ(header->length, 16'384);
  EXPECT_TRUE(length_is_valid(*header));
  EXPECT_FALSE(length_is_valid({.type = 1, .length = 16'385}));
}

TEST(Control, HelloRoundTripAndRules) {
  const Hello hello{.version_min = 1, .version_max = 3, .known = true};
  EXPECT_EQ(parse_hello(encode_hello(hello)), hello);
  EXPECT_FALSE(parse_hello(from_hex("0002 0001 00000000"))) << "an empty range";
  EXPECT_FALSE(parse_hello(from_hex("0001 0001 000000")));
  EXPECT_FALSE(parse_hello(from_hex("0001 0001 00000000 00")));
  EXPECT_EQ(parse_hello(from_hex("0001 0001 ffff00fc")), Hello{}) << "later flags are ignored";
  EXPECT_EQ(to_hex(encode_hello({.known = true, .place = 3})), "0001000100000301");
  EXPECT_EQ(parse_hello(from_hex("0001 0001 0000ff00")), Hello{.place = 255});
}

TEST(Control, CommonVersionIsTheHighestOfBoth) {
  const Hello a{.version_min = 1, .version_max = 3};
  EXPECT_EQ(common_version(a, {.version_min = 2, .version_max = 5}), 3);
  EXPECT_EQ(common_version(a, {.version_min = 1, .version_max = 1}), 1);
  EXPECT_EQ(common_version(a, {.version_min = 4, .version_max = 5}), std::nullopt);
}

TEST(Control, SmallBodiesHaveExactLengths) {
  EXPECT_EQ(parse_ping(encode_ping(77)), 77u);
  EXPECT_FALSE(parse_ping(from_hex("01020304050607")));
  EXPECT_FALSE(parse_ping(from_hex("010203040506070809")));
  EXPECT_EQ(parse_goodbye(encode_goodbye(5)), 5);
  EXPECT_FALSE(parse_goodbye({}));
  EXPECT_FALSE(parse_goodbye(from_hex("0505")));
  EXPECT_EQ(parse_load(encode_load(1000)), 1000);
  EXPECT_FALSE(parse_load(from_hex("05")));
  EXPECT_FALSE(parse_load(from_hex("050505")));
  EXPECT_EQ(to_hex(encode_time(1'767'225'600)), "000000006955b900");
  EXPECT_EQ(parse_time(encode_time(1'767'225'600)), 1'767'225'600u);
  EXPECT_FALSE(parse_time(from_hex("01020304")));
  EXPECT_FALSE(parse_time(from_hex("010203040506070809")));
}

TEST(Control, UnknownTypesBelow80AreForbidden) {
  for (const unsigned known : {0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x20, 0x21}) {
    EXPECT_TRUE(is_known_control_type(static_cast<std::uint8_t>(known))) << known;
    EXPECT_FALSE(is_forbidden_control_type(static_cast<std::uint8_t>(known))) << known;
  }
  for (const unsigned bad : {0x00, 0x05, 0x0f, 0x15, 0x22, 0x7f}) {
    EXPECT_TRUE(is_forbidden_control_type(static_cast<std::uint8_t>(bad))) << bad;
  }
  EXPECT_FALSE(is_forbidden_control_type(0x80));
  EXPECT_FALSE(is_forbidden_control_type(0xff));
}

}  // namespace
}  // namespace qudag::wire
