// Circuits whose other end does not answer: another one serves long before a relay has noticed.
#include "message/answering.h"
#include "message/flow.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

using Due = Answering::Due;

constexpr TimePoint kStart{1h};

bool all_over(World& world, std::size_t sends) {
  return world.run_until([&] { return world[0].outcomes() == sends; });
}

std::uint64_t silent(World& world) { return world[0].messages->stats().circuits_silent; }

TEST(Answering, WhoDoesNotAnswerIsAskedAndThenSilent) {
  Answering one;
  EXPECT_EQ(one.deadline(0), kNever) << "nothing was sent";
  EXPECT_TRUE(one.sent(kStart));
  EXPECT_FALSE(one.sent(kStart + 100ms));
  EXPECT_EQ(one.deadline(0), kStart + 200ms);
  EXPECT_EQ(one.due(kStart + 199ms, 0), Due::nothing);
  EXPECT_EQ(one.due(kStart + 200ms, 0), Due::ask);
  one.asked(kStart + 200ms);
  EXPECT_EQ(one.deadline(0), kStart + 600ms);
  EXPECT_EQ(one.deadline(1), kStart + 1'200ms) << "the second one has longer";
  EXPECT_EQ(one.deadline(9), kStart + 4'800ms);
  EXPECT_EQ(one.due(kStart + 599ms, 0), Due::nothing);
  EXPECT_EQ(one.due(kStart + 600ms, 0), Due::silent);
  one.heard();
  EXPECT_EQ(one.deadline(0), kNever);
}

TEST(Answering, ALongPathHasLonger) {
  Answering one;
  one.built(400ms);
  EXPECT_TRUE(one.sent(kStart));
  EXPECT_EQ(one.deadline(0), kStart + 500ms);
  one.asked(kStart + 700ms);
  EXPECT_EQ(one.deadline(0), kStart + 1'400ms) << "asked late";
  one.heard();
  one.answered(kStart + 2'700ms);
  EXPECT_EQ(one.round_trip(), 2s);
  EXPECT_TRUE(one.sent(kStart + 3s));
  EXPECT_EQ(one.deadline(0), kStart + 5'500ms);
  one.asked(kStart + 5'500ms);
  EXPECT_EQ(one.deadline(0), kStart + 9s);
  one.built(1min);
  EXPECT_EQ(one.round_trip(), Answering::kRoundTripFirst) << "a build is no round trip";
}

TEST(Answering, WhoLooksLateWasLateItself) {
  Answering one;
  EXPECT_TRUE(one.sent(kStart));
  one.asked(kStart + 200ms);
  EXPECT_EQ(one.due(kStart + 10s, 0), Due::nothing);
  EXPECT_EQ(one.due(kStart + 10s + 599ms, 0), Due::nothing);
  EXPECT_EQ(one.due(kStart + 10s + 600ms, 0), Due::silent);
}

TEST(Answering, AMessageGoesOverAnotherCircuitWhenOneIsMute) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 0, 100));
  ASSERT_TRUE(all_over(world, 1));
  world.on_cell = [](Line& line, unsigned, Bytes) { return line.number > 1; };
  const auto id = world[0].send(1, 1, 100'000);
  ASSERT_TRUE(all_over(world, 2));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_LE(world[0].end_of(id).delivery.elapsed, 1s);
  EXPECT_EQ(world.lines(), 2u);
  EXPECT_EQ(silent(world), 1u);
  EXPECT_EQ(world[0].late_builds, 1u) << "the next draw passes its relays over";
  world.expect_empty();
}

/// Its program keeps the answer back for long, but the node is there and says so.
TEST(Answering, AnEndThatHasNothingToSayIsNoneThatIsGone) {
  World world(2);
  world[1].on_got = [](const Got&) { return Taken::later; };
  ASSERT_TRUE(world[0].send(1, 0, 100, {.ttl = 60s}));
  world.run_for(30s);
  EXPECT_EQ(world.lines(), 1u);
  EXPECT_EQ(silent(world), 0u);
}

/// A path on which everything takes long is not left for that.
TEST(Answering, ASlowPathIsNotMute) {
  WorldOptions options;
  options.latency = 400ms;
  World world(2, options);
  for (std::uint64_t i = 0; i < 20; ++i) {
    world.after(i * 3s, [&world, i] { ASSERT_TRUE(world[0].send(1, i, 5'000, {.ttl = 60s})); });
  }
  ASSERT_TRUE(all_over(world, 20));
  EXPECT_EQ(world.lines(), 1u);
  EXPECT_EQ(silent(world), 0u);
}

/// Who lets circuits be built and then passes nothing on is given as many draws as who breaks them.
TEST(Answering, WhoPassesNothingOnIsGivenFewOthers) {
  constexpr std::chrono::milliseconds kTenMinutes = 600s;
  constexpr std::size_t kMost = kLossBurst / kLossCost + kTenMinutes / (1s * kLossCost) + 1;
  World world(2);
  world.on_cell = [](Line&, unsigned, Bytes) { return false; };
  ASSERT_TRUE(world[0].send(1, 5, 1000, {.ttl = kTenMinutes}));
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_GT(world.lines(), kMost / 3);
  EXPECT_LE(world.lines(), kMost);
  world.expect_empty();
}

}  // namespace
}  // namespace qudag::message::testing
