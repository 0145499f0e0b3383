// Builds that take long: others are begun beside them, a few, and whoever is late gains no draws.
#include "message/flow.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

bool all_over(World& world, std::size_t sends) {
  return world.run_until([&] { return world[0].outcomes() == sends; });
}

constexpr Duration kLate = 300ms;

/// Relays that do not answer hold a build for seconds: others are begun beside it.
TEST(LateBuilds, BesideALateBuildAnotherOneIsBegun) {
  for (const unsigned dead : {1u, 3u, 5u}) {
    World world(2);
    world[0].builds_late_after = kLate;
    world.builds_to_fail = dead;
    world.build_fails_after = 5s;
    const auto id = world[0].send(1, 5, 1000, {.ttl = 30s});
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    EXPECT_LE(world[0].end_of(id).delivery.elapsed, dead * kLate + 200ms);
    EXPECT_EQ(world.lines(), dead + 1);
    EXPECT_EQ(world[0].messages->stats().builds_hedged, dead);
    EXPECT_EQ(world[0].races_lost, dead) << "they have not failed";
    EXPECT_GE(world[0].late_builds, dead);
    world.run_for(10s);
    EXPECT_EQ(world.lines(), dead + 1) << "the late ones are closed";
    world.expect_empty();
  }
}

TEST(LateBuilds, NoMoreThanSixAreUnderWayAndOneThatIsInTimeIsAlone) {
  World world(2);
  world[0].builds_late_after = kLate;
  world.builds_to_fail = 6;
  world.build_fails_after = 5s;
  const auto id = world[0].send(1, 5, 1000, {.ttl = 30s});
  world.run_for(4s);
  EXPECT_EQ(world.lines(), 6u);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);

  World calm(2);
  calm[0].builds_late_after = kLate;
  ASSERT_TRUE(calm[0].send(1, 5, 1000));
  ASSERT_TRUE(all_over(calm, 1));
  EXPECT_EQ(calm.lines(), 1u);
  EXPECT_EQ(calm[0].messages->stats().builds_hedged, 0u);
}

/// A few at the start, and then one for ten builds: a network that is slow as a whole is not built
/// through twice.
TEST(LateBuilds, ATenthOfTheBuildsIsHedged) {
  World world(2);
  world[0].builds_late_after = 1ms;  // all are late
  world.options.messages.circuit_age_max = 1s;
  constexpr std::size_t kBuilds = 400;
  for (std::size_t i = 0; i < kBuilds; ++i) {
    ASSERT_TRUE(world[0].send(1, i, 100, {.isolation = i}));
    world.run_for(1s);
  }
  const std::uint64_t hedged = world[0].messages->stats().builds_hedged;
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), kBuilds);
  EXPECT_GE(hedged, kBuilds / 10);
  EXPECT_LE(hedged, kBuilds / 10 + 12);
}

/// A destination that never answers uses up half of them at most.
TEST(LateBuilds, OneFlowLeavesOthersAsManyAsItUses) {
  World world(3);
  world[0].builds_late_after = kLate;
  world.builds_to_fail = 100;
  world.build_fails_after = 5s;
  ASSERT_TRUE(world[0].send(1, 5, 1000, {.ttl = 300s}));
  world.run_for(100s);
  const std::uint64_t used = world[0].messages->stats().builds_hedged;
  EXPECT_LE(used, 7u);
  world.builds_to_fail = 3;
  const auto id = world[0].send(2, 6, 1000, {.ttl = 10s});
  ASSERT_TRUE(world.run_until([&] { return world[0].end_of(id).times > 0; }, 10s));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_LE(world[0].end_of(id).delivery.elapsed, 4 * kLate + 200ms);
  EXPECT_GT(world[0].messages->stats().builds_hedged, used);
}

/// Where it waits for our own dial, the first hop is asked less, and nobody behind it.
TEST(LateBuilds, ALateDialIsTheFirstHopsMatter) {
  World world(2);
  world[0].builds_late_after = kLate;
  world[0].dials = true;
  world.builds_to_fail = 1;
  world.build_fails_after = 5s;
  ASSERT_TRUE(world[0].send(1, 5, 1000, {.ttl = 30s}));
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_GE(world[0].late_dials, 1u);
  EXPECT_EQ(world.lines(), 2u) << "the same dial would have held another one";
  EXPECT_EQ(world[0].late_builds, 0u);
  EXPECT_EQ(world[0].messages->stats().builds_hedged, 0u) << "nobody else heard of the first";
}

/// Being late gives nobody more draws than breaking does, but for the few that are begun beside.
TEST(LateBuilds, WhoIsLateIsGivenFewOthers) {
  constexpr std::chrono::milliseconds kTenMinutes = 600s;
  constexpr std::size_t kBeside = 6;  // half of the hedges: none of them gets ready
  constexpr std::size_t kUnreached =
      kUnreachedBurst / kUnreachedCost + kTenMinutes / (1s * kUnreachedCost);
  constexpr std::size_t kMost =
      kLossBurst / kLossCost + kTenMinutes / (1s * kLossCost) + 1 + kUnreached + kBeside;
  for (const Duration fails_after : {Duration(1s), Duration(5s), Duration(10s)}) {
    World world(2);
    world[0].builds_late_after = kLate;
    world.builds_to_fail = UINT32_MAX;
    world.build_fails_after = fails_after;
    world.build_fails_at = 1;
    ASSERT_TRUE(world[0].send(1, 5, 1000, {.ttl = kTenMinutes}));
    world.run_for(4s);
    EXPECT_LE(world.lines(), kLossBurst / kLossCost + 1 + kBeside);
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_GT(world.lines(), kMost / 3);
    EXPECT_LE(world.lines(), kMost);
    world.expect_empty();
  }
}

}  // namespace
}  // namespace qudag::message::testing
