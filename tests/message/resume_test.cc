// Large messages whose circuit ends go on over the next one from what the destination has.
#include "message/known/unfinished.h"

#include "crypto/identity.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

constexpr std::size_t kMiB = 1 << 20;

const crypto::Identity& alice() {
  static const auto identity = crypto::Identity::from_seed(std::array<std::byte, 32>{});
  return *identity;
}

class Resume : public ::testing::Test {
 protected:
  void make(WorldOptions options = {}, std::size_t nodes = 2) {
    options.cell_time = 100us;  // 9 MB/s
    world_ = std::make_unique<World>(nodes, std::move(options));
  }
  World& world() { return *world_; }
  Node& source() { return world()[0]; }
  Node& destination() { return world()[1]; }
  MessagesStats sent() { return source().messages->stats(); }
  MessagesStats came() { return destination().messages->stats(); }
  void run_until_sent(std::uint64_t cells) {
    ASSERT_TRUE(world().run_until([&] { return source().cells_sent >= cells; }));
  }
  bool over(std::size_t sends = 1) {
    return world().run_until([&] { return source().outcomes() == sends; });
  }
  /// A signed message is there as a whole, and its signature is being verified, for so long.
  void give_to_a_worker(Duration work_takes) {
    WorldOptions options;
    options.identities = {&alice()};
    options.work_takes = work_takes;
    make(std::move(options));
    ASSERT_TRUE(source().send(1, 5, kMiB, {.sign = true}));
    ASSERT_TRUE(world().run_until([&] { return world().works == 2; })) << "signed; being verified";
  }
  void kill_all() {
    for (Line* line : world().alive()) world().kill(*line);
  }
  void expect_delivered(std::uint64_t serial, std::size_t size) {
    EXPECT_EQ(source().outcomes(Outcome::delivered), 1u);
    ASSERT_EQ(destination().got.size(), 1u);
    EXPECT_EQ(destination().got[0].bytes, pattern(serial, size));
    world().run_for(1s);
    world().expect_empty();
  }

 private:
  std::unique_ptr<World> world_;
};

// ---- it goes on
// -----------------------------------------------------------------------------------

