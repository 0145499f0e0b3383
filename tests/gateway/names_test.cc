// Names of services: what each form means, and that no other name goes anywhere.
#include "gateway/names.h"

#include <gtest/gtest.h>

namespace qudag::gateway {
namespace {

const std::string kId = std::string(51, 'b') + "a";

std::string shown(std::string_view name, std::uint16_t port = 80) {
  const Contacts contacts{{"alice", *NodeId::parse(std::string(51, 'c') + "a")}};
  const auto target = parse_name(name, port, contacts);
  if (target) return target->service + "@" + target->node.to_string().substr(0, 2);
  switch (target.error()) {
    case NameFault::outside:
      return "outside";
    case NameFault::malformed:
      return "malformed";
    case NameFault::unknown:
      return "unknown";
  }
  return "";
}

TEST(GatewayNames, AServiceOfANode) {
  EXPECT_EQ(shown("ssh." + kId + ".qudag"), "ssh@bb");
  EXPECT_EQ(shown("a-1." + kId + ".qudag", 0), "a-1@bb");
  EXPECT_EQ(shown("ssh.alice.qudag"), "ssh@cc");
}

TEST(GatewayNames, AlonePortIsTheService) {
  EXPECT_EQ(shown(kId + ".qudag", 8080), "8080@bb");
  EXPECT_EQ(shown("alice.qudag", 22), "22@cc");
  EXPECT_EQ(shown(kId + ".qudag", 0), "malformed");
}

TEST(GatewayNames, CaseAndOneDotAtTheEndDoNotCount) {
  std::string upper = "SSH." + kId + ".QUDAG.";
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(shown(upper), "ssh@bb");
  EXPECT_EQ(shown("ssh." + kId + ".qudag.."), "outside");
}

TEST(GatewayNames, NothingElseIsUnderQudag) {
  EXPECT_EQ(shown(".qudag"), "malformed");
  EXPECT_EQ(shown("qudag"), "malformed");
  EXPECT_EQ(shown("ssh..qudag"), "malformed");
  EXPECT_EQ(shown("." + kId + ".qudag"), "malformed");
  EXPECT_EQ(shown("a.b." + kId + ".qudag"), "malformed");
  EXPECT_EQ(shown("s_h." + kId + ".qudag"), "malformed");
  EXPECT_EQ(shown(std::string(25, 's') + "." + kId + ".qudag"), "malformed");
  EXPECT_EQ(shown("ssh." + std::string(52, '1') + ".qudag"), "malformed");
  EXPECT_EQ(shown("ssh.bob.qudag"), "unknown");
  EXPECT_EQ(shown(std::string(200, 'a') + ".qudag"), "malformed");
}

TEST(GatewayNames, NoOtherNameIsUnderQudag) {
  for (const char* name : {"", ".", "example.org", "127.0.0.1", "::1", "localhost", "notqudag",
                           "ssh.alice.qudag.org", "qudag.", "alice.onion"}) {
    const std::string expected = std::string_view(name) == "qudag." ? "malformed" : "outside";
    EXPECT_EQ(shown(name), expected) << name;
  }
}

}  // namespace
}  // namespace qudag::gateway
