// Clocks that are set, wrong from the start, or stand still with the machine: the node is back in
// the network 30 s after they are right, and no message is without an outcome.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNodes = 6;
constexpr Duration kJoinedWithin = 30s;

/// Five nodes with right clocks, and one whose clocks are another matter. It sends to one of the
/// five, and that one to it, all the time.
class Clocks {
 public:
  /// `ahead`: the wall clock of the last one at its start.
  explicit Clocks(std::uint64_t seed, std::chrono::seconds ahead = 0s, std::size_t nodes = kNodes)
      : world(seed, {}), network(world, nodes, options()), nodes_(nodes) {
    for (std::size_t i = 0; i < nodes_; ++i) {
      network[i].on_message_handler = [this, i](Message&&) {
        heard_[i] = world.now().mono;
        return Accept::taken;
      };
    }
    odd().machine().set_wall(ahead);
    network.start();
  }
  SimNode& odd() { return network[nodes_ - 1]; }
  SimNode& other() { return network[nodes_ - 2]; }
  bool settle() { return network.settle(120s); }
  void set_wall(std::chrono::seconds ahead) { odd().machine().set_wall(ahead); }

  /// Messages in both directions, one a second each.
  void pass(Duration time) {
    const TimePoint end = world.now().mono + time;
    while (world.now().mono < end) {
      if (!asleep) send(odd(), other());
      send(other(), odd());
      world.run_until(world.now().mono + 1s);
    }
  }
  /// How long it takes from now until both have heard each other by messages sent from now on, or
  /// nothing.
  std::optional<Duration> joins() {
    const TimePoint begin = world.now().mono;
    while (world.now().mono < begin + kJoinedWithin) {
      pass(1s);
      const bool both = heard_[nodes_ - 1] > begin + 1s && heard_[nodes_ - 2] > begin + 1s;
      if (both && everybody_knows()) return world.now().mono - begin;
    }
    return std::nullopt;
  }
  /// Everybody has a descriptor of the odd one that is good now, and it has one of everybody.
  bool everybody_knows() {
    for (std::size_t i = 0; i + 1 < nodes_; ++i) {
      if (!has_good(network[i], odd()) || !has_good(odd(), network[i])) return false;
    }
    return true;
  }
  bool all_ended() {
    return world.run_until(world.now().mono + 120s, [this] { return ended == sent; });
  }
  bool has_good(SimNode& at, SimNode& of) {
    const netmap::ViewPtr view = at.view();
    const netmap::Entry* const entry = view->find(of.id());
    return entry != nullptr && entry->descriptor.expires > world.now().unix_seconds &&
           entry->has_onion_key(world.now().unix_seconds);
  }

  World world;
  SimNetwork network;
  std::size_t sent = 0, ended = 0;
  bool asleep = false;

 private:
  static Options options() {
    Options out;
    out.descriptor_lifetime = 20min;  // several of them pass while a clock is wrong
    out.onion_key_lifetime = 40min;
    return out;
  }
  void send(SimNode& from, SimNode& to) {
    ++sent;
    from.send(to.id(), std::vector<std::byte>(100), {.ttl = 10s, .relays = 2},
              [this](const Delivery&) { ++ended; });
  }

  const std::size_t nodes_;
  std::array<TimePoint, kNodes> heard_{};
};

class Jump : public ::testing::TestWithParam<std::chrono::seconds> {};

TEST_P(Jump, OfTheWallClockAndBackAreOverSoonAfter) {
  Clocks net(1);
  ASSERT_TRUE(net.settle());
  net.set_wall(GetParam());
  net.pass(40min);
  net.set_wall(0s);
  const auto took = net.joins();
  ASSERT_TRUE(took) << "not joined in 30 s";
  RecordProperty("joined_after_s", static_cast<int>(*took / 1s));
  EXPECT_TRUE(net.all_ended()) << net.sent - net.ended << " messages without an outcome";
}

