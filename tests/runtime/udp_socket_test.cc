// UdpSocket over loopback, with ports that the kernel chooses. Nothing sleeps: each wait is a poll
// with a bound.
#include "runtime/udp_socket.h"
#include "runtime/clock.h"

#include <gtest/gtest.h>

#include <poll.h>

#include <cstring>
#include <map>
#include <vector>

namespace qudag::runtime {
namespace {

const SocketAddress kAnyPort = SocketAddress::v4(127, 0, 0, 1, 0);

std::unique_ptr<UdpSocket> open_socket(UdpOptions options) {
  auto made = UdpSocket::open(options);
  EXPECT_TRUE(made) << made.error().message();
  return made ? std::move(*made) : nullptr;
}

bool wait_readable(const UdpSocket& socket, int ms = 2000) {
  pollfd wait{socket.native_handle(), POLLIN, 0};
  return ::poll(&wait, 1, ms) == 1;
}

struct Datagram {
  SocketAddress from;
  SocketAddress to;
  std::vector<std::byte> data;
  std::uint8_t ecn;
};

/// Reads until `count` datagrams came or nothing more does.
std::vector<Datagram> read(UdpSocket& socket, std::size_t count) {
  std::vector<Datagram> out;
  while (out.size() < count && wait_readable(socket)) {
    for (const Received& in : socket.receive()) {
      for (MutableBytes rest = in.data; !rest.empty();) {
        const auto one = rest.first(std::min(in.segment, rest.size()));
        rest = rest.subspan(one.size());
        out.push_back({in.from, in.to, {one.begin(), one.end()}, in.ecn});
      }
    }
  }
  return out;
}

std::vector<std::byte> numbered(std::size_t size, std::size_t segment) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i / segment + i % 251);
  return out;
}

void expect_train_arrives(bool merge) {
  const auto a = open_socket({.bind = kAnyPort, .merge = merge});
  const auto b = open_socket({.bind = kAnyPort, .merge = merge});
  constexpr std::size_t kSegment = 1200;
  const auto data = numbered(40 * kSegment + 7, kSegment);  // the last one is short
  const Train train{b->local(), a->local(), data, kSegment, 1};
  ASSERT_EQ(a->send({&train, 1}), 1u);

  const auto got = read(*b, 41);
  ASSERT_EQ(got.size(), 41u);
  std::vector<std::byte> joined;
  for (const Datagram& one : got) {
    EXPECT_EQ(one.from, a->local());
    EXPECT_EQ(one.to, b->local());
    EXPECT_EQ(one.ecn, 1);
    EXPECT_LE(one.data.size(), kSegment);
    joined.insert(joined.end(), one.data.begin(), one.data.end());
  }
  EXPECT_EQ(joined, data);
  EXPECT_EQ(a->stats().sent_datagrams, 41u);
  EXPECT_EQ(b->stats().received_datagrams, 41u);
  EXPECT_EQ(b->stats().received_bytes, data.size());
  if (merge && a->cuts_trains()) {
    EXPECT_EQ(a->stats().send_calls, 1u);
  }
}

TEST(UdpSocket, TrainsAreCutByTheKernel) { expect_train_arrives(true); }
TEST(UdpSocket, TrainsAreCutHereWithoutGso) { expect_train_arrives(false); }

TEST(UdpSocket, OneCallServesManyPeers) {
  const auto from = open_socket({.bind = kAnyPort});
  std::vector<std::unique_ptr<UdpSocket>> peers;
  std::vector<Train> trains;
  const auto data = numbered(3000, 1000);
  for (int i = 0; i < 8; ++i) {
    peers.push_back(open_socket({.bind = kAnyPort}));
    trains.push_back({peers.back()->local(), SocketAddress{}, data, 1000, 0});
  }
  ASSERT_EQ(from->send(trains), trains.size());
  EXPECT_EQ(from->stats().send_calls, 1u);
  for (auto& peer : peers) EXPECT_EQ(read(*peer, 3).size(), 3u);
}

TEST(UdpSocket, SaysWhenItTookAllThereWas) {
  const auto a = open_socket({.bind = kAnyPort, .merge = false});
  const auto b = open_socket({.bind = kAnyPort, .merge = false});
  const auto data = numbered(20 * 1000, 1000);
  const Train train{b->local(), a->local(), data, 1000, 0};
  ASSERT_EQ(a->send({&train, 1}), 1u);
  EXPECT_EQ(b->receive().size(), 16u);  // a batch
  EXPECT_FALSE(b->emptied());
  EXPECT_EQ(b->receive().size(), 4u);
  EXPECT_TRUE(b->emptied());
  EXPECT_TRUE(b->receive().empty());
  EXPECT_TRUE(b->emptied());
}

