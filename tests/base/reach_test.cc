// How far addresses reach, and what a stranger may make us dial.
#include "base/reach.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace qudag {
namespace {

Reach reach(const std::string& text) {
  const auto address = SocketAddress::parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address ? reach_of(*address) : Reach::nowhere;
}

TEST(Reach, OfEveryKindOfAddress) {
  const std::pair<const char*, Reach> cases[] = {
      {"127.0.0.1:1", Reach::machine},
      {"127.255.255.255:1", Reach::machine},
      {"[::1]:1", Reach::machine},
      {"[::ffff:127.0.0.1]:1", Reach::machine},
      {"169.254.1.1:1", Reach::link},
      {"[fe80::1]:1", Reach::link},
      {"10.0.0.1:1", Reach::site},
      {"172.16.0.1:1", Reach::site},
      {"172.31.255.255:1", Reach::site},
      {"192.168.1.1:1", Reach::site},
      {"100.64.0.1:1", Reach::site},
      {"[fd00::1]:1", Reach::site},
      {"[fec0::1]:1", Reach::site},
      {"172.32.0.1:1", Reach::world},
      {"100.128.0.1:1", Reach::world},
      {"192.169.0.1:1", Reach::world},
      {"8.8.8.8:1", Reach::world},
      {"[2600::1]:1", Reach::world},
      {"0.0.0.0:1", Reach::nowhere},
      {"0.1.2.3:1", Reach::nowhere},
      {"[::]:1", Reach::nowhere},
      {"224.0.0.1:1", Reach::nowhere},
      {"255.255.255.255:1", Reach::nowhere},
      {"240.0.0.1:1", Reach::nowhere},
      {"[ff02::1]:1", Reach::nowhere},
      {"8.8.8.8:0", Reach::nowhere},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(reach(text), expected) << text;
}

/// A translator or tunnel on the way would bring it there.
TEST(Reach, AnAddressThatStandsForAnotherReachesAsFarAsThatOne) {
  EXPECT_EQ(reach("[64:ff9b::7f00:1]:1"), Reach::machine);
  EXPECT_EQ(reach("[64:ff9b::a00:1]:1"), Reach::site);
  EXPECT_EQ(reach("[64:ff9b::808:808]:1"), Reach::world);
  EXPECT_EQ(reach("[2002:7f00:1::]:1"), Reach::machine);
  EXPECT_EQ(reach("[2002:c0a8:101::1]:1"), Reach::site);
  EXPECT_EQ(reach("[2002:808:808::1]:1"), Reach::world);
  EXPECT_EQ(reach("[::7f00:1]:1"), Reach::nowhere);
}

TEST(Reach, NobodyBeyondCanMakeUsDialWhatIsNear) {
  const auto at = [](const char* text) { return *SocketAddress::parse(text); };
  EXPECT_FALSE(may_dial(at("127.0.0.1:22"), Reach::world));
  EXPECT_FALSE(may_dial(at("127.0.0.1:22"), Reach::site));
  EXPECT_FALSE(may_dial(at("192.168.1.1:22"), Reach::world));
  EXPECT_TRUE(may_dial(at("127.0.0.1:22"), Reach::machine));
  EXPECT_TRUE(may_dial(at("192.168.1.1:22"), Reach::site));
  EXPECT_TRUE(may_dial(at("8.8.8.8:22"), Reach::world));
  EXPECT_TRUE(may_dial(at("8.8.8.8:22"), Reach::machine));
  EXPECT_FALSE(may_dial(at("255.255.255.255:22"), Reach::machine));
}

}  // namespace
}  // namespace qudag
