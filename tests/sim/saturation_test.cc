// Above capacity: a source that offers up to four times what the network takes, with a small memory
// bound, in virtual time. The capacity is a line to the destination. What is above it is refused at
// the source's limiter; memory stays calm, and no action of the overload manager is needed.
// On real processes the same is measured by `qudag-bench overload`.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr double kLine = 2e6;  // bytes a second
constexpr std::uint64_t kMemory = std::uint64_t{32} << 20;
constexpr std::array<std::size_t, kPriorityCount> kBytes{256, 1'024, 16'384};
constexpr double kMeanBytes = 0.05 * 256 + 0.25 * 1'024 + 0.70 * 16'384;

struct Tally {
  std::size_t offered = 0, delivered = 0, refused = 0, other = 0;
  std::size_t delivered_while_offered = 0;
  std::vector<Duration> took;

  Duration p99() {  // of what was delivered
    const auto at = took.begin() + static_cast<std::ptrdiff_t>(took.size() * 99 / 100);
    std::nth_element(took.begin(), at, took.end());
    return *at;
  }
};

/// One load, in a world of its own.
struct Load {
  struct How {
    double factor = 1;
    std::uint64_t memory = kMemory;
    std::chrono::milliseconds ttl = 60s;
    unsigned queue_delay_ms = 100;
  };
  explicit Load(const How& how) : how_(how), world(31, {.delay_jitter = 0s}) {
    Options options;
    options.limits.memory = how.memory;
    options.limits.queue_delay_ms = how.queue_delay_ms;
    network = std::make_unique<SimNetwork>(world, 3, options);
    network->start();
    EXPECT_TRUE(network->settle(60s));
    destination().on_message_handler = [](Message&&) { return Accept::taken; };
    world.set_line(destination().address().at, kLine, 20ms);
    for (const Priority priority : {Priority::high, Priority::normal, Priority::low})
      offer(priority);  // circuits
    world.run_until(world.now().mono + 5s);
    tallies = {};
    run(how.factor);
  }
  SimNode& source() { return (*network)[1]; }
  SimNode& destination() { return (*network)[2]; }

  void offer(Priority priority) {
    const auto i = static_cast<std::size_t>(priority);
    ++tallies[i].offered;
    source().send(destination().id(), std::span(payload).first(kBytes[i]),
                  {.priority = priority, .ttl = how_.ttl, .relays = 1},
                  [this, i](const Delivery& d) {
                    Tally& tally = tallies[i];
                    if (d.outcome == Outcome::delivered) {
                      ++tally.delivered;
                      tally.delivered_while_offered += offering ? 1 : 0;
                      tally.took.push_back(d.elapsed);
                    } else {
                      ++(d.outcome == Outcome::refused ? tally.refused : tally.other);
                      EXPECT_NE(d.reason.code, Errc::ok);
                    }
                  });
  }

  /// 5 % high, 25 % normal, 70 % low, evenly mixed.
  void run(double factor) {
    const double per_second = factor * kLine / kMeanBytes;
    const TimePoint begin = world.now().mono;
    offering = true;
    for (std::size_t number = 0; world.now().mono - begin < kOffer; ++number) {
      offer(number % 20 == 0 ? Priority::high : number % 4 == 1 ? Priority::normal : Priority::low);
      pressure = std::max(pressure, source().bound().pressure());
      world.run_until(begin + Duration(static_cast<Duration::rep>(static_cast<double>(number + 1) /
                                                                  per_second * 1e9)));
    }
    offering = false;
    world.run_until(world.now().mono + 60s);
  }
  double goodput(Priority priority) const {
    const auto i = static_cast<std::size_t>(priority);
    return static_cast<double>(tallies[i].delivered_while_offered * kBytes[i]);
  }
  double goodput() const {
    return goodput(Priority::high) + goodput(Priority::normal) + goodput(Priority::low);
  }
  const Tally& of(Priority priority) const { return tallies[static_cast<std::size_t>(priority)]; }
  Duration high_p99() { return tallies[0].p99(); }

