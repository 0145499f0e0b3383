// A network in which some nodes have IPv4, some IPv6, and some both: whoever has a way gets
// through.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <string>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;

enum class Has { v4, v6, both };

/// A UDP port that is free for both families now.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 at{};
  at.sin6_family = AF_INET6;
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size), 0);
  ::close(fd);
  return ntohs(at.sin6_port);
}

SocketAddress loopback(bool v4, std::uint16_t port) {
  SocketAddress out = v4 ? SocketAddress::v4(127, 0, 0, 1, 0) : *SocketAddress::parse("[::1]:0");
  out.port = port;
  return out;
}

/// The first has both families, and all others join through it.
class Mixed {
 public:
  explicit Mixed(const std::vector<Has>& all) {
    for (const Has has : all) {
      Options options;
      options.log_level = LogLevel::off;
      options.shards = 1;
      options.gossip_interval = 1s;
      const std::uint16_t port = has == Has::both ? free_port() : std::uint16_t{0};
      options.listen = loopback(has == Has::v4, 0);
      if (has == Has::both) {
        options.listen = SocketAddress{.ip = {}, .port = port};
        options.publish = {loopback(true, port), loopback(false, port)};
      }
      if (nodes.empty()) {
        first_ = port;
      } else {
        options.bootstrap = {{.id = nodes[0]->id(), .at = loopback(has != Has::v6, first_)}};
      }
      auto node = Node::start(options);
      EXPECT_TRUE(node) << node.error().message();
      nodes.push_back(std::move(*node));
      nodes.back()->on_message([](Message&&) { return Accept::taken; });
    }
    for (const auto& node : nodes) {
      for (const auto& other : nodes) EXPECT_TRUE(node->wait_until_known(other->id(), 60s));
      const auto relays = static_cast<unsigned>(std::min<std::size_t>(all.size() - 2, 3));
      EXPECT_TRUE(node->wait_until_joined(60s, relays).joined);
    }
  }

  std::vector<std::unique_ptr<Node>> nodes;

 private:
  std::uint16_t first_ = 0;
};

TEST(Families, AllPairsGetThroughOverRelaysThatHaveBoth) {
  Mixed net({Has::both, Has::both, Has::both, Has::v4, Has::v4, Has::v6, Has::v6});
  const std::array<std::byte, 100> payload{};
  for (std::size_t i = 0; i < net.nodes.size(); ++i) {
    for (std::size_t j = 0; j < net.nodes.size(); ++j) {
      if (i == j) continue;
      const Delivery end = net.nodes[i]->send(net.nodes[j]->id(), payload, {.ttl = 60s}).get();
      EXPECT_EQ(end.outcome, Outcome::delivered)
          << i << " to " << j << ": " << end.reason.message();
      EXPECT_LT(end.elapsed, 20s) << i << " to " << j;
    }
  }
}

TEST(Families, ADirectMessageGoesInTheFamilyThatBothHave) {
  Mixed net({Has::both, Has::v4, Has::v6});
  const std::array<std::byte, 100> payload{};
  const auto direct = [&](std::size_t from, std::size_t to) {
    return net.nodes[from]->send(net.nodes[to]->id(), payload, {.ttl = 5s, .relays = 0}).get();
  };
  EXPECT_EQ(direct(1, 0).outcome, Outcome::delivered);
  EXPECT_EQ(direct(2, 0).outcome, Outcome::delivered);
  EXPECT_EQ(direct(0, 1).outcome, Outcome::delivered);
  EXPECT_EQ(direct(0, 2).outcome, Outcome::delivered);
}

}  // namespace
}  // namespace qudag
