// A relay with a quota, between two sources and a destination that have no other relay: its rate,
// how it is shared, and how a month ends and begins.
#include "sim/sim_network.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

struct Relayed {
  explicit Relayed(const Limits& limits, std::chrono::seconds ahead = 0s)
      : world(7, {.delay_jitter = 0s}), network(world, 4) {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-sim-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    relay().set_limits(limits);
    relay().set_state_dir(directory / "state");
    for (std::size_t i = 1; i < 4; ++i) network[i].set_relay(false);
    for (std::size_t i = 0; i < 4; ++i) network[i].machine().set_wall(ahead);
    network.start();
    EXPECT_TRUE(network.settle(60s));
    destination().on_message_handler = [this](Message&& message) {
      received[std::to_integer<std::size_t>(message.payload.piece(0)[0])] += message.payload.size();
      return Accept::taken;
    };
  }
  ~Relayed() {
    relay().crash();
    std::filesystem::remove_all(directory);
  }
  SimNode& relay() { return network[0]; }
  SimNode& source(std::size_t i) { return network[1 + i]; }
  SimNode& destination() { return network[3]; }

  /// Bulk, always the next one when one has ended; on as many circuits as there are tags.
  void fill(std::size_t from, std::uint32_t tags, std::size_t at_once) {
    for (std::size_t i = 0; i < at_once; ++i) next(from, static_cast<std::uint32_t>(i) % tags);
  }
  void next(std::size_t from, std::uint32_t tag) {
    if (stop) return;
    std::vector<std::byte> payload(32 * 1024);
    payload[0] = static_cast<std::byte>(from);
    source(from).send(
        destination().id(), payload,
        {.priority = Priority::low, .ttl = 600s, .relays = 1, .isolation = tag},
        [this, from, tag](const Delivery& d) {
          if (d.reason == Errc::refused_queue_full) {  // more than its flow drains: a while later
            return world.at(world.now().mono + 20ms, [this, from, tag] { next(from, tag); });
          }
          if (d.outcome != Outcome::delivered) ++failed;
          EXPECT_TRUE(source(from).machine().post([this, from, tag](Now) { next(from, tag); }));
        });
  }
  /// Whether a message is delivered within ten seconds, and how long it took.
  Duration one(std::size_t from, Priority priority) {
    std::optional<Delivery> done;
    source(from).send(destination().id(), std::vector<std::byte>(200, std::byte{2}),
                      {.priority = priority, .ttl = 10s, .relays = 1},
                      [&done](const Delivery& d) { done = d; });
    world.run_until(world.now().mono + 11s, [&done] { return done.has_value(); });
    const bool there = done && done->outcome == Outcome::delivered;
    return there ? Duration(done->elapsed) : kNone;
  }
  std::uint64_t relayed() { return relay().shard().report().circuit.bytes_relayed; }
  std::uint64_t used() { return relay().quota().status(world.now().mono)->used; }
  bool is_a_relay_for_others() {
    const netmap::ViewPtr view = source(0).view();  // lives as long as what it has
    const netmap::Entry* entry = view->find(relay().id());
    return entry != nullptr && entry->descriptor.relay;
  }
  void run(Duration time) { world.run_until(world.now().mono + time); }

  static constexpr Duration kNone = 1h;
  World world;
  SimNetwork network;
  std::filesystem::path directory;
  std::array<std::uint64_t, 3> received{};
  std::size_t failed = 0;
  bool stop = false;
};

TEST(QuotaInTheNetwork, ARelayPassesOnItsRateFairlyAndTheUrgentIsFirst) {
  constexpr std::uint64_t kRate = 1'000'000;
  Relayed net({.bandwidth = kRate, .bandwidth_burst = 50'000});
  net.fill(0, 1, 60);
  net.fill(1, 6, 60);  // on six circuits
  net.run(10s);
  const std::uint64_t before = net.relayed(), memory = net.relay().bound().node().used();
  const auto had = net.received;
  std::vector<Duration> took;
  std::uint64_t memory_most = 0;
  const TimePoint begin = net.world.now().mono;
  while (net.world.now().mono - begin < 10s) {
    took.push_back(
        net.one(took.size() % 2, took.size() % 3 == 0 ? Priority::high : Priority::normal));
    memory_most = std::max(memory_most, net.relay().bound().node().used());
    net.run(100ms);
  }
  const std::chrono::duration<double> time = net.world.now().mono - begin;
  const double rate = static_cast<double>(net.relayed() - before) / time.count();
  EXPECT_NEAR(rate, kRate, 0.03 * kRate);

  const auto first = static_cast<double>(net.received[0] - had[0]);
  const auto second = static_cast<double>(net.received[1] - had[1]);
  EXPECT_NEAR(first / (first + second), 0.5, 0.05) << "by link, not by circuit";
  EXPECT_GT(took.size(), 50u);
  EXPECT_LT(*std::ranges::max_element(took), 200ms) << "bulk waits for seconds";
  EXPECT_LT(memory_most, memory + (1 << 20));
  EXPECT_EQ(net.failed, 0u);
  RecordProperty("bytes_a_second", std::to_string(rate));
  net.stop = true;
}

TEST(QuotaInTheNetwork, AMonthEndsInStepsIsKeptAndBegins) {
  constexpr std::int64_t kFebruary = 1'769'904'000;  // 2026
  World probe(1, {});
  const std::chrono::seconds ahead(kFebruary - 1'200 -
                                   static_cast<std::int64_t>(probe.now().unix_seconds));
  Relayed net({.month = 20'000'000}, ahead);
  EXPECT_TRUE(net.is_a_relay_for_others());
  net.fill(0, 1, 20);
  net.world.run_until(net.world.now().mono + 60s,
                      [&net] { return net.relay().quota().stage() != QuotaStage::open; });
  net.stop = true;
  net.run(60s);
  const QuotaStage near = net.relay().quota().stage();  // by what was under way
  EXPECT_TRUE(near == QuotaStage::leaving || near == QuotaStage::closed);
  EXPECT_EQ(net.relay().quota_said, std::vector{near});
  EXPECT_FALSE(net.is_a_relay_for_others()) << "nobody chooses it any more";
  EXPECT_EQ(net.failed, 0u) << "what ran has ended by itself";

  const double kept = static_cast<double>(net.used());
  net.relay().crash();
  net.relay().start();
  net.world.wake(net.world.host(net.relay().address().at));
  EXPECT_NEAR(static_cast<double>(net.used()), kept, 100'000) << "what a minute forgets";
  net.run(30s);
  EXPECT_EQ(net.relay().quota().stage(), near);
  EXPECT_FALSE(net.is_a_relay_for_others());
  EXPECT_EQ(net.one(0, Priority::normal), Relayed::kNone) << "no relay is left";

  net.relay().machine().set_wall(ahead + 24h * 400);  // somebody wants it to be another month
  net.run(60s);
  EXPECT_EQ(net.relay().quota().stage(), near);
  net.relay().machine().set_wall(ahead);
  net.relay().quota().count(1'000'000);
  net.run(10s);
  EXPECT_EQ(net.relay().quota_said.back(), QuotaStage::spent);

  net.run(1'200s);
  EXPECT_EQ(net.relay().quota().stage(), QuotaStage::open);
  EXPECT_EQ(net.relay().quota_said.back(), QuotaStage::open);
  EXPECT_TRUE(net.is_a_relay_for_others());
  EXPECT_LT(net.one(0, Priority::normal), 10s);
}

}  // namespace
}  // namespace qudag::testing
