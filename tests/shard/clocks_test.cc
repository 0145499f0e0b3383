// What a node makes of its clocks and of its peers'.
#include "shard/gossip/clocks.h"

#include <gtest/gtest.h>

namespace qudag::shard {
namespace {

using namespace std::chrono_literals;

constexpr UnixSeconds kToday = 1'800'000'000;

Now at(std::chrono::seconds since, std::int64_t wall_ahead = 0) {
  return {.mono = TimePoint(since),
          .unix_seconds = kToday + static_cast<UnixSeconds>(since.count()) +
                          static_cast<UnixSeconds>(wall_ahead)};
}

SocketAddress in_network(std::uint8_t number, std::uint8_t host = 1) {
  return SocketAddress::v4(10, number, 0, host, 4433);
}

TEST(ClockWatch, SaysOnceThatTheWallClockWasSet) {
  ClockWatch watch;
  EXPECT_FALSE(watch.moved(at(1s)));
  EXPECT_FALSE(watch.moved(at(1h))) << "both go on, also while the machine sleeps";
  EXPECT_FALSE(watch.moved(at(2h, 59)));
  EXPECT_TRUE(watch.moved(at(3h, 60)));
  EXPECT_FALSE(watch.moved(at(3h, 60)));
  EXPECT_TRUE(watch.moved(at(3h, -86'400)));
  EXPECT_TRUE(watch.moved(at(3h, 0)));
}

TEST(PeerClocks, TheMedianOfNetworksTellsByHowMuch) {
  PeerClocks clocks;
  clocks.heard(in_network(1), kToday + 10, at(10s));
  clocks.heard(in_network(2), kToday + 10, at(10s));
  EXPECT_FALSE(clocks.off(at(10s))) << "two are too few";
  clocks.heard(in_network(2, 7), kToday + 10, at(10s));
  EXPECT_FALSE(clocks.off(at(10s))) << "still two networks";
  clocks.heard(in_network(3), kToday + 1'000'000, at(10s));
  ASSERT_TRUE(clocks.off(at(10s)));
  EXPECT_EQ(clocks.off(at(10s))->seconds, 0) << "one liar moves no median";
  EXPECT_EQ(clocks.off(at(1h, 300))->seconds, 300) << "our clock was set, nobody spoke again";
  EXPECT_EQ(clocks.off(at(1h, -300))->seconds, -300);
  EXPECT_FALSE(clocks.off(at(25h))) << "too long ago";
}

TEST(PeerClocks, TellsEachChangeOnce) {
  PeerClocks clocks;
  for (std::uint8_t i = 0; i < 5; ++i) clocks.heard(in_network(i), kToday, at(0s));
  EXPECT_FALSE(clocks.to_tell(at(1s)));
  EXPECT_FALSE(clocks.to_tell(at(1s, 60)));
  ASSERT_TRUE(clocks.to_tell(at(2s, 61)));
  EXPECT_FALSE(clocks.to_tell(at(3s, 61)));
  EXPECT_FALSE(clocks.to_tell(at(3s, 100))) << "about the same";
  ASSERT_TRUE(clocks.to_tell(at(4s, 86'400)));
  const auto right = clocks.to_tell(at(5s, 5));
  ASSERT_TRUE(right);
  EXPECT_EQ(right->seconds, 5);
  EXPECT_FALSE(clocks.to_tell(at(6s)));
}

TEST(PeerClocks, AreBoundedAndLeaveOutNonsense) {
  PeerClocks clocks;
  for (unsigned i = 0; i < 1'000; ++i) {
    clocks.heard(
        SocketAddress::v4(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8), 0, 1, 1),
        UINT64_MAX, at(1s));
  }
  EXPECT_FALSE(clocks.off(at(1s)));
  for (unsigned i = 0; i < 1'000; ++i) {
    clocks.heard(
        SocketAddress::v4(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8), 0, 1, 1),
        kToday, at(std::chrono::seconds(i)));
  }
  EXPECT_EQ(clocks.off(at(1'000s))->networks, PeerClocks::kNetworksMax);
}

}  // namespace
}  // namespace qudag::shard
