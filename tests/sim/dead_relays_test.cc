// Half of the relays die at once, and nobody was told: the first message of a newcomer does not
// wait for those that do not answer.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAlive = 8, kDead = 6, kNewcomers = 12;
constexpr std::size_t kRelays = kAlive + kDead;
constexpr std::uint64_t kWorlds = 4;

class DeadRelays : public ::testing::Test {
 protected:
  /// `dead` relays of each world die when all know each other.
  void measure(std::string_view what, std::size_t dead) {
    for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) newcomers_of(seed, dead);
    std::ranges::sort(took_);
    fmt::print("first message, {}: p50 {} ms, p75 {} ms, p99 {} ms\n", what, part(50) / 1ms,
               part(75) / 1ms, part(99) / 1ms);
  }
  Duration part(std::size_t percent) const { return took_[(took_.size() - 1) * percent / 100]; }

 private:
  void newcomers_of(std::uint64_t seed, std::size_t dead) {
    World world(seed, Faults{});
    SimNetwork net(world, kRelays + kNewcomers);
    const auto start = [&](std::size_t i) {
      net[i].start();
      world.wake(world.host(net[i].address().at));
    };
    for (std::size_t i = 0; i < kRelays; ++i) start(i);
    ASSERT_TRUE(world.run_until(world.now().mono + 120s, [&] {
      for (std::size_t i = 0; i < kRelays; ++i) {
        if (net[i].shard().relays_known() < kRelays) return false;
      }
      return true;
    }));
    net[1].on_message_handler = [](Message&&) { return Accept::taken; };
    for (std::size_t i = kRelays - dead; i < kRelays; ++i) net[i].crash();
    for (std::size_t i = kRelays; i < kRelays + kNewcomers; ++i) {
      net[i].set_relay(false);
      start(i);
      ASSERT_TRUE(world.run_until(world.now().mono + 10s, [&] {
        return net[i].shard().relays_known() >= kRelays;
      })) << "the dead are in its map too";
      first_message(world, net[i], net[1].id());
      net[i].crash();
    }
  }

  void first_message(World& world, SimNode& from, const NodeId& to) {
    const TimePoint began = world.now().mono;
    bool delivered = false;
    from.send(to, std::vector<std::byte>(100), {.ttl = 120s, .relays = 3},
              [&](const Delivery& end) { delivered = end.outcome == Outcome::delivered; });
    world.run_until(began + 120s, [&] { return delivered; });
    took_.push_back(world.now().mono - began);
  }

  std::vector<Duration> took_;
};

TEST_F(DeadRelays, WhereAllAreAliveTheFirstMessageIsThereInAThirdOfASecond) {
  measure("all relays alive", 0);
  EXPECT_LE(part(50), 300ms);
  EXPECT_LE(part(99), 500ms);
}

/// Of the routes that it could draw an eighth would do. Whoever stands on a route and is late is
/// given six draws at once and no more, so that this long can only be for most.
TEST_F(DeadRelays, TheFirstMessageOfANewcomerDoesNotWaitForThem) {
  measure(fmt::format("{} of {} relays dead", kDead, kRelays), kDead);
  EXPECT_LE(part(50), 600ms);
  EXPECT_LE(part(75), 2s);
}

}  // namespace
}  // namespace qudag::testing
