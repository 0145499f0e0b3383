// N4: relays that circuits have proven lately are drawn more often. A client builds a circuit a
// second over links of 50 ms while one relay in ten is dead, another one every fifteen seconds:
// what that brings, and what a circuit over proven relays takes against one over others.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelays = 20, kDead = 2, kDestination = 1, kClient = kRelays;
constexpr Duration kDies = 15s;

struct Figures {
  std::vector<Duration> took;  // first messages of circuits
  shard::RouteStats routes;

  void operator+=(const Figures& other) {
    took.insert(took.end(), other.took.begin(), other.took.end());
    for (const auto which : {&shard::RouteStats::proven, &shard::RouteStats::unproven}) {
      auto& sum = routes.*which;
      const auto& more = other.routes.*which;
      sum.built += more.built, sum.failed += more.failed, sum.late += more.late;
      sum.us.merge(more.us);
    }
  }
  auto part(std::size_t percent) {
    std::ranges::sort(took);
    return took[(took.size() - 1) * percent / 100] / 1ms;
  }
};

double in_vain(const shard::RouteStats::Builds& of) {
  const auto begun = of.built + of.failed;
  return begun == 0 ? 0 : static_cast<double>(of.failed + of.late) / static_cast<double>(begun);
}

Figures run(std::uint64_t seed, bool by_proof, std::chrono::seconds lasts) {
  World world(seed, Faults{.delay_min = 25ms, .delay_jitter = 1ms});
  SimNetwork net(world, kRelays + 1);
  net[kClient].set_relay(false);
  net[kClient].by_proof = by_proof;
  net[kDestination].on_message_handler = [](Message&&) { return Accept::taken; };
  net.start();
  EXPECT_TRUE(net.settle(120s));
  Figures out;
  std::deque<std::size_t> dead;
  for (Duration since{}; since < lasts; since += 1s) {
    if (since % kDies == Duration::zero()) {
      if (dead.size() >= kDead) {
        net[dead.front()].start();
        dead.pop_front();
      }
      std::size_t victim = 0;  // neither the entry nor the destination
      do {
        victim = 2 + world.rng().below(kRelays - 2);
      } while (!net[victim].running());
      net[victim].crash();
      dead.push_back(victim);
    }
    const TimePoint began = world.now().mono;
    net[kClient].send(
        net[kDestination].id(), std::vector<std::byte>(100),
        {.ttl = 30s, .isolation = static_cast<std::uint64_t>(since / 1s) + 1},
        [&world, &out, began](const Delivery&) { out.took.push_back(world.now().mono - began); });
    world.run_until(began + 1s);
  }
  world.run_until(world.now().mono + 31s);
  out.routes = net[kClient].shard().report().routes;
  return out;
}

void print(const char* what, Figures& of) {
  const auto row = [](const shard::RouteStats::Builds& b) {
    return fmt::format("{} built, {} failed, {} late ({:.1f} %), p50 {} ms, p95 {} ms", b.built,
                       b.failed, b.late, 100 * in_vain(b), b.us.percentile(50) / 1000,
                       b.us.percentile(95) / 1000);
  };
  fmt::print("{}: message p50 {} ms, p95 {} ms, p99 {} ms\n  proven: {}\n  others: {}\n", what,
             of.part(50), of.part(95), of.part(99), row(of.routes.proven), row(of.routes.unproven));
}

TEST(Proven, CircuitsOverProvenRelaysFailLess) {
  const char* const wanted = std::getenv("QUDAG_WORLDS");
  const std::uint64_t worlds = wanted == nullptr ? 1 : std::strtoull(wanted, nullptr, 10);
  const std::chrono::seconds lasts = wanted == nullptr ? 120s : 600s;
  Figures on, off;
  for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
    on += run(seed, true, lasts);
    if (wanted != nullptr) off += run(seed, false, lasts);
  }
  print("by proof", on);
  if (wanted != nullptr) print("without", off);
  EXPECT_GT(on.routes.proven.built, on.routes.unproven.built);
  EXPECT_LT(2 * in_vain(on.routes.proven), in_vain(on.routes.unproven));
}

}  // namespace
}  // namespace qudag::testing
