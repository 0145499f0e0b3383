// Bulk through three relays over lines of 100 Mbit/s that lose packets by chance: each hop repairs
// its own, and none takes them for a full queue.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr double kLine = 12.5e6;
constexpr std::size_t kBytes = 30'000'000;
constexpr std::size_t kSource = 3, kDestination = 4;

/// MB/s of one message, with the build of its circuit.
double rate_at(double loss, Congestion congestion) {
  World world(7, Faults{.loss = loss, .delay_min = 12'500us, .delay_jitter = 0us});
  Options options;
  options.congestion = congestion;
  SimNetwork network(world, 5, options);
  network[kSource].set_relay(false);
  network.start();
  EXPECT_TRUE(network.settle(120s));
  world.run_until(world.now().mono + 60s);
  for (std::size_t i = 0; i < network.size(); ++i) {
    world.set_line(network[i].address().at, kLine, 25ms);
  }
  network[kDestination].on_message_handler = [](Message&&) { return Accept::taken; };
  std::optional<Delivery> end;
  const TimePoint began = world.now().mono;
  network[kSource].send(network[kDestination].id(), std::vector<std::byte>(kBytes),
                        {.priority = Priority::low, .ttl = 300s, .relays = 3},
                        [&](const Delivery& delivery) { end = delivery; });
  world.run_until(began + 301s, [&] { return end.has_value(); });
  EXPECT_TRUE(end && end->outcome == Outcome::delivered);
  return static_cast<double>(kBytes) / static_cast<double>((world.now().mono - began) / 1us);
}

TEST(Lossy, BulkThroughThreeRelaysKeepsItsRate) {
  if (!link::forgives_losses()) GTEST_SKIP() << "ngtcp2 was not built by ./dev setup";
  const double automatic = rate_at(0.01, Congestion::automatic);
  const double cubic = rate_at(0.01, Congestion::cubic);
  fmt::print("{:.2f} MB/s, plain CUBIC {:.2f}\n", automatic, cubic);
  EXPECT_GT(automatic, 6.0);
  EXPECT_LT(cubic, 3.0) << "or this shows nothing";
}

}  // namespace
}  // namespace qudag::testing