  static constexpr Duration kOffer = 10s;
  const How how_;
  const std::vector<std::byte> payload = std::vector<std::byte>(kBytes[2]);
  std::array<Tally, kPriorityCount> tallies{};
  bool offering = false;
  double pressure = 0;
  World world;
  std::unique_ptr<SimNetwork> network;
};

TEST(Saturation, WhatIsAboveCapacityIsRefusedAtTheGateAndGoodputStays) {
  Load half({.factor = 0.5}), once({.factor = 1}), four({.factor = 4});
  const double best = std::max({half.goodput(), once.goodput(), four.goodput()});
  EXPECT_GE(four.goodput(), 0.9 * best);
  EXPECT_GE(four.goodput(), 0.6 * kLine * 10) << "of the line, in ten seconds";

  EXPECT_EQ(four.of(Priority::high).delivered, four.of(Priority::high).offered);
  EXPECT_LE(four.high_p99(), 2 * half.high_p99());
  EXPECT_GE(four.goodput(Priority::low), four.goodput() / 16) << "its guaranteed share";
  EXPECT_GT(four.of(Priority::low).refused, 0u);
  for (Load* load : {&half, &once, &four}) {
    for (const Tally& tally : load->tallies) {
      EXPECT_EQ(tally.delivered + tally.refused + tally.other, tally.offered);
      EXPECT_EQ(tally.other, 0u) << "told at once, or delivered";
    }
    EXPECT_TRUE(load->source().actions.empty()) << "memory never came near the bound";
    EXPECT_LT(load->pressure, 0.7);
    for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
      EXPECT_EQ(load->source().limiter().under_way(priority), 0u);
      EXPECT_EQ(load->source().limiter().bytes_under_way(priority), 0u);
    }
  }
}

// The same flood with a bound for what waits of a flow, and with the windows alone: what was let in
// is there soon, nothing is lost by it, and each class has its own target.
TEST(Saturation, AFlowsQueueStandsNoLongerThanItsTarget) {
  Load follows({.factor = 4}), fixed({.factor = 4, .queue_delay_ms = 0});
  EXPECT_GE(follows.goodput(), 0.95 * fixed.goodput());
  const auto p99 = [](Load& load, Priority priority) {
    return load.tallies[static_cast<std::size_t>(priority)].p99();
  };
  EXPECT_LE(p99(follows, Priority::low), 1s) << "400 ms, and what is on its way";
  EXPECT_GE(p99(fixed, Priority::low), 2 * p99(follows, Priority::low));
  EXPECT_LE(p99(follows, Priority::high), p99(fixed, Priority::high) * 5 / 4);
  for (const Tally& tally : follows.tallies) {
    EXPECT_EQ(tally.delivered + tally.refused, tally.offered);
    EXPECT_EQ(tally.other, 0u);
  }
  for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
    const message::FlowQueues::Stats stats = follows.source().queues()->stats(priority);
    EXPECT_EQ(stats.standing, 0u) << "all that entered was counted out";
  }
}

// With much memory, and no bound for a flow, the queue is longer than messages live.
TEST(Saturation, WhatCannotArriveInTimeIsNotSent) {
  const std::uint64_t memory = std::uint64_t{512} << 20;
  Load once({.factor = 1, .memory = memory, .ttl = 2s, .queue_delay_ms = 0});
  Load four({.factor = 4, .memory = memory, .ttl = 2s, .queue_delay_ms = 0});
  // Small messages go first and take more of the line for a byte; without the rule it is 0.3.
  EXPECT_GE(four.goodput(), 0.75 * once.goodput());
  EXPECT_EQ(four.of(Priority::high).delivered, four.of(Priority::high).offered);
  EXPECT_GT(four.of(Priority::low).other, 0u) << "told that they expired";
  for (const Tally& tally : four.tallies) {
    EXPECT_EQ(tally.delivered + tally.refused + tally.other, tally.offered);
  }
}

}  // namespace
}  // namespace qudag::testing
