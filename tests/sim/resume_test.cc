// A large message over lines of 3 MB/s, while relays die: it goes on with each circuit from what
// the destination has, whichever hop it was that died.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <random>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelays = 8;
constexpr std::size_t kBytes = 20'000'000;
constexpr double kLine = 3e6;

struct LargeMessage {
  explicit LargeMessage(std::uint64_t seed)
      : random(seed), world(seed, Faults{}), network(world, kRelays + 2) {
    network[kSource].set_relay(false);
    network[kDestination].set_relay(false);
    network.start();
    EXPECT_TRUE(network.settle(120s));
    world.run_until(world.now().mono + 60s);  // relays have seen each other
    for (std::size_t i = 0; i < network.size(); ++i) {
      world.set_line(network[i].address().at, kLine, 100ms);
    }
    network[kDestination].on_message_handler = [this](Message&& message) {
      ++arrived;
      right = message.payload.to_vector() == payload;
      return Accept::taken;
    };
    std::ranges::generate(payload, [this] { return static_cast<std::byte>(random()); });
  }
  /// One relay of those that are not needed to know the others dies every 2 s, and is back a second
  /// later.
  void kill_every(Duration time) {
    world.at(world.now().mono + time, [this, time] {
      if (end) return;
      ++kills;
      const std::size_t victim = 1 + random() % (kRelays - 1);
      network[victim].crash();
      world.at(world.now().mono + 1s, [this, victim] {
        network[victim].start();
        world.wake(world.host(network[victim].address().at));
      });
      kill_every(time);
    });
  }
  void send() {
    network[kSource].send(network[kDestination].id(), payload,
                          {.priority = Priority::low, .ttl = 600s, .relays = 3},
                          [this](const Delivery& delivery) { end = delivery; });
    world.run_until(world.now().mono + 601s, [this] { return end.has_value(); });
  }
  message::MessagesStats sent() { return network[kSource].shard().report().message; }

  static constexpr std::size_t kSource = kRelays, kDestination = kRelays + 1;
  std::mt19937_64 random;
  World world;
  SimNetwork network;
  std::vector<std::byte> payload = std::vector<std::byte>(kBytes);
  std::optional<Delivery> end;
  std::size_t kills = 0, arrived = 0;
  bool right = false;
};

TEST(Resume, ALargeMessageWhileRelaysDie) {
  std::size_t resumed = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    LargeMessage large(seed);
    const TimePoint began = large.world.now().mono;
    large.kill_every(2s);
    large.send();
    ASSERT_TRUE(large.end);
    EXPECT_EQ(large.end->outcome, Outcome::delivered) << large.end->reason.message();
    EXPECT_EQ(large.arrived, 1u);
    EXPECT_TRUE(large.right);
    const message::MessagesStats sent = large.sent();
    const double times =
        static_cast<double>(sent.bytes_sent() + sent.bytes_again) / static_cast<double>(kBytes);
    fmt::print("{} kills in {} ms, {} circuits went on, sent {:.2f} x\n", large.kills,
               (large.world.now().mono - began) / 1ms, sent.resumed, times);
    EXPECT_GE(large.kills, 3u);
    resumed += sent.resumed;
    EXPECT_LE(times, 1.5);
  }
  EXPECT_GE(resumed, 2u);
}

}  // namespace
}  // namespace qudag::testing