TEST_F(Resume, FromWhatTheDestinationHas) {
  make();
  ASSERT_TRUE(source().send(1, 5, 3 * kMiB));
  run_until_sent(1'500);
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(came().unfinished_kept, 1u);
  EXPECT_EQ(came().unfinished_resumed, 1u);
  EXPECT_EQ(sent().resumed, 1u);
  EXPECT_EQ(sent().bytes_sent(), 3 * kMiB);
  EXPECT_GT(sent().bytes_again, 0u) << "what was under way";
  EXPECT_LT(sent().bytes_again, 400u * onion::payload_bytes(Priority::normal));
  expect_delivered(5, 3 * kMiB);
}

TEST_F(Resume, AlsoIfTheDestinationHearsLaterThatTheCircuitEnded) {
  make();
  ASSERT_TRUE(source().send(1, 5, 3 * kMiB));
  run_until_sent(1'500);
  world().cut(*world().line(0), 10s);
  ASSERT_TRUE(over());
  EXPECT_EQ(came().unfinished_kept, 0u) << "it never was nobody's";
  EXPECT_EQ(came().unfinished_resumed, 1u);
  EXPECT_LT(sent().bytes_again, 400u * onion::payload_bytes(Priority::normal));
  world().run_for(10s);
  expect_delivered(5, 3 * kMiB);
}

TEST_F(Resume, AsOftenAsCircuitsEnd) {
  for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
    make();
    if (priority == Priority::low) world().options.cell_time = 800us;
    world().options.ahead_cells = 16;
    ASSERT_TRUE(source().send(1, 5, 8 * kMiB, {.priority = priority}));
    std::size_t kills = 0;
    while (source().outcomes() == 0 && kills < 100) {
      world().run_for(200ms);
      kill_all();
      ++kills;
    }
    EXPECT_GT(kills, 5u);
    ASSERT_TRUE(over());
    EXPECT_LT(sent().bytes_again, 4 * kMiB) << "80 ms of each 200 are the way and the question";
    EXPECT_GE(sent().resumed, 5u);
    destination().got[0].priority = priority;
    expect_delivered(5, 8 * kMiB);
  }
}

TEST_F(Resume, SeveralAtATimeEachFromItsOwnPlace) {
  make();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(
        source().send(1, i, 200'000 + 10'000 * i, {.channel = static_cast<ChannelNumber>(i % 3)}));
  }
  run_until_sent(3'000);
  kill_all();
  world().run_for(100ms);
  kill_all();
  ASSERT_TRUE(over(20));
  EXPECT_EQ(source().outcomes(Outcome::delivered), 20u);
  ASSERT_EQ(destination().got.size(), 20u);
  for (const Got& got : destination().got) {
    std::uint64_t serial = 0;
    std::memcpy(&serial, got.bytes.data(), 8);
    EXPECT_EQ(got.bytes, pattern(serial, 200'000 + 10'000 * serial));
  }
  EXPECT_GE(sent().resumed, 10u);
  world().run_for(limits::kUnfinishedFor + 1s);
  world().expect_empty();
}

TEST_F(Resume, SmallOnesBeginAnew) {
  make();
  ASSERT_TRUE(source().send(1, 5, limits::kResumeFromBytes));
  run_until_sent(50);
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(came().unfinished_kept, 0u);
  EXPECT_EQ(sent().resumed, 0u);
  expect_delivered(5, limits::kResumeFromBytes);
}

TEST_F(Resume, WhatWasForgottenBeginsAnew) {
  make();
  ASSERT_TRUE(source().send(1, 5, 3 * kMiB, {.ttl = 600s}));
  run_until_sent(1'500);
  world().hold_builds = true;
  kill_all();
  world().run_for(limits::kUnfinishedFor + 1s);
  EXPECT_EQ(came().unfinished_expired, 1u);
  EXPECT_EQ(destination().budget.used(), 0u);
  world().hold_builds = false;
  kill_all();  // those that are being built and never will be
  ASSERT_TRUE(over());
  EXPECT_EQ(sent().resumed, 0u);
  EXPECT_GT(sent().bytes_again, kMiB);
  expect_delivered(5, 3 * kMiB);
}

// ---- signed ones
// ------------------------------------------------------------------------------------

TEST_F(Resume, SignedOnesWhereverTheyAreWhenTheCircuitEnds) {
  for (Duration after = 0ms; after < 500ms; after += 25ms) {
    SCOPED_TRACE(after / 1ms);
    WorldOptions options;
    options.identities = {&alice()};
    options.work_takes = 60ms;
    make(std::move(options));
    ASSERT_TRUE(source().send(1, 5, 2 * kMiB, {.sign = true}));
    run_until_sent(150);
    world().run_for(after);
    kill_all();
    ASSERT_TRUE(over());
    EXPECT_LT(sent().bytes_again, kMiB);
    ASSERT_EQ(destination().got.size(), 1u);
    EXPECT_EQ(destination().got[0].sender, alice().id());
    expect_delivered(5, 2 * kMiB);
  }
}

TEST_F(Resume, ASignedOneThatIsWholeIsVerifiedAgain) {
  ASSERT_NO_FATAL_FAILURE(give_to_a_worker(5s));
  world().hold_builds = true;
  kill_all();
  world().run_for(6s);
  EXPECT_EQ(came().unfinished_kept, 1u);
  world().hold_builds = false;
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(sent().bytes_again, 0u) << "not a byte";
  expect_delivered(5, kMiB);
}

TEST_F(Resume, ASignedOneThatIsWithAWorkerIsWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(give_to_a_worker(2s));
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(came().unfinished_resumed, 1u);
  EXPECT_EQ(sent().bytes_again, 0u) << "not a byte";
  expect_delivered(5, kMiB);
}

// ---- ends
// -------------------------------------------------------------------------------------------

TEST_F(Resume, ADeliveredOneIsNotDeliveredAgain) {
  make();
  world().on_cell = [&](Line& line, unsigned from, Bytes) {
    return line.number > 1 || from == 0;  // no answer arrives, and no credit
  };
  ASSERT_TRUE(source().send(1, 5, 2 * kMiB));
  ASSERT_TRUE(world().run_until([&] { return !destination().got.empty(); }));
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(came().duplicates, 1u);
  EXPECT_EQ(sent().bytes_again, 0u) << "the question was enough";
  expect_delivered(5, 2 * kMiB);
}

TEST_F(Resume, OneInHandWaitsForTheApplication) {
  make();
  std::optional<Handed> handed;
  destination().on_got = [&](const Got& got) {
    handed = got.handed;
    return Taken::later;
  };
  ASSERT_TRUE(source().send(1, 5, 2 * kMiB));
  ASSERT_TRUE(world().run_until([&] { return handed.has_value(); }));
  kill_all();
  world().run_for(1s);
  EXPECT_EQ(source().outcomes(), 0u);
  EXPECT_TRUE(destination().messages->settle(*handed, Taken::yes, world().now()));
  ASSERT_TRUE(over());
  EXPECT_EQ(source().outcomes(Outcome::delivered), 1u);
  EXPECT_EQ(sent().bytes_again, 0u);
  world().run_for(1s);
  world().expect_empty();
}

TEST_F(Resume, WithdrawnBetweenTwoCircuits) {
  make();
  const auto id = source().send(1, 5, 3 * kMiB);
  run_until_sent(1'500);
  kill_all();
  source().messages->cancel(*id, world().now());
  ASSERT_TRUE(over());
  EXPECT_EQ(source().end_of(id).delivery.reason, Errc::cancelled);
  EXPECT_GT(destination().budget.used(), kMiB / 2) << "it may still come";
  world().run_for(limits::kUnfinishedFor + 1s);
  EXPECT_TRUE(destination().got.empty());
  world().expect_empty();
}

TEST_F(Resume, WithdrawnWhileItAsks) {
  for (Duration after = 40ms; after < 160ms; after += 5ms) {
    SCOPED_TRACE(after / 1ms);
    make();
    const auto id = source().send(1, 5, 3 * kMiB);
    run_until_sent(1'500);
    kill_all();
    world().run_for(after);  // 90: built; 110: asked; 130: answered
    source().messages->cancel(*id, world().now());
    world().run_for(1s);
    EXPECT_EQ(destination().messages->stats().frames_malformed, 0u);
    EXPECT_EQ(sent().frames_malformed, 0u);
    EXPECT_TRUE(destination().got.empty());
    if (after > 115ms) world().expect_empty();  // CANCEL dropped what was held
    // The circuit serves on.
    ASSERT_TRUE(source().send(1, 6, 1'000));
    ASSERT_TRUE(over(2));
    EXPECT_EQ(source().outcomes(Outcome::delivered), 1u);
    EXPECT_LE(world().lines(), 3u);
    world().run_for(limits::kUnfinishedFor + 1s);
    world().expect_empty();
  }
}

TEST_F(Resume, TheTimeToLiveRunsOn) {
  make();
  ASSERT_TRUE(source().send(1, 5, 3 * kMiB, {.ttl = 3s}));  // 4.096 s on the wire
  run_until_sent(1'500);
  kill_all();
  ASSERT_TRUE(world().run_until([&] { return came().unfinished_resumed == 1; }));
  // From now on nothing more arrives, and the source is gone.
  world().on_cell = [](Line&, unsigned, Bytes) { return false; };
  world().run_for(4s);
  EXPECT_EQ(destination().budget.used(), 0u) << "dropped its time after the first fragment of all";
  EXPECT_EQ(source().outcomes(Outcome::expired), 1u);
}

TEST_F(Resume, AShortTimeToLiveIsTheDeadlineOfWhatIsKept) {
  make();
  ASSERT_TRUE(source().send(1, 5, 3 * kMiB, {.ttl = 2s}));
  run_until_sent(1'500);
  world().hold_builds = true;
  kill_all();
  world().run_for(2'100ms);
  EXPECT_EQ(destination().budget.used(), 0u);
  EXPECT_EQ(came().unfinished_expired, 1u);
}

TEST_F(Resume, ProgressNeverGoesBack) {
  make();
  ASSERT_TRUE(source().send(1, 5, 12 * kMiB));
  while (source().outcomes() == 0) {
    world().run_for(250ms);
    kill_all();
  }
  expect_delivered(5, 12 * kMiB);
  ASSERT_GT(source().progress.size(), 10u);
  std::size_t before = 0;
  for (const Progress& step : source().progress) {
    EXPECT_GT(step.done, before);
    EXPECT_EQ(step.all, 12 * kMiB);
    before = step.done;
  }
}

TEST_F(Resume, ProgressStandsStillWhileItBeginsAnew) {
  make();
  ASSERT_TRUE(source().send(1, 5, 12 * kMiB, {.ttl = 600s}));
  ASSERT_TRUE(world().run_until([&] { return source().progress.size() > 5; }));
  world().hold_builds = true;
  kill_all();
  world().run_for(limits::kUnfinishedFor + 1s);
  world().hold_builds = false;
  kill_all();
  ASSERT_TRUE(over());
  EXPECT_EQ(sent().resumed, 0u);
  std::size_t before = 0;
  for (const Progress& step : source().progress) {
    EXPECT_GT(step.done, before);
    before = step.done;
  }
  expect_delivered(5, 12 * kMiB);
}

TEST_F(Resume, RepliesEndWithTheirCircuit) {
  make();
  ASSERT_TRUE(source().send(1, 5, 100));
  ASSERT_TRUE(over());
  const auto reply = destination().reply(*destination().got.at(0).reply_to, pattern(6, 3 * kMiB));
  ASSERT_TRUE(world().run_until([&] { return destination().cells_sent > 1'500; }));
  kill_all();
  world().run_for(1s);
  EXPECT_EQ(destination().end_of(reply).delivery.reason, Errc::circuit_failed);
  EXPECT_EQ(sent().unfinished_kept, 0u);
  world().expect_empty();
}

// ---- memory
// -----------------------------------------------------------------------------------------

TEST_F(Resume, WhatIsKeptIsReservedForWhatCame) {
  make();
  ASSERT_TRUE(source().send(1, 5, 20 * kMiB));
  run_until_sent(1'500);
  EXPECT_GT(destination().budget.used(), 20 * kMiB);
  world().hold_builds = true;
  kill_all();
  EXPECT_LT(destination().budget.used(), 2 * kMiB);
  EXPECT_GT(destination().budget.used(), kMiB / 2);
  world().hold_builds = false;
  kill_all();
  ASSERT_TRUE(over());
  expect_delivered(5, 20 * kMiB);
}

TEST_F(Resume, WhatNobodyBringsGoesFirst) {
  WorldOptions options;
  options.budget_bytes = 12 * kMiB;
  make(std::move(options), 3);
  ASSERT_TRUE(source().send(1, 5, 5 * kMiB));
  run_until_sent(3'000);
  world().hold_builds = true;
  kill_all();
  ASSERT_GT(destination().budget.used(), 2 * kMiB);
  world().run_for(1s);
  world().hold_builds = false;
  // It needs all that there is.
  ASSERT_TRUE(world()[2].send(1, 6, 11 * kMiB));
  ASSERT_TRUE(world().run_until([&] { return world()[2].outcomes() == 1; }));
  EXPECT_EQ(world()[2].outcomes(Outcome::delivered), 1u);
  ASSERT_EQ(destination().got.size(), 1u);
  kill_all();  // whose builds never ended
  ASSERT_TRUE(over());
  EXPECT_EQ(source().outcomes(Outcome::delivered), 1u);
  EXPECT_EQ(sent().resumed, 0u);
  world().run_for(1s);
  world().expect_empty();
}

/// Strangers begin large messages, one after the other under tags of their own, and let their
/// circuits end when enough has come to be kept. Memory is short all the time.
TEST_F(Resume, HonestOnesGoOnWhileStrangersLeaveParts) {
  WorldOptions options;
  options.budget_bytes = 64 * kMiB;
  make(std::move(options), 5);
  const auto kill_those_of = [&](std::size_t node) {
    for (Line* line : world().alive()) {
      if (line->ends[0].node == &world()[node]) world().kill(*line);
    }
  };
  const std::vector<std::byte> large(10 * kMiB);
  std::map<std::size_t, SendId> strangers;
  std::uint64_t begun = 0;
  std::function<void()> leave = [&] {
    for (std::size_t stranger = 2; stranger < 5; ++stranger) {
      kill_those_of(stranger);
      world()[stranger].messages->cancel(strangers[stranger], world().now());
      strangers[stranger] =
          world()[stranger].send_bytes(node_id(1), large, {.isolation = ++begun}).value();
    }
    EXPECT_LE(destination().budget.used(), 64 * kMiB);
    if (source().outcomes() == 0) world().after(80ms, leave);
  };
  world().after(1ms, leave);
  ASSERT_TRUE(source().send(1, 5, 8 * kMiB));
  for (int kills = 0; kills < 5; ++kills) {
    world().run_for(250ms);
    kill_those_of(0);
  }
  ASSERT_TRUE(over());
  EXPECT_EQ(source().outcomes(Outcome::delivered), 1u);
  EXPECT_GE(sent().resumed, 3u);
  EXPECT_LT(sent().bytes_again, 4 * kMiB);
  EXPECT_GT(begun, 50u);
  EXPECT_GT(came().unfinished_kept, 20u);
  const auto small = source().send(1, 6, 100);
  ASSERT_TRUE(over(2));
  EXPECT_EQ(source().end_of(small).delivery.outcome, Outcome::delivered);
}

TEST_F(Resume, ShortMemoryOfTheNodeTakesThemBack) {
  make();
  ASSERT_TRUE(source().send(1, 5, 5 * kMiB));
  run_until_sent(3'000);
  world().hold_builds = true;
  kill_all();
  const std::size_t held = destination().budget.used();
  EXPECT_GE(destination().messages->reclaim(1, world().now()), held / 2);
  EXPECT_EQ(destination().budget.used(), 0u);
}

TEST_F(Resume, ACircuitThatEndsForMemoryLeavesNothing) {
  make();
  ASSERT_TRUE(source().send(1, 5, 5 * kMiB));
  run_until_sent(3'000);
  world().hold_builds = true;
  world().kill(*world().line(0), Errc::refused_memory);
  EXPECT_EQ(destination().budget.used(), 0u);
}

}  // namespace
}  // namespace qudag::message::testing
