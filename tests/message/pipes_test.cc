// Pipes over made-up circuits: every byte in order, once, with exact counts, whatever becomes of
// the circuits.
#include "world.h"

namespace qudag::message::testing {
namespace {

PipeUse* served(World& world, std::uint64_t serial) {
  world.run_until([&] { return world[1].pipe_app.find(serial, false) != nullptr; }, 10s);
  return world[1].pipe_app.find(serial, false);
}

bool all_closed(World& world, std::size_t at_each, Duration limit = 600s) {
  return world.run_until(
      [&] {
        return world[0].pipe_app.closed() == at_each && world[1].pipe_app.closed() == at_each;
      },
      limit);
}

void expect_finished(const PipeUse& from, const PipeUse& to) {
  ASSERT_TRUE(from.end && to.end);
  EXPECT_EQ(from.end->how, PipeEnd::How::finished) << name_of(from.end->code);
  EXPECT_EQ(to.end->how, PipeEnd::How::finished) << name_of(to.end->code);
  EXPECT_EQ(from.end->sent, from.written);
  EXPECT_EQ(from.end->taken_by_peer, from.written);
  EXPECT_EQ(to.end->received, from.written);
  EXPECT_EQ(to.received, from.written);
  EXPECT_EQ(to.end->sent, to.written);
  EXPECT_EQ(from.received, to.written);
  EXPECT_EQ(from.wrong + to.wrong, 0u);
}

/// No pipe left at either end, nor what pipes reserved.
void expect_gone(World& world) {
  world.run_for(61s);
  for (std::size_t i = 0; i < world.size(); ++i) {
    EXPECT_EQ(std::as_const(*world[i].messages).pipes().size(), 0u) << i;
    EXPECT_EQ(world[i].pipes->bytes().used(), 0u) << i;
    EXPECT_EQ(world[i].pipes->places().used(), 0u) << i;
    EXPECT_EQ(world[i].budget.used(), 0u) << i;
  }
}

TEST(Pipes, BytesGoBothWaysAndBothEndsKnowTheCounts) {
  World world(2);
  world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 300'000, true); };
  PipeUse* const mine = world[0].pipe_app.open(1, 7, 1000);
  ASSERT_TRUE(mine);
  world[0].pipe_app.write(*mine, 2'000'000, true);
  ASSERT_TRUE(all_closed(world, 1));
  PipeUse* const theirs = world[1].pipe_app.find(7, false);
  ASSERT_TRUE(theirs);
  expect_finished(*mine, *theirs);
  EXPECT_EQ(mine->written, 2'001'000u);
  EXPECT_EQ(theirs->written, 300'000u);
  EXPECT_TRUE(mine->ended && theirs->ended);
  EXPECT_EQ(world[0].messages->stats().pipe_bytes_again, 0u);
  expect_gone(world);
}

TEST(Pipes, AnEmptyOneFinishes) {
  World world(2);
  world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 0, true); };
  PipeUse* const mine = world[0].pipe_app.open(1, 1);
  world[0].pipe_app.write(*mine, 0, true);
  ASSERT_TRUE(all_closed(world, 1, 5s));
  expect_finished(*mine, *world[1].pipe_app.find(1, false));
  expect_gone(world);
}

/// A request rides with the OPEN: it is at the service one way after the circuit is ready.
TEST(Pipes, FirstBytesTravelWithTheQuestion) {
  for (const bool rides : {false, true}) {
    WorldOptions options;
    options.riders = rides;
    World world(2, options);
    const TimePoint began = world.now().mono;
    PipeUse* const mine = world[0].pipe_app.open(1, 3, 1000);
    TimePoint at_service{}, answered{};
    ASSERT_TRUE(world.run_until([&] {
      PipeUse* const theirs = world[1].pipe_app.find(3, false);
      if (at_service == TimePoint{} && theirs && theirs->received == 1000) {
        at_service = world.now().mono;
        world[1].pipe_app.write(*theirs, 500);
      }
      if (mine->received == 500) answered = world.now().mono;
      return answered != TimePoint{};
    }));
    const Duration d = world.options.latency;
    const auto near = [](Duration took, Duration wanted) {
      return took >= wanted && took < wanted + 2ms;
    };
    EXPECT_TRUE(near(at_service - began, rides ? d : 3 * d)) << (at_service - began) / 1ms;
    EXPECT_TRUE(near(answered - began, rides ? 2 * d : 4 * d)) << (answered - began) / 1ms;
    EXPECT_TRUE(mine->opened);
  }
}

TEST(Pipes, TheServicesAnswerIsTold) {
  for (std::uint8_t code = 1; code <= wire::kPipeCodeMax; ++code) {
    World world(2);
    world[1].pipe_app.on_offer = [&](PipeUse& one) {
      const Now now = world.now();
      world[1].messages->with_pipes(
          now, [&](Pipes& pipes) { pipes.refuse(one.id, static_cast<PipeCode>(code), now); });
    };
    PipeUse* const mine = world[0].pipe_app.open(1, 2, 16'000);
    ASSERT_TRUE(world.run_until([&] { return mine->end.has_value(); }, 5s));
    EXPECT_EQ(mine->end->how, PipeEnd::How::reset);
    EXPECT_EQ(static_cast<std::uint8_t>(mine->end->code), code);
    EXPECT_TRUE(mine->end->by_peer);
    EXPECT_FALSE(mine->end->opened);
    EXPECT_EQ(world[0].messages->stats().frames_malformed, 0u);
    EXPECT_EQ(world[1].messages->stats().frames_malformed, 0u) << "the first bytes crossed it";
    expect_gone(world);
  }
}

TEST(Pipes, WhoHasNoServicesSaysSo) {
  WorldOptions options;
  options.pipes_served = false;
  World world(2, options);
  // The opener hears of nothing without a listener: its end is seen in the counters.
  const Now now = world.now();
  ASSERT_TRUE(world[0].messages->with_pipes(now, [&](Pipes& pipes) {
    return pipes.open({node_id(1), "ssh", {}}, now).has_value();
  }) == false);
}

TEST(Pipes, ASlowServiceIsToldOfAfterTenSeconds) {
  World world(2);
  world[1].pipe_app.on_offer = [](PipeUse&) {};
  PipeUse* const mine = world[0].pipe_app.open(1, 2, 100);
  ASSERT_TRUE(world.run_until([&] { return mine->end.has_value(); }, 11s));
  EXPECT_EQ(mine->end->code, PipeCode::too_slow);
  PipeUse* const theirs = world[1].pipe_app.find(2, false);
  ASSERT_TRUE(theirs && theirs->end);
  EXPECT_EQ(theirs->end->code, PipeCode::too_slow);
  expect_gone(world);
}

TEST(Pipes, NoWayAndNoAnswerAreTold) {
  World world(2);
  world[0].draw_fails = Errc::unknown_destination;
  PipeUse* const mine = world[0].pipe_app.open(1, 2, 100);
  ASSERT_TRUE(world.run_until([&] { return mine->end.has_value(); }, 1s));
  EXPECT_EQ(mine->end->how, PipeEnd::How::lost);
  EXPECT_EQ(mine->end->reason, Errc::unknown_destination);
  world[0].draw_fails = Errc::ok;
  world.builds_to_fail = UINT_MAX;
  PipeUse* const next = world[0].pipe_app.open(1, 3, 100, {.open_max = 5s});
  ASSERT_TRUE(world.run_until([&] { return next->end.has_value(); }, 6s));
  EXPECT_EQ(next->end->reason, Errc::timed_out);
  expect_gone(world);
}

/// A program that does not read stops the one that writes, and nobody else.
TEST(Pipes, WhoDoesNotTakeHoldsUpTheOther) {
  World world(2);
  world[1].pipe_app.on_offer = [&](PipeUse& one) {
    const Now now = world.now();
    one.auto_take = one.serial != 1;
    world[1].messages->with_pipes(now, [&](Pipes& pipes) { pipes.accept(one.id, now); });
  };
  PipeUse* const stuck = world[0].pipe_app.open(1, 1);
  PipeUse* const other = world[0].pipe_app.open(1, 2);
  world[0].pipe_app.write(*stuck, 1'000'000, true);
  world[0].pipe_app.write(*other, 1'000'000, true);
  ASSERT_TRUE(world[0].send(1, 9, 100'000));
  world.run_for(10s);
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
  EXPECT_EQ(world[1].pipe_app.find(2, false)->received, 1'000'000u);
  PipeUse* const theirs = world[1].pipe_app.find(1, false);
  EXPECT_EQ(theirs->received, kPipeWindowFirst);
  EXPECT_LE(stuck->written, kPipeWindowFirst + kPipeRoomMin);
  theirs->auto_take = true;
  world[1].pipe_app.take(*theirs, theirs->received);
  ASSERT_TRUE(world.run_until([&] { return theirs->ended; }, 20s));
  EXPECT_EQ(theirs->received, 1'000'000u);
  for (PipeUse* one : {stuck, other}) {
    world[1].pipe_app.write(*world[1].pipe_app.find(one->serial, false), 0, true);
  }
  ASSERT_TRUE(all_closed(world, 2));
  expect_finished(*stuck, *theirs);
  expect_gone(world);
}

TEST(Pipes, AResetIsHeardAtOnce) {
  for (const unsigned who : {0u, 1u}) {
    World world(2);
    PipeUse* const mine = world[0].pipe_app.open(1, 1);
    world[0].pipe_app.write(*mine, 500'000);
    PipeUse* const theirs = served(world, 1);
    world[1].pipe_app.write(*theirs, 500'000);
    world.run_for(100ms);
    world[who].pipe_app.reset(who == 0 ? *mine : *theirs, PipeCode::stopping);
    ASSERT_TRUE(all_closed(world, 1, 1s));
    for (PipeUse* one : {mine, theirs}) {
      EXPECT_EQ(one->end->how, PipeEnd::How::reset);
      EXPECT_EQ(one->end->code, PipeCode::stopping);
      EXPECT_EQ(one->end->by_peer, one->opener == (who == 1));
      EXPECT_EQ(one->wrong, 0u);
    }
    EXPECT_LE(mine->end->taken_by_peer, theirs->received);
    EXPECT_EQ(world[0].messages->stats().frames_malformed, 0u) << "what crossed is allowed";
    EXPECT_EQ(world[1].messages->stats().frames_malformed, 0u);
    expect_gone(world);
  }
}

TEST(Pipes, GoOnOverAnotherCircuit) {
  for (const Duration later : {0ms, 5ms, 500ms}) {
    World world(2);
    world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 0, true); };
    PipeUse* const mine = world[0].pipe_app.open(1, 1);
    world[0].pipe_app.write(*mine, 3'000'000, true);
    PipeUse* const theirs = served(world, 1);
    world[1].pipe_app.write(*theirs, 1'000'000);
    for (int i = 0; i < 5; ++i) {
      world.run_for(150ms);
      for (Line* line : world.alive()) world.cut(*line, later);
    }
    ASSERT_TRUE(all_closed(world, 1));
    expect_finished(*mine, *theirs);
    EXPECT_EQ(world[1].pipe_app.offers, 1u) << "one connection to the service";
    EXPECT_GE(world[0].messages->stats().pipes_moved, 4u);
    expect_gone(world);
  }
}

/// A circuit comes to the shard of its last link: the pipe follows its opener there and back.
TEST(Pipes, FollowTheirOpenerFromShardToShard) {
  memory::Budget claim("claim", std::uint64_t{1} << 30);
  WorldOptions options;
  options.one_node = true;
  options.messages.claims = {&claim, &claim, &claim};
  options.messages.pipes = std::make_shared<PipesOfNode>(64, std::uint64_t{64} << 20);
  World world(3, options);
  for (const std::size_t shard : {1u, 2u}) {
    world[shard].pipe_app.on_end = [&world, shard](PipeUse& one) {
      world[shard].pipe_app.write(one, 1000, true);
    };
  }
  PipeUse* const mine = world[0].pipe_app.open(1, 1);
  world[0].pipe_app.write(*mine, 3'000'000, true);
  for (int i = 0; i < 5; ++i) {
    world.run_for(150ms);
    world.builds_arrive_at = 2 - static_cast<std::size_t>(i) % 2;
    for (Line* line : world.alive()) world.cut(*line, 5ms);
  }
  ASSERT_TRUE(world.run_until([&] { return mine->end.has_value(); }, 100s));
  PipeUse* theirs = world[1].pipe_app.find(1, false);
  if (theirs == nullptr) theirs = world[2].pipe_app.find(1, false);
  ASSERT_TRUE(theirs);
  world.run_for(1s);
  expect_finished(*mine, *theirs);
  EXPECT_EQ(world[1].pipe_app.offers + world[2].pipe_app.offers, 1u);
  EXPECT_GE(mine->end->taken_by_peer, 3'000'000u);
  world.run_for(61s);
  EXPECT_EQ(claim.used(), 0u);
  EXPECT_EQ(options.messages.pipes->bytes().used(), 0u);
  EXPECT_EQ(options.messages.pipes->places().used(), 0u);
}

TEST(Pipes, AreLostAtBothEndsWithoutACircuitForAMinute) {
  World world(2);
  PipeUse* const mine = world[0].pipe_app.open(1, 1);
  world[0].pipe_app.write(*mine, 100'000);
  PipeUse* const theirs = served(world, 1);
  world.run_for(200ms);
  world.hold_builds = true;
  for (Line* line : world.alive()) world.kill(*line);
  world.run_for(59s);
  EXPECT_FALSE(mine->end || theirs->end);
  world.run_for(2s);
  ASSERT_TRUE(mine->end && theirs->end);
  for (PipeUse* one : {mine, theirs}) {
    EXPECT_EQ(one->end->how, PipeEnd::How::lost);
    EXPECT_EQ(one->end->code, PipeCode::lost);
  }
  EXPECT_LE(mine->end->taken_by_peer, theirs->taken);
  expect_gone(world);
}

/// A circuit that is worn is changed under living pipes.
TEST(Pipes, MoveOffAWornCircuit) {
  WorldOptions options;
  options.messages.circuit_age_max = 10s;
  World world(2, options);
  std::vector<PipeUse*> mine;
  for (std::uint64_t i = 0; i < 20; ++i) mine.push_back(world[0].pipe_app.open(1, i));
  for (int second = 0; second < 60; ++second) {
    for (PipeUse* one : mine) world[0].pipe_app.write(*one, 997);
    world.run_for(1s);
  }
  for (PipeUse* one : mine) {
    ASSERT_FALSE(one->end) << name_of(one->end->code);
    EXPECT_EQ(world[1].pipe_app.find(one->serial, false)->received, 60u * 997);
    world[0].pipe_app.write(*one, 0, true);
    world[1].pipe_app.write(*world[1].pipe_app.find(one->serial, false), 0, true);
  }
  EXPECT_GE(world.lines(), 4u);
  EXPECT_GE(world[0].messages->stats().pipes_moved, 60u);
  EXPECT_EQ(world[1].pipe_app.offers, 20u);
  ASSERT_TRUE(all_closed(world, 20));
  for (PipeUse* one : mine) expect_finished(*one, *world[1].pipe_app.find(one->serial, false));
  expect_gone(world);
}

/// Relays end circuits without a cell for 600 s.
TEST(Pipes, AnIdleOneKeepsItsCircuitAlive) {
  WorldOptions options;
  options.messages.circuit_age_max = 24h;
  World world(2, options);
  PipeUse* const mine = world[0].pipe_app.open(1, 1, 10);
  world.run_for(10s);
  const std::uint64_t before = world[0].cells_sent;
  TimePoint last = world.now().mono;
  Duration longest{};
  world.on_cell = [&](Line&, unsigned from, Bytes) {
    if (from != 0) return true;
    longest = std::max(longest, world.now().mono - last);
    last = world.now().mono;
    return true;
  };
  world.run_for(1h);
  EXPECT_LT(longest, 310s);
  EXPECT_LE(world[0].cells_sent - before, 21u);
  EXPECT_EQ(world.alive().size(), 1u);
  EXPECT_FALSE(mine->end);
}

/// Several builds carry the same OPEN: the service is asked once.
TEST(Pipes, RacingBuildsOpenOnePipe) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.riders = true;
    World world(2, options);
    world[0].builds_late_after = 50ms;
    for (int i = 0; i < 6; ++i) {
      world.builds_take.push_back(std::chrono::milliseconds(20 + world.rng.next() % 300));
    }
    world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 5000, true); };
    PipeUse* const mine = world[0].pipe_app.open(1, 1, 3000);
    world[0].pipe_app.write(*mine, 40'000, true);
    ASSERT_TRUE(all_closed(world, 1, 100s)) << seed;
    EXPECT_EQ(world[1].pipe_app.offers, 1u) << seed;
    expect_finished(*mine, *world[1].pipe_app.find(1, false));
    EXPECT_EQ(world[1].messages->stats().frames_malformed, 0u) << seed;
    EXPECT_EQ(world[0].messages->stats().frames_malformed, 0u) << seed;
    expect_gone(world);
  }
}

/// More pipes than a circuit takes: as many circuits as they need, and none is refused.
TEST(Pipes, AThousandAtOnce) {
  World world(2);
  std::size_t opened = 0;
  world[0].pipe_app.on_opened = [&](PipeUse&) { ++opened; };
  world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 100, true); };
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(world[0].pipe_app.open(1, i, 200));
  ASSERT_TRUE(world.run_until([&] { return opened == 1000; }, 10s)) << opened;
  EXPECT_EQ(world.alive().size(), 4u);
  for (const auto& [id, one] : world[0].pipe_app.uses) world[0].pipe_app.write(*one, 800, true);
  ASSERT_TRUE(all_closed(world, 1000, 30s)) << world[0].pipe_app.closed();
  for (const auto& [id, one] : world[0].pipe_app.uses) {
    expect_finished(*one, *world[1].pipe_app.find(one->serial, false));
  }
  expect_gone(world);
}

