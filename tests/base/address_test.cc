#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/message.h>

#include <gtest/gtest.h>

#include <set>

namespace qudag {
namespace {

NodeId counting_id() {
  NodeId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(i);
  return id;
}

// base64.b32encode(bytes(range(32))).decode().lower().rstrip("=")
constexpr std::string_view kCountingText = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";

TEST(NodeId, IsBase32OfRfc4648) {
  EXPECT_EQ(counting_id().to_string(), kCountingText);
  EXPECT_EQ(NodeId{}.to_string(), std::string(52, 'a'));
  NodeId ones;
  ones.bytes.fill(std::byte{0xff});
  EXPECT_EQ(ones.to_string(), std::string(51, '7') + "q");
}

TEST(NodeId, ParsesWhatItPrintsInEitherCase) {
  const auto lower = NodeId::parse(kCountingText);
  ASSERT_TRUE(lower);
  EXPECT_EQ(*lower, counting_id());
  std::string upper(kCountingText);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(NodeId::parse(upper).value(), counting_id());
}

TEST(NodeId, RefusesOtherLengthsAlphabetsAndSpareBits) {
  const std::string good(52, 'a');
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "a", good.substr(1) + "1", good.substr(1) + "8",
        good.substr(1) + "=", good.substr(1) + " ", good.substr(1) + std::string(1, '\0'),
        good.substr(1) + "b", good.substr(1) + "i"}) {
    const auto id = NodeId::parse(bad);
    ASSERT_FALSE(id) << bad;
    EXPECT_EQ(id.error().code, Errc::malformed);
  }
  EXPECT_TRUE(NodeId::parse(good.substr(1) + "q"));  // the one bit that belongs to the id
}

