// Whole nodes on lines of 50 ms: when the first message of a new circuit is there. Four link delays
// with the build, of which it would otherwise wait for the twelfth.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDelay = 50ms;

struct First {
  std::vector<double> there, answered;  // in link delays
};

/// First messages of that size over three relays, on links that are there.
First first_messages(std::size_t bytes, std::size_t count) {
  World world(3, {.delay_min = kDelay, .delay_jitter = {}});
  SimNetwork network(world, 5);
  network[4].set_relay(false);
  network.start();
  EXPECT_TRUE(network.settle(120s));
  world.run_until(world.now().mono + 60s);
  SimNode& source = network[4];
  TimePoint arrived{};
  network[3].on_message_handler = [&](Message&&) {
    arrived = world.now().mono;
    return Accept::taken;
  };
  First out;
  const std::vector<std::byte> payload(bytes);
  for (std::uint64_t i = 0; i < 10 + count; ++i) {  // the first ones dial what is not there
    const TimePoint began = world.now().mono;
    std::optional<Delivery> end;
    source.send(network[3].id(), payload, {.ttl = 60s, .relays = 3, .isolation = i + 1},
                [&](const Delivery& delivery) { end = delivery; });
    EXPECT_TRUE(world.run_until(world.now().mono + 61s, [&] { return end.has_value(); }));
    EXPECT_EQ(end->outcome, Outcome::delivered);
    if (i < 10) continue;
    const auto delays = [&](TimePoint at) {
      return std::chrono::duration<double>(at - began) / kDelay;
    };
    out.there.push_back(delays(arrived));
    out.answered.push_back(delays(world.now().mono));
  }
  for (auto* all : {&out.there, &out.answered}) std::ranges::sort(*all);
  return out;
}

TEST(Riders, TheFirstMessageIsThereAfterFourLinkDelays) {
  constexpr std::size_t kCount = 21;
  const First rides = first_messages(1'000, kCount);
  const First follows = first_messages(6'000, kCount);  // too large to ride
  const double there = rides.there[kCount / 2], answered = rides.answered[kCount / 2];
  const double later = follows.there[kCount / 2], answered_later = follows.answered[kCount / 2];
  fmt::print(
      "link delays, median of {}: rides {:.2f}, answered {:.2f}; does not ride {:.2f}, {:.2f}\n",
      kCount, there, answered, later, answered_later);
  EXPECT_NEAR(there, 4, 0.16);
  EXPECT_NEAR(answered, 8, 0.32);
  EXPECT_NEAR(later, 12, 0.48);
  EXPECT_NEAR(answered_later, 16, 0.64);
}

}  // namespace
}  // namespace qudag::testing
