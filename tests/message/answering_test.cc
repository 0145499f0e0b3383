// Circuits whose other end does not answer: another one serves long before a relay has noticed.
#include "message/answering.h"
#include "message/flow.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

using Due = Answering::Due;

constexpr TimePoint kStart{1h};

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
  one.put_off(kStart + 9s);
  EXPECT_EQ(one.deadline(0), kStart + 15s);
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

/// A pipe that is open, over the first circuit.
PipeUse& open_pipe(World& world) {
  PipeUse* const mine = world[0].pipe_app.open(1, 7, 100);
  EXPECT_TRUE(world.run_until([&] { return mine->opened; }, 10s));
  world.run_for(1s);
  return *mine;
}

std::uint64_t arrived(World& world) { return world[1].pipe_app.find(7, false)->received; }

TEST(Answering, APipeGoesOnOverAnotherCircuitWhenOneIsMute) {
  World world(2);
  PipeUse& mine = open_pipe(world);
  world.on_cell = [](Line& line, unsigned, Bytes) { return line.number > 1; };
  world[0].pipe_app.write(mine, 100);
  EXPECT_TRUE(world.run_until([&] { return arrived(world) == 200; }, 1s));
  EXPECT_EQ(world.lines(), 2u);
  EXPECT_EQ(silent(world), 1u);
  EXPECT_EQ(world[0].late_builds, 1u) << "the next draw passes its relays over";
}

/// Its program says nothing for long, but the node is there and answers.
TEST(Answering, AnEndThatHasNothingToSayIsNoneThatIsGone) {
  World world(2);
  PipeUse& mine = open_pipe(world);
  for (int i = 0; i < 20; ++i) {
    world.after(i * 1s, [&] { world[0].pipe_app.write(mine, 10); });
  }
  world.run_for(60s);
  EXPECT_EQ(arrived(world), 300u);
  EXPECT_EQ(world.lines(), 1u);
  EXPECT_EQ(silent(world), 0u);
}

/// A path on which everything takes long is not left for that.
TEST(Answering, ALongPathIsNotMute) {
  WorldOptions options;
  options.latency = 400ms;
  World world(2, options);
  PipeUse& mine = open_pipe(world);
  for (int i = 0; i < 20; ++i) {
    world.after(i * 3s, [&] { world[0].pipe_app.write(mine, 1'000); });
  }
  world.run_for(90s);
  EXPECT_EQ(arrived(world), 20'100u);
  EXPECT_EQ(world.lines(), 1u);
  EXPECT_EQ(silent(world), 0u);
}

/// Nor one that is narrow: the question stands behind what was sent before.
TEST(Answering, ANarrowPathIsNotMute) {
  for (const Duration cell_time : {Duration(5ms), Duration(20ms)}) {
    WorldOptions options;
    options.latency = 50ms;
    options.cell_time = cell_time;
    options.ahead_cells = 512;
    World world(2, options);
    PipeUse& mine = open_pipe(world);
    world[0].pipe_app.write(mine, 2'000'000);
    ASSERT_TRUE(world[0].send(1, 5, 2'000'000, {.ttl = 600s}));
    EXPECT_TRUE(world.run_until([&] { return arrived(world) == 2'000'100; }, 600s));
    EXPECT_EQ(world.lines(), 1u);
    EXPECT_EQ(silent(world), 0u);
  }
}

/// Who lets circuits be built and then passes nothing on is given as many draws as who breaks them.
TEST(Answering, WhoPassesNothingOnIsGivenFewOthers) {
  constexpr Duration kTenMinutes = 600s;
  constexpr std::size_t kMost = kLossBurst / kLossCost + kTenMinutes / (1s * kLossCost) + 2;
  World world(2);
  PipeUse& mine = open_pipe(world);
  world.on_cell = [](Line&, unsigned, Bytes) { return false; };
  for (int i = 0; i < 6'000; ++i) {
    world.after(i * 100ms, [&] { world[0].pipe_app.write(mine, 1); });
  }
  world.run_for(kTenMinutes);
  EXPECT_GT(world.lines(), 3u);
  EXPECT_LE(world.lines(), kMost);
}

}  // namespace
}  // namespace qudag::message::testing
