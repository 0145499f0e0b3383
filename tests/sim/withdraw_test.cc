// Nodes that stop in order are gone at once, also for who comes later; those that come back are
// there again.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

struct Leaving {
  static constexpr std::size_t kStay = 6, kGo = 5;
  static constexpr std::size_t kNewcomer = kStay + kGo;

  explicit Leaving(std::uint64_t seed) : world(seed, Faults{}), network(world, kNewcomer + 1) {
    for (std::size_t i = 0; i < kNewcomer; ++i) network[i].start();
    EXPECT_TRUE(until(120s, [&] { return all_know(kNewcomer); }));
    run(60s);  // relays have reached each other
    network[1].on_message_handler = [&](Message&&) {
      ++got;
      return Accept::taken;
    };
  }

  bool until(Duration most, const std::function<bool()>& what) {
    return world.run_until(world.now().mono + most, what);
  }
  void run(Duration time) { world.run_until(world.now().mono + time); }
  bool all_know(std::size_t count) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (network[i].running() && !stopped(i) && network[i].view()->entries().size() != count) {
        return false;
      }
    }
    return true;
  }
  bool stopped(std::size_t i) { return network[i].shard().stopped(); }
  void stop(std::size_t i) {
    network[i].stop(1s);
    EXPECT_TRUE(until(5s, [&] { return stopped(i); }));
    network[i].crash();
  }
  void start(std::size_t i) {
    network[i].start();
    world.wake(world.host(network[i].address().at));
  }
  void send(std::size_t from, std::size_t to, std::chrono::milliseconds ttl, unsigned relays) {
    network[from].send(network[to].id(), std::vector<std::byte>(100),
                       {.ttl = ttl, .relays = relays},
                       [this](const Delivery& delivery) { end = delivery; });
  }

  World world;
  SimNetwork network;
  std::size_t got = 0;
  std::optional<Delivery> end;
};

TEST(Withdraw, WhoStopsIsGoneFromEveryMapAndANewcomerSendsAtOnce) {
  Leaving net(1);
  for (std::size_t i = 0; i < Leaving::kGo; ++i) net.stop(Leaving::kStay + i);
  EXPECT_TRUE(net.until(2s, [&] { return net.all_know(Leaving::kStay); }));
  for (std::size_t i = 0; i < Leaving::kStay; ++i) {
    EXPECT_EQ(net.network[i].shard().relays_known(), Leaving::kStay) << i;
  }
  net.start(Leaving::kNewcomer);
  SimNode& newcomer = net.network[Leaving::kNewcomer];
  ASSERT_TRUE(net.until(10s, [&] { return newcomer.shard().relays_known() > Leaving::kStay; }));
  EXPECT_EQ(newcomer.view()->entries().size(), Leaving::kStay + 1);
  const TimePoint began = net.world.now().mono;
  net.send(Leaving::kNewcomer, 1, 10s, 3);
  ASSERT_TRUE(net.until(10s, [&] { return net.end.has_value(); }));
  EXPECT_EQ(net.end->outcome, Outcome::delivered);
  EXPECT_LE(net.world.now().mono - began, 2s);
}

/// Also in the second in which it stopped.
TEST(Withdraw, WhoComesBackIsThereAgain) {
  Leaving net(2);
  const std::size_t who = Leaving::kStay;
  net.stop(who);
  net.run(100ms);
  net.start(who);
  EXPECT_TRUE(net.until(10s, [&] { return net.all_know(Leaving::kNewcomer); }));
  net.run(5s);
  EXPECT_TRUE(net.all_know(Leaving::kNewcomer));
  net.send(0, who, 10s, 2);
  net.network[who].on_message_handler = [](Message&&) { return Accept::taken; };
  ASSERT_TRUE(net.until(10s, [&] { return net.end.has_value(); }));
  EXPECT_EQ(net.end->outcome, Outcome::delivered) << net.end->reason.message();
}

TEST(Withdraw, AMessageWaitsForADestinationThatStopped) {
  Leaving net(3);
  net.stop(1);
  EXPECT_TRUE(net.until(2s, [&] { return net.all_know(Leaving::kNewcomer - 1); }));
  net.send(0, 1, 10min, 2);
  net.run(60s);
  EXPECT_FALSE(net.end.has_value());
  net.start(1);
  ASSERT_TRUE(net.until(20s, [&] { return net.end.has_value(); }));
  EXPECT_EQ(net.end->outcome, Outcome::delivered) << net.end->reason.message();
  EXPECT_EQ(net.got, 1u);

  net.stop(1);
  net.end.reset();
  net.send(0, 1, 5s, 2);
  ASSERT_TRUE(net.until(10s, [&] { return net.end.has_value(); }));
  EXPECT_EQ(net.end->outcome, Outcome::expired);
  EXPECT_NE(net.end->reason.message().find("stopped"), std::string::npos)
      << net.end->reason.message();
}

}  // namespace
}  // namespace qudag::testing