TEST(SocketAddress, PrintsAndParsesBothFamilies) {
  for (const std::string text :
       {"127.0.0.1:4433", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:4433", "[::]:0",
        "[2001:db8::8:800:200c:417a]:1", "[fe80::1]:443"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
}

TEST(SocketAddress, HoldsIpv4AsMappedIpv6) {
  const auto address = SocketAddress::v4(192, 0, 2, 7, 99);
  EXPECT_TRUE(address.is_v4());
  EXPECT_EQ(address.to_string(), "192.0.2.7:99");
  EXPECT_EQ(SocketAddress::parse("192.0.2.7:99").value(), address);
  EXPECT_EQ(SocketAddress::parse("[::ffff:192.0.2.7]:99").value(), address);
  EXPECT_FALSE(SocketAddress::parse("[::1]:1")->is_v4());
}

TEST(SocketAddress, RefusesEverythingElse) {
  for (const std::string& bad : std::initializer_list<std::string>{"",
                                                                   ":",
                                                                   "127.0.0.1",
                                                                   "127.0.0.1:",
                                                                   ":4433",
                                                                   "127.0.0.1:65536",
                                                                   "127.0.0.1:-1",
                                                                   "127.0.0.1:+1",
                                                                   "127.0.0.1:04433",
                                                                   "127.0.0.1:00",
                                                                   "127.0.0.1: 1",
                                                                   "127.0.0.1:1 ",
                                                                   "127.0.0.1:99999999999999999999",
                                                                   "127.0.0:1",
                                                                   "127.0.0.1.1:1",
                                                                   "127.0.0.256:1",
                                                                   "127.1:1",
                                                                   "0x7f.0.0.1:1",
                                                                   "localhost:1",
                                                                   "::1:4433",
                                                                   "[::1]",
                                                                   "[::1]4433",
                                                                   "[::1:4433",
                                                                   "::1]:4433",
                                                                   "[]:1",
                                                                   "[127.0.0.1]:1",
                                                                   "[fe80::1%eth0]:1",
                                                                   "[::1]]:1",
                                                                   "[[::1]:1",
                                                                   "[1:2:3:4:5:6:7:8:9]:1",
                                                                   std::string("127.0.0.1\0:1", 12),
                                                                   std::string("127.0.0.1:1\0", 12),
                                                                   std::string(4000, '1') + ":1"}) {
    const auto address = SocketAddress::parse(bad);
    ASSERT_FALSE(address) << bad;
    EXPECT_EQ(address.error().code, Errc::malformed) << bad;
  }
}

TEST(PeerAddress, PrintsAndParses) {
  const PeerAddress peer{counting_id(), SocketAddress::v4(10, 0, 0, 1, 4433)};
  const std::string text = std::string(kCountingText) + "@10.0.0.1:4433";
  EXPECT_EQ(peer.to_string(), text);
  EXPECT_EQ(PeerAddress::parse(text).value(), peer);
  const std::string six =
      std::string(kCountingText) + "@[1111:2222:3333:4444:5555:6666:7777:8888]:65535";
  EXPECT_EQ(PeerAddress::parse(six).value().to_string(), six);
}

TEST(PeerAddress, MayHaveAName) {
  const std::string id(kCountingText);
  for (const char* where : {"relay.example:4433", "localhost:1", "a-b_c.de:65535", "r2.example:1",
                            "10.0.0.a:1", "xn--bcher-kva.example:4433"}) {
    const auto peer = PeerAddress::parse(id + "@" + where);
    ASSERT_TRUE(peer) << where;
    EXPECT_FALSE(peer->name.empty());
    EXPECT_EQ(peer->at.ip, SocketAddress{}.ip);
    EXPECT_EQ(peer->to_string(), id + "@" + where);
    EXPECT_EQ(PeerAddress::parse(peer->to_string()).value(), *peer);
  }
  EXPECT_TRUE(PeerAddress::parse(id + "@" + std::string(63, 'a') + ".example:1"));
}

TEST(PeerAddress, RefusesEverythingElse) {
  const std::string id(kCountingText);
  for (const std::string& bad :
       std::initializer_list<std::string>{"",
                                          id,
                                          id + "@",
                                          "@10.0.0.1:1",
                                          id + "10.0.0.1:1",
                                          id + "@@10.0.0.1:1",
                                          id + "a@10.0.0.1:1",
                                          id + "@10.0.0.1",
                                          id.substr(1) + "@10.0.0.1:1",
                                          id + "@" + std::string(1000, '1'),
                                          id + "@relay.example",
                                          id + "@relay.example:",
                                          id + "@relay.example:65536",
                                          id + "@.example:1",
                                          id + "@a..b:1",
                                          id + "@-a.example:1",
                                          id + "@a-.example:1",
                                          id + "@a.example-:1",
                                          id + "@relay.example.:1",
                                          id + "@1.2.3:1",
                                          id + "@256.1.1.1:1",
                                          id + "@a b.example:1",
                                          id + "@a/b:1",
                                          id + "@ex\u00e4mple:1",
                                          id + "@" + std::string(64, 'a') + ":1",
                                          id + "@" + std::string(254, 'a') + ":1",
                                          id + "@:1",
                                          id + "@[::1:1",
                                          id + "@relay.example:4433:1"}) {
    const auto peer = PeerAddress::parse(bad);
    ASSERT_FALSE(peer) << bad;
    EXPECT_EQ(peer.error().code, Errc::malformed);
  }
}

TEST(Names, EveryCodeHasItsOwnStableName) {
  EXPECT_EQ(name_of(Errc::refused_memory), "refused_memory");
  EXPECT_EQ(name_of(static_cast<Errc>(9999)), "unknown");
  std::set<std::string_view> names;
  std::size_t known = 0;
  for (std::uint16_t code = 0; code < 600; ++code) {
    const auto name = name_of(static_cast<Errc>(code));
    if (name == "unknown") continue;
    ++known;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_EQ(known, 34u);
}

TEST(Names, ErrorMessageIsNameAndDetail) {
  EXPECT_EQ(Error(Errc::not_found).message(), "not_found");
  EXPECT_EQ(Error(Errc::not_found, "node.key").message(), "not_found: node.key");
}

TEST(Names, PrioritiesParseBack) {
  for (const Priority c : {Priority::high, Priority::normal, Priority::low}) {
    EXPECT_EQ(parse_priority(name_of(c)).value(), c);
  }
  for (const std::string_view bad : {"", "High", "highest", "0", "normal "}) {
    const auto c = parse_priority(bad);
    ASSERT_FALSE(c) << bad;
    EXPECT_EQ(c.error().code, Errc::invalid_argument);
  }
  EXPECT_EQ(name_of(Outcome::expired), "expired");
}

}  // namespace
}  // namespace qudag