/// What is read came after the time that the turn began with, perhaps.
TEST(UdpSocket, SaysWhenItReadAndHowLongThatHadWaited) {
  const auto a = open_socket({.bind = kAnyPort});
  const auto b = open_socket({.bind = kAnyPort});
  EXPECT_FALSE(b->read_at().has_value());
  const auto data = numbered(1000, 1000);
  const Train train{b->local(), a->local(), data, 1000, 0};
  const TimePoint before = system_now().mono;
  ASSERT_EQ(a->send({&train, 1}), 1u);
  ASSERT_EQ(b->receive().size(), 1u);
  EXPECT_GE(b->read_at().value(), before);
  EXPECT_LE(b->read_at().value(), system_now().mono);
  EXPECT_EQ(b->stats().read_wait.count(), 1u);
}

TEST(UdpSocket, ADatagramTooLargeForThePathIsLostNotFatal) {
  const auto a = open_socket({.bind = kAnyPort});
  const auto b = open_socket({.bind = kAnyPort});
  const std::vector<std::byte> huge(65'530);  // beyond what UDP can carry
  const std::vector<std::byte> small(100);
  const Train trains[] = {{b->local(), a->local(), huge, huge.size(), 0},
                          {b->local(), a->local(), small, small.size(), 0}};
  EXPECT_EQ(a->send(trains), 2u);
  EXPECT_EQ(a->stats().send_errors, 1u);
  EXPECT_EQ(read(*b, 1).size(), 1u);
}

TEST(UdpSocket, ReceiveWithNothingThereIsEmpty) {
  const auto a = open_socket({.bind = kAnyPort});
  EXPECT_TRUE(a->receive().empty());
}

TEST(UdpSocket, SecondUserOfAPortIsRefused) {
  const auto a = open_socket({.bind = kAnyPort});
  const auto again = UdpSocket::open({.bind = a->local()});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::address_in_use);
}

// Sockets of shards share their port with each other, and with no other node of the same user.
TEST(UdpSocket, ThePortOfAnotherNodesShardsIsRefused) {
  const auto first = open_socket({.bind = kAnyPort, .shard = 0, .shards = 2});
  const auto second = open_socket({.bind = first->local(), .shard = 1, .shards = 2});
  EXPECT_EQ(second->local(), first->local());
  const auto other = UdpSocket::open({.bind = first->local(), .shard = 0, .shards = 2});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::address_in_use);
}

TEST(UdpSocket, Ipv6AndIpv4OnOneWildcard) {
  SocketAddress any;
  auto made = UdpSocket::open({.bind = any});
  if (!made) GTEST_SKIP() << "no IPv6 here";
  auto& both = **made;
  const auto v4 = open_socket({.bind = kAnyPort});
  const std::vector<std::byte> data(64);
  SocketAddress target = SocketAddress::v4(127, 0, 0, 1, both.local().port);
  const Train train{target, v4->local(), data, data.size(), 2};
  ASSERT_EQ(v4->send({&train, 1}), 1u);
  const auto got = read(both, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].to, target);
  EXPECT_EQ(got[0].from, v4->local());
  EXPECT_EQ(got[0].ecn, 2);
  const Train back{got[0].from, got[0].to, data, data.size(), 2};
  ASSERT_EQ(both.send({&back, 1}), 1u);
  const auto answer = read(*v4, 1);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].from, target);
  EXPECT_EQ(answer[0].ecn, 2);
}

TEST(UdpSocket, DatagramsReachTheShardThatTheirConnectionIdNames) {
  constexpr unsigned kShards = 3;
  std::vector<std::unique_ptr<UdpSocket>> shards;
  SocketAddress at = kAnyPort;
  for (unsigned i = 0; i < kShards; ++i) {
    shards.push_back(open_socket({.bind = at, .shard = i, .shards = kShards}));
    ASSERT_TRUE(shards.back());
    at = shards.back()->local();
    EXPECT_EQ(at.port, shards.front()->local().port);
  }
  const auto from = open_socket({.bind = kAnyPort});
  std::map<unsigned, std::size_t> expected;
  for (unsigned first = 0; first < 256; ++first) {
    for (const bool long_header : {true, false}) {
      std::vector<std::byte> data(40);
      data[0] = std::byte{long_header ? std::uint8_t{0xc0} : std::uint8_t{0x40}};
      data[long_header ? 6 : 1] = static_cast<std::byte>(first);
      const Train train{at, from->local(), data, data.size(), 0};
      ASSERT_EQ(from->send({&train, 1}), 1u);
      ++expected[first % kShards];
    }
  }
  for (unsigned i = 0; i < kShards; ++i) {
    const auto got = read(*shards[i], expected[i]);
    EXPECT_EQ(got.size(), expected[i]);
    for (const Datagram& one : got) {
      const bool long_header = one.data[0] == std::byte{0xc0};
      EXPECT_EQ(std::to_integer<unsigned>(one.data[long_header ? 6 : 1]) % kShards, i);
    }
  }
}

}  // namespace
}  // namespace qudag::runtime
