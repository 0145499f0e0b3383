// Nodes that stop in order are gone at once, also for who comes later; those that come back are
// there again.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

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

// ---- the first message of clients when a relay stops
// ---------------------------------------------

/// Six relays, a node that receives, and clients that send their first message.
class FirstMessage : public ::testing::Test {
 protected:
  static constexpr std::size_t kRelays = 6, kTo = kRelays, kClients = 25;
  enum class Clients : std::uint8_t { were_there, come_now };

  /// Of all clients of so many worlds, in order; one relay has begun to stop unless `calm`.
  static std::vector<Duration> measure(Clients clients, bool calm, std::uint64_t worlds) {
    std::vector<Duration> took;
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) one_world(seed, clients, calm, took);
    std::ranges::sort(took);
    return took;
  }
  static Duration part(const std::vector<Duration>& took, std::size_t percent) {
    return took[(took.size() - 1) * percent / 100];
  }
  static void compare(std::string_view what, Clients clients) {
    const char* const wanted = std::getenv("QUDAG_WORLDS");
    const std::uint64_t worlds = wanted == nullptr ? 1 : std::strtoull(wanted, nullptr, 10);
    const auto calm = measure(clients, true, worlds), stopped = measure(clients, false, worlds);
    for (const auto* took : {&calm, &stopped}) {
      std::printf("first message of %zu clients that %.*s, %s: p50 %lld ms, p99 %lld ms\n",
                  took->size(), static_cast<int>(what.size()), what.data(),
                  took == &calm ? "calm" : "one of six relays stops",
                  static_cast<long long>(part(*took, 50) / 1ms),
                  static_cast<long long>(part(*took, 99) / 1ms));
    }
    EXPECT_LE(part(stopped, 99), 3 * part(calm, 99));
  }

 private:
  static void one_world(std::uint64_t seed, Clients clients, bool calm,
                        std::vector<Duration>& took) {
    World world(seed, Faults{});
    SimNetwork net(world, kRelays + 1 + kClients);
    const auto start = [&](std::size_t i) {
      if (i >= kRelays) net[i].set_relay(false);
      net[i].start();
      world.wake(world.host(net[i].address().at));
    };
    const auto join = [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) start(i);
      ASSERT_TRUE(world.run_until(world.now().mono + 120s, [&] {
        for (std::size_t i = first; i < last; ++i) {
          if (net[i].shard().relays_known() < kRelays - 1) return false;
          if (net[i].view()->find(net[kTo].id()) == nullptr) return false;
        }
        return true;
      }));
    };
    for (std::size_t i = 0; i <= kTo; ++i) start(i);
    ASSERT_TRUE(world.run_until(world.now().mono + 120s, [&] {
      for (std::size_t i = 0; i < kRelays; ++i) {
        if (net[i].view()->entries().size() < kRelays + 1) return false;
      }
      return true;
    }));
    world.run_until(world.now().mono + 60s);  // relays have reached each other
    net[kTo].on_message_handler = [](Message&&) { return Accept::taken; };
    const std::size_t first = kTo + 1, last = first + kClients;
    if (clients == Clients::were_there) {
      join(first, last);
      world.run_until(world.now().mono + 2s);
    }
    if (!calm) net[kRelays - 1].stop(1s);
    if (clients == Clients::come_now) join(first, last);
    const TimePoint began = world.now().mono;
    std::size_t ended = 0;
    for (std::size_t i = first; i < last; ++i) {
      net[i].send(net[kTo].id(), std::vector<std::byte>(100), {.ttl = 60s, .relays = 3},
                  [&](const Delivery& end) {
                    ++ended;
                    const bool there = end.outcome == Outcome::delivered;
                    took.push_back(there ? world.now().mono - began : Duration(60s));
                  });
    }
    EXPECT_TRUE(world.run_until(began + 61s, [&] { return ended == kClients; }));
  }
};

TEST_F(FirstMessage, OfClientsThatKnewTheRelayThatStops) {
  compare("were there", Clients::were_there);
}

TEST_F(FirstMessage, OfClientsThatComeWhileItStops) { compare("come now", Clients::come_now); }

}  // namespace
}  // namespace qudag::testing