/// A window is no wider than what the program takes in two round trips needs, and no narrower.
TEST(Pipes, WindowsGrowWithTheRoundTrip) {
  World world(2);
  PipeUse* const mine = world[0].pipe_app.open(1, 1);
  world[0].pipe_app.write(*mine, 40'000'000);
  const TimePoint began = world.now().mono;
  ASSERT_TRUE(world.run_until(
      [&] {
        PipeUse* const theirs = world[1].pipe_app.find(1, false);
        return theirs && theirs->received == 40'000'000;
      },
      100s));
  // With 16 KiB in 40 ms it would be 100 s.
  EXPECT_LT(world.now().mono - began, 2s) << (world.now().mono - began) / 1ms;
  EXPECT_LE(world[1].pipes->bytes().peak(), kPipeWindowMax + 2 * kPipeWindowFirst);
}

/// What pipes may hold together bounds their windows; some that stand still stop no other.
TEST(Pipes, ShareWhatTheyMayHold) {
  WorldOptions options;
  options.messages.pipes = std::make_shared<PipesOfNode>(64, 400'000);
  World world(2, options);
  world[1].pipe_app.on_end = [&](PipeUse& one) { world[1].pipe_app.write(one, 1000, true); };
  world[1].pipe_app.on_offer = [&](PipeUse& one) {
    const Now now = world.now();
    one.auto_take = one.serial != 0;
    world[1].messages->with_pipes(now, [&](Pipes& pipes) { pipes.accept(one.id, now); });
  };
  world[0].pipe_app.on_opened = [&](PipeUse& one) {
    world[0].pipe_app.write(one, 2'000'000, true);
  };
  for (std::uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(world[0].pipe_app.open(1, i));
  ASSERT_TRUE(all_closed(world, 5, 200s)) << world[0].pipe_app.closed();
  PipeUse& stands_still = *world[1].pipe_app.find(0, false);
  stands_still.auto_take = true;
  world[1].pipe_app.take(stands_still, stands_still.received);
  ASSERT_TRUE(all_closed(world, 6, 200s)) << world[0].pipe_app.closed();
  EXPECT_LE(options.messages.pipes->bytes().peak(), 400'000u);
  for (const auto& [id, one] : world[0].pipe_app.uses) {
    expect_finished(*one, *world[1].pipe_app.find(one->serial, false));
  }
}

/// A random net that cuts circuits anywhere: every byte right or `lost` said at both ends.
TEST(Pipes, ManySeeds) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.riders = seed % 2 == 0;
    options.messages.circuit_age_max = seed % 3 == 0 ? 5s : 600s;
    World world(2, options);
    if (seed % 4 == 0) world[0].builds_late_after = 70ms;
    world[1].pipe_app.on_end = [&](PipeUse& one) {
      world[1].pipe_app.write(one, world.rng.next() % 50'000, true);
    };
    for (std::uint64_t i = 0; i < 12; ++i) {
      world.after(std::chrono::milliseconds(world.rng.next() % 3000), [&world, i] {
        PipeUse* const one = world[0].pipe_app.open(1, i, world.rng.next() % 16'000);
        ASSERT_TRUE(one);
        world[0].pipe_app.write(*one, world.rng.next() % 600'000, true);
        if (world.rng.next() % 8 == 0) {
          world.after(std::chrono::milliseconds(world.rng.next() % 3000),
                      [&world, one] { world[0].pipe_app.reset(*one); });
        }
      });
    }
    for (int i = 0; i < 25; ++i) {
      world.after(std::chrono::milliseconds(world.rng.next() % 6000), [&world] {
        const auto lines = world.alive();
        if (lines.empty()) return;
        Line& line = *lines[world.rng.next() % lines.size()];
        if (world.rng.next() % 2 == 0) {
          world.kill(line);
        } else {
          world.cut(line, std::chrono::milliseconds(world.rng.next() % 2000));
        }
      });
    }
    world.run_for(10s);
    ASSERT_TRUE(world.run_until([&] { return world[0].pipe_app.closed() == 12; }, 120s)) << seed;
    world.run_for(130s);
    for (const auto& [id, one] : world[0].pipe_app.uses) {
      PipeUse* const theirs = world[1].pipe_app.find(one->serial, false);
      EXPECT_EQ(one->wrong, 0u) << seed;
      if (one->end->how == PipeEnd::How::finished) {
        ASSERT_TRUE(theirs) << seed;
        expect_finished(*one, *theirs);
      } else if (theirs != nullptr) {
        ASSERT_TRUE(theirs->end) << seed;
        EXPECT_LE(one->end->taken_by_peer, theirs->taken) << seed;
        EXPECT_LE(theirs->end->taken_by_peer, one->taken) << seed;
        EXPECT_EQ(theirs->wrong, 0u) << seed;
      }
    }
    EXPECT_EQ(world[0].messages->stats().frames_malformed, 0u) << seed;
    EXPECT_EQ(world[1].messages->stats().frames_malformed, 0u) << seed;
    expect_gone(world);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace qudag::message::testing