TEST_P(Jump, AtTheStartOfANodeIsOverSoonAfterItIsSetRight) {
  Clocks net(2, GetParam());
  net.pass(5min);
  net.set_wall(0s);
  const auto took = net.joins();
  ASSERT_TRUE(took) << "not joined in 30 s";
  RecordProperty("joined_after_s", static_cast<int>(*took / 1s));
  EXPECT_TRUE(net.all_ended());
}

INSTANTIATE_TEST_SUITE_P(Of, Jump,
                         ::testing::Values(-600s, 600s, 1200s, -86'400s, 86'400s, -2 * 86'400s,
                                           2 * 86'400s, -31'536'000s, 31'536'000s));

class Suspend : public ::testing::TestWithParam<std::chrono::minutes> {};

TEST_P(Suspend, OfTheMachineIsOverSoonAfterItWakes) {
  Clocks net(3, 0s, 4);  // fewer make hours shorter
  ASSERT_TRUE(net.settle());
  net.pass(10s);
  net.odd().machine().suspend();
  net.asleep = true;
  net.pass(30s);
  net.world.run_until(net.world.now().mono + GetParam() - 30s);
  net.asleep = false;
  net.odd().machine().resume();
  const auto took = net.joins();
  ASSERT_TRUE(took) << "not joined in 30 s";
  RecordProperty("joined_after_s", static_cast<int>(*took / 1s));
  EXPECT_TRUE(net.all_ended());
}

INSTANTIATE_TEST_SUITE_P(For, Suspend, ::testing::Values(1min, 10min, 90min, 480min));

/// Sources that have the descriptor from before build with its keys: they are good until they end
/// by the clock that nobody sets.
TEST(Clock, KeysOutliveAWallClockThatIsSetAheadAndBack) {
  Clocks net(4);
  ASSERT_TRUE(net.settle());
  net.set_wall(86'400s);
  net.pass(20s);  // new keys, of the day after
  net.set_wall(0s);
  net.world.run_until(net.world.now().mono + 10ms);  // nothing was renewed yet
  const std::size_t before = net.ended;
  std::size_t delivered = 0;
  net.other().send(net.odd().id(), std::vector<std::byte>(10), {.ttl = 5s, .relays = 0},
                   [&](const Delivery& d) { delivered += d.outcome == Outcome::delivered; });
  net.world.run_until(net.world.now().mono + 5s);
  EXPECT_EQ(delivered, 1u);
  EXPECT_GE(net.ended, before);
}

TEST(Clock, ANodeSaysOnceThatItsClockDisagreesAndByHowMuch) {
  Clocks net(5);
  ASSERT_TRUE(net.settle());
  net.pass(2min);  // long enough to have dialed peers in several networks
  EXPECT_TRUE(net.odd().clock_said.empty());
  net.set_wall(300s);
  net.pass(5min);
  ASSERT_EQ(net.odd().clock_said.size(), 1u) << "once";
  EXPECT_NEAR(static_cast<double>(net.odd().clock_said[0]), 300, 2);
  ASSERT_TRUE(net.odd().shard().report().clock_off_s);
  EXPECT_NEAR(static_cast<double>(*net.odd().shard().report().clock_off_s), 300, 2);
  net.set_wall(0s);
  net.pass(1min);
  ASSERT_EQ(net.odd().clock_said.size(), 2u);
  EXPECT_NEAR(static_cast<double>(net.odd().clock_said[1]), 0, 2);
  for (std::size_t i = 0; i + 1 < kNodes; ++i) EXPECT_TRUE(net.network[i].clock_said.empty()) << i;
}

TEST(Clock, AFullMailboxAndJobsThatExpireDelayNoRenewal) {
  Clocks net(6);
  ASSERT_TRUE(net.settle());
  net.odd().machine().set_mailbox_full(true);  // for others' tasks; ends of work have places
  net.odd().machine().expire_jobs(1);          // the first renewal after this was never begun
  net.set_wall(-1200s);
  net.pass(1min);
  net.set_wall(0s);
  const auto took = net.joins();
  ASSERT_TRUE(took);
  EXPECT_EQ(net.odd().machine().kept(), 0u) << "every place came back";
  net.odd().machine().set_mailbox_full(false);
  EXPECT_TRUE(net.all_ended());
}

}  // namespace
}  // namespace qudag::testing
