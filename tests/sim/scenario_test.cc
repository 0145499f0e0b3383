// The whole stack below the socket, many nodes, virtual time. A failure prints its seed:
// `./dev sim SEED` runs the same again.
#include "sim/scenario.h"

#include <gtest/gtest.h>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

class SeededScenario : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SeededScenario, EveryMessageIsDeliveredOnceOrReported) {
  ScenarioOptions options;
  options.seed = GetParam();
  options.nodes = 12;
  options.traffic = 90s;
  options.crash_every = 30s;
  const ScenarioResult result = run_scenario(options);
  EXPECT_TRUE(result.broken.empty()) << "seed " << options.seed << ": " << result.summary();
  EXPECT_GT(result.sent, 100u);
  // Crashes lose some; the rest must arrive, or the network is not one.
  EXPECT_GT(result.delivered, result.sent * 8 / 10) << result.summary();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SeededScenario, ::testing::Values(1, 2, 3, 4, 5, 6));

TEST(Scenario, FiftyNodes) {
  ScenarioOptions options;
  options.seed = 50;
  options.traffic = 15s;
  options.crash_every = 7s;
  options.ttl_max = 20s;
  const ScenarioResult result = run_scenario(options);
  EXPECT_TRUE(result.broken.empty()) << "seed " << options.seed << ": " << result.summary();
  EXPECT_GT(result.delivered, result.sent * 8 / 10) << result.summary();
}

/// A hundred nodes take half a minute of CPU a seed, so one is here: `./dev sim SEED --crowd`.
class Crowd : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(Crowd, StaysInsideItsBoundsAndLeavesNothing) {
  const ScenarioResult result = run_scenario(crowd(GetParam(), 30));
  EXPECT_TRUE(result.broken.empty()) << "seed " << GetParam() << ": " << result.summary();
  EXPECT_GT(result.crashes, 0u);
  EXPECT_GT(result.turned_away, 0u) << result.summary();
  EXPECT_GT(result.refused, result.turned_away) << "no cap was reached: " << result.summary();
  EXPECT_GT(result.checks, 1'000u);
  EXPECT_GT(result.delivered, result.sent / 3) << result.summary();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Crowd, ::testing::Values(1));

TEST(Scenario, APartitionHealsAndNothingIsLostSilently) {
  ScenarioOptions options;
  options.seed = 77;
  options.nodes = 12;
  options.traffic = 120s;
  options.partition_lasts = 20s;
  const ScenarioResult result = run_scenario(options);
  EXPECT_TRUE(result.broken.empty()) << "seed " << options.seed << ": " << result.summary();
}

TEST(Scenario, WithoutFaultsEverythingIsDelivered) {
  ScenarioOptions options;
  options.seed = 9;
  options.nodes = 10;
  options.traffic = 60s;
  options.crash_every = 0s;
  options.faults = {};
  const ScenarioResult result = run_scenario(options);
  EXPECT_TRUE(result.broken.empty()) << result.summary();
  EXPECT_EQ(result.delivered, result.sent) << result.summary();
}

TEST(Scenario, OneSeedGivesOneRun) {
  ScenarioOptions options;
  options.seed = 5;
  options.nodes = 8;
  options.traffic = 30s;
  options.crash_every = 15s;
  options.ttl_max = 20s;
  const ScenarioResult first = run_scenario(options);
  const ScenarioResult second = run_scenario(options);
  EXPECT_EQ(first.summary(), second.summary());
  options.seed = 6;
  EXPECT_NE(run_scenario(options).digest, first.digest);
}

}  // namespace
}  // namespace qudag::testing
