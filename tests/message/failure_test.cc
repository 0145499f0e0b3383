// What goes wrong: circuits that die, builds that fail, time that runs out, limits, shutdown. Every
// accepted send has exactly one outcome (the world checks "one"; the tests check "which").
#include "message/flow.h"
#include "world.h"

#include <algorithm>

namespace qudag::message::testing {
namespace {

constexpr std::size_t kMiB = 1 << 20;

bool all_over(World& world, std::size_t sends) {
  return world.run_until([&] { return world[0].outcomes() == sends; });
}

// ---- circuits that die --------------------------------------------------------------------------

TEST(Failure, ACircuitDiesMidMessageAndTheMessageArrivesOnce) {
  World world(2);
  world.options.cell_time = 100us;
  const auto id = world[0].send(1, 5, 3 * kMiB);
  ASSERT_TRUE(world.run_until([&] { return world[0].cells_sent > 1000; }));
  world.kill(*world.line(0));
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[1].got.size(), 1u);
  EXPECT_EQ(world[1].got[0].bytes, pattern(5, 3 * kMiB));
  EXPECT_EQ(world.lines(), 2u);
  const MessagesStats sender = world[0].messages->stats();
  EXPECT_EQ(sender.resent, 1u);
  EXPECT_EQ(sender.bytes_sent(), 3 * kMiB) << "first transmissions only";
  EXPECT_EQ(world[1].messages->stats().assemblies_dropped, 1u);
  world.expect_empty();
}

TEST(Failure, ALostAcknowledgementDoesNotDeliverTwice) {
  World world(2);
  world[1].on_got = [&](const Got&) {
    // The circuit ends before the acknowledgement is even written.
    if (world.lines() == 1) world.after(0ns, [&] { world.kill(*world.line(0)); });
    return Taken::yes;
  };
  world.on_cell = [&](Line& line, unsigned from, Bytes) { return line.number > 1 || from == 0; };
  const auto id = world[0].send(1, 5, 500);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[1].got.size(), 1u);
  EXPECT_EQ(world[1].messages->stats().duplicates, 1u);
  EXPECT_EQ(world.lines(), 2u);
  world.expect_empty();
}

TEST(Failure, ALargeDuplicateIsAnsweredFromItsFirstFragment) {
  World world(2);
  world[1].on_got = [&](const Got&) {
    if (world.lines() == 1) world.after(0ns, [&] { world.kill(*world.line(0)); });
    return Taken::yes;
  };
  world.on_cell = [&](Line& line, unsigned from, Bytes) { return line.number > 1 || from == 0; };
  world.options.cell_time = 100us;  // slow enough that the answer comes while it is being sent
  ASSERT_TRUE(world[0].send(1, 5, 2 * kMiB));
  ASSERT_TRUE(world.run_until([&] { return world[1].got.size() == 1; }));
  const std::uint64_t once = world[0].cells_sent;
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
  EXPECT_EQ(world[1].got.size(), 1u);
  EXPECT_LT(world[0].cells_sent - once, once / 2) << "the rest was not sent again";
  ASSERT_TRUE(world[0].send(1, 6, 10));  // the circuit is still good
  ASSERT_TRUE(all_over(world, 2));
  EXPECT_EQ(world.lines(), 2u);
  world.expect_empty();
}

TEST(Failure, TheOrderIsKeptWhenMessagesAreSentAgain) {
  WorldOptions options;
  options.ahead_cells = 4;  // so that some are sent and some still wait when the circuit ends
  World world(2, options);
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(world[0].send(1, i, 100));
  bool lost = false;
  world.on_cell = [&](Line& line, unsigned, Bytes) {
    if (line.number == 1 && !lost) {
      lost = true;
      world.after(1us, [&world] { world.kill(*world.line(0)); });
    }
    return line.number > 1;
  };
  ASSERT_TRUE(all_over(world, 100));
  ASSERT_EQ(world[1].got.size(), 100u);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(world[1].got[i].bytes, pattern(i, 100)) << i;
  world.expect_empty();
}

TEST(Failure, ACopyOverANewCircuitReplacesTheIncompleteOne) {
  World world(2);
  world.options.cell_time = 100us;
  ASSERT_TRUE(world[0].send(1, 5, kMiB));
  world.run_for(80ms);
  ASSERT_GT(world[1].budget.used(), kMiB);
  // Only the source learns that the circuit has died: the destination still holds its half.
  Line& first = *world.line(0);
  first.alive = false;
  world[0].messages->on_ended(first.ends[0].id, Errc::circuit_failed, world.now());
  ASSERT_TRUE(world.run_until([&] { return world.lines() == 2 && world[0].cells_sent > 1100; }));
  EXPECT_LE(world[1].budget.used(), kMiB + 1000) << "not both copies";
  EXPECT_EQ(world[1].messages->stats().assemblies_dropped, 1u);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[1].got.size(), 1u);
  world[1].messages->on_ended(first.ends[1].id, Errc::circuit_failed, world.now());
  world.expect_empty();
}

/// A destination that is away for minutes, and a message that has ten.
TEST(Failure, AMessageTriesUntilItsTimeToLiveIsOver) {
  for (const Duration away : {Duration(60s), Duration(300s), Duration(540s)}) {
    World world(2);
    world.builds_to_fail = UINT32_MAX;
    const auto id = world[0].send(1, 5, 1000, {.ttl = 10min});
    world.run_for(away);
    EXPECT_EQ(world[0].outcomes(), 0u);
    world.builds_to_fail = 0;
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    EXPECT_LE(world[0].end_of(id).delivery.elapsed, away + 3s);
    EXPECT_LE(world.lines(), static_cast<std::size_t>(away / 1s) + 10) << "and not in a hurry";
    world.expect_empty();
  }
}

/// A relay that breaks every circuit whose other relays are not its friends is given another draw
/// by each rebuild, whether it breaks circuits at work or builds: a few at once, then one in five
/// seconds, also for a message that tries for ten minutes.
TEST(Failure, WhoBreaksCircuitsIsGivenFewOthers) {
  const Duration ten_minutes = 600s;
  const std::size_t most = kLossBurst / kLossCost + ten_minutes / (1s * kLossCost) + 1;
  {
    World world(2);
    for (std::uint64_t i = 0; i < 590; ++i) {
      world.after(i * 1s, [&world, i] { ASSERT_TRUE(world[0].send(1, i, 100, {.ttl = 60s})); });
    }
    world[1].on_got = [&](const Got&) {  // it worked, and is broken when that is known
      world.after(30ms, [&world] { world.kill(*world.line(world.lines() - 1)); });
      return Taken::yes;
    };
    ASSERT_TRUE(all_over(world, 590));
    EXPECT_EQ(world[0].outcomes(Outcome::delivered), 590u);
    EXPECT_GT(world.lines(), most / 2);
    EXPECT_LE(world.lines(), most);
    world.expect_empty();
  }
  // A relay that says it does not reach the next, which is no destination.
  const std::size_t unreached =
      kUnreachedBurst / kUnreachedCost + ten_minutes / (1s * kUnreachedCost);
  for (const std::size_t hop : {std::size_t{1}, std::size_t{2}, std::size_t{3}, SIZE_MAX}) {
    World world(2);
    world.builds_to_fail = UINT32_MAX;
    world.build_fails_at = hop;
    const auto id = world[0].send(1, 5, 1000, {.ttl = 10min});
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
    EXPECT_GT(world.lines(), most / 2);
    EXPECT_LE(world.lines(), most + (hop == 1 || hop == 2 ? unreached : 0));
    world.expect_empty();
  }
}

/// What the first link does is no relay's choice of the others: one that was away is tried at once.
TEST(Failure, TheFirstLinksOwnFailuresCostNothing) {
  World world(2);
  world.builds_to_fail = UINT32_MAX;
  world.build_fails_at = 0;
  ASSERT_TRUE(world[0].send(1, 5, 1000, {.ttl = 10min}));
  world.run_for(120s);
  const std::size_t tried = world.lines();
  EXPECT_GT(tried, 50u);
  world.builds_to_fail = 0;
  const TimePoint back = world.now().mono;
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_LE(world.now().mono - back, 3s);
  world.expect_empty();
}

TEST(Failure, OneThatExpiresSaysWhatWasInItsWay) {
  World world(2);
  world.builds_to_fail = UINT32_MAX;
  const auto id = world[0].send(1, 5, 1000, {.ttl = 5s});
  ASSERT_TRUE(all_over(world, 1));
  const Delivery& delivery = world[0].end_of(id).delivery;
  EXPECT_EQ(delivery.outcome, Outcome::expired);
  EXPECT_NE(delivery.reason.message().find("unreachable"), std::string::npos)
      << delivery.reason.message();
  world.expect_empty();
}

WorldOptions five_attempts() {
  WorldOptions options;
  options.messages.attempts_max = 5;
  return options;
}

TEST(Failure, AttemptsAreBoundedWhereTheyAreLimited) {
  World world(2, five_attempts());
  const auto id = world[0].send(1, 5, kMiB);
  std::size_t killed = 0;
  world.on_cell = [&](Line& line, unsigned, Bytes) {
    if (line.alive && line.number > killed) {
      killed = line.number;
      world.after(1us, [&world, &line] { world.kill(line, Errc::link_closed); });
    }
    return false;
  };
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world.lines(), world.options.messages.attempts_max);
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::failed);
  EXPECT_EQ(world[0].end_of(id).delivery.reason, Errc::circuit_failed);
  EXPECT_NE(world[0].end_of(id).delivery.reason.detail.find("link_closed"), std::string::npos);
  world.expect_empty();
}

TEST(Failure, AReplyFailsWithItsCircuit) {
  World world(2);
  Result<SendId> reply = fail(Errc::internal);
  world[1].on_got = [&](const Got& one) {
    reply = world[1].reply(*one.reply_to, pattern(1, 100'000));
    world.after(100us, [&] { world.kill(*world.line(0)); });
    return Taken::yes;
  };
  ASSERT_TRUE(world[0].send(1, 5, 100));
  ASSERT_TRUE(world.run_until([&] { return world[1].outcomes() == 1; }));
  EXPECT_EQ(world[1].end_of(reply).delivery.outcome, Outcome::failed);
  EXPECT_EQ(world[1].end_of(reply).delivery.reason, Errc::circuit_failed);
  world[1].on_got = nullptr;
  ASSERT_TRUE(all_over(world, 1));
  world.expect_empty();
}

// ---- builds that fail ---------------------------------------------------------------------------

TEST(Failure, AnotherRouteIsTriedAfterAShortWait) {
  World world(2);
  world.builds_to_fail = 2;
  world.build_fails_at = 3;
  const auto id = world[0].send(1, 5, 100);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[0].reports.size(), 3u);
  EXPECT_FALSE(world[0].reports[0].ok);
  EXPECT_EQ(world[0].reports[0].failed_hop, 3u);
  EXPECT_FALSE(world[0].reports[1].ok);
  EXPECT_TRUE(world[0].reports[2].ok);
  // Three builds of 40 ms, two waits (37..63 and 75..125 ms), and the message's own round trip.
  const Duration elapsed = world[0].end_of(id).delivery.elapsed;
  EXPECT_GE(elapsed, 3 * 40ms + 37ms + 75ms + 40ms);
  EXPECT_LE(elapsed, 3 * 40ms + 63ms + 125ms + 41ms);
  world.expect_empty();
}

/// The next draw passes over the relay that was named.
TEST(Failure, WhereARelayDidNotReachTheNextAnotherRouteIsTriedAtOnce) {
  World world(2);
  world.builds_to_fail = 2;
  world.build_fails_at = 1;
  const auto id = world[0].send(1, 5, 100);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[0].reports.size(), 3u);
  EXPECT_LE(world[0].end_of(id).delivery.elapsed, 3 * 40ms + 41ms);
}

TEST(Failure, BuildsThatFailForGoodUseUpTheAttempts) {
  for (const bool inside : {false, true}) {
    World world(2, five_attempts());
    world.builds_to_fail = 1000;
    world.fail_builds_inside = inside;
    std::vector<SendId> ids;
    for (std::uint64_t i = 0; i < 50; ++i) ids.push_back(*world[0].send(1, i, 100));
    ASSERT_TRUE(all_over(world, 50));
    EXPECT_EQ(world.lines(), world.options.messages.attempts_max);
    for (const SendId id : ids) {
      const Delivery& delivery = world[0].ended[id.value].delivery;
      EXPECT_EQ(delivery.outcome, Outcome::failed);
      EXPECT_EQ(delivery.reason, Errc::circuit_failed);
      EXPECT_NE(delivery.reason.detail.find("unreachable"), std::string::npos);
    }
    world.expect_empty();
  }
}

TEST(Failure, ALocalLimitIsNotTheRoutesFault) {
  World world(2);
  world.build_refused_at_once = Errc::refused_circuits;
  const auto id = world[0].send(1, 5, 100);
  world.run_for(60ms);
  EXPECT_EQ(world[0].outcomes(), 0u);
  world.build_refused_at_once = Errc::ok;
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[0].reports.size(), 1u);
  EXPECT_TRUE(world[0].reports[0].ok);
}

TEST(Failure, AHopThatRefusesIsNotReportedAsBroken) {
  World world(2);
  world.builds_to_fail = 1;
  world.build_fails_with = Errc::refused_by_peer;
  world.build_fails_at = 0;
  const auto id = world[0].send(1, 5, 100);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[0].reports.size(), 1u) << "only the build that worked";
  EXPECT_TRUE(world[0].reports[0].ok);
  EXPECT_EQ(world[0].refusals, 1u);
}

TEST(Failure, SheddingEndsWhatWaitsOldestFirstAndOnlyThatPriority) {
  World world(2);
  world.hold_builds = true;
  std::vector<Result<SendId>> low;
  for (int i = 0; i < 5; ++i) low.push_back(world[0].send(1, 10, 100, {.priority = Priority::low}));
  const auto normal = world[0].send(1, 20, 100, {.priority = Priority::normal});
  const Error why(Errc::refused_overload, "shed: low");
  EXPECT_EQ(world[0].messages->shed(Priority::low, 2, why, world.now()), 2u);
  EXPECT_EQ(world[0].outcomes(Outcome::refused), 2u);
  for (int i : {0, 1}) {
    EXPECT_EQ(world[0].end_of(low[static_cast<std::size_t>(i)]).delivery.reason.message(),
              "refused_overload: shed: low");
  }
  EXPECT_EQ(world[0].messages->shed(Priority::low, 100, why, world.now()), 3u);
  EXPECT_EQ(world[0].messages->shed(Priority::low, 100, why, world.now()), 0u);
  world[0].messages->shutdown(world.now());
  EXPECT_EQ(world[0].end_of(normal).delivery.outcome, Outcome::failed);
}

TEST(Failure, WaitingIsMeasuredWhereSomethingCouldBeSent) {
  World world(3);
  const auto waits = [&](Priority priority) {
    return world[0].messages->waiting_time(priority, world.now());
  };
  world.hold_builds = true;
  static_cast<void>(world[0].send(1, 5, 100));
  world.run_for(2s);
  EXPECT_EQ(waits(Priority::normal), Duration::zero()) << "waiting for a circuit is no queue";
  EXPECT_EQ(waits(Priority::low), Duration::zero());
}

TEST(Failure, NoWayIsSaidAtOnce) {
  for (const Errc why : {Errc::unknown_destination, Errc::no_route}) {
    World world(2);
    world[0].draw_fails = why;
    const auto id = world[0].send(1, 5, 100);
    EXPECT_EQ(world[0].outcomes(), 0u) << "never from inside send()";
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::failed);
    EXPECT_EQ(world[0].end_of(id).delivery.reason, why);
    EXPECT_EQ(world[0].end_of(id).delivery.elapsed, 0ns);
    // And it is asked again, a little later, for the next message.
    world[0].draw_fails = Errc::ok;
    ASSERT_TRUE(world[0].send(1, 6, 100));
    ASSERT_TRUE(all_over(world, 2));
    EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
    world.expect_empty();
  }
}

// ---- rotation -----------------------------------------------------------------------------------

TEST(Failure, OldCircuitsAreReplacedWithoutAPause) {
  WorldOptions options;
  options.messages.circuit_age_max = 10s;
  World world(2, options);
  std::size_t sends = 0;
  Duration slowest{};
  for (int i = 0; i < 300; ++i) {
    const auto id = world[0].send(1, sends++, 200);
    world.run_for(100ms);
    if (i > 0) slowest = std::max(slowest, world[0].end_of(id).delivery.elapsed);
  }
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), sends);
  EXPECT_GE(world.lines(), 3u);
  EXPECT_LE(world.lines(), 4u);
  EXPECT_LE(slowest, 41ms) << "the old circuit serves until the new one is ready";
  world.run_for(70s);
  EXPECT_TRUE(world.alive().empty());
  EXPECT_EQ(world[0].messages->stats().resent, 0u);
  world.expect_empty();
}

// Twenty circuits that are asked for in the same moment: their ends lie apart, within a quarter of
// the age.
TEST(Failure, CircuitsOfOneHourDoNotEndTogether) {
  WorldOptions options;
  options.messages.circuit_age_max = 100s;
  World world(2, options);
  std::map<int, int> begun;  // by the second
  std::size_t sends = 0, lines = 0;
  for (int second = 0; second < 130; ++second) {
    for (std::uint64_t i = 0; i < 20; ++i) {
      world[0].send(1, sends++, 50, {.isolation = 1 + i});
    }
    world.run_for(1s);
    if (const std::size_t now = world.lines(); now > lines) {
      begun[second] = static_cast<int>(now - std::exchange(lines, now));
    }
  }
  EXPECT_EQ(begun[0], 20);
  EXPECT_EQ(world.lines(), 40u) << "each was replaced once";
  begun.erase(0);
  EXPECT_GE(begun.begin()->first, 74);
  EXPECT_LE(begun.rbegin()->first, 127);
  EXPECT_GE(begun.size(), 8u) << "seconds in which some ended";
  EXPECT_GE(begun.rbegin()->first - begun.begin()->first, 25);
  for (const auto& [second, count] : begun) EXPECT_LE(count, 5) << second;
}

TEST(Failure, ACircuitWhoseFirstLinkDrainsIsReplacedWithoutAPause) {
  for (const bool stops : {false, true}) {
    World world(2);
    std::size_t sends = 0;
    Duration slowest{};
    for (int i = 0; i < 60; ++i) {
      const auto id = world[0].send(1, sends++, 200, {.relays = 3});
      if (i == 30) {
        world[0].messages->on_draining(world.line(0)->ends[0].id, stops, world.now());
      }
      world.run_for(100ms);
      if (i > 0) slowest = std::max(slowest, world[0].end_of(id).delivery.elapsed);
    }
    EXPECT_EQ(world[0].outcomes(Outcome::delivered), sends);
    EXPECT_EQ(world.lines(), 2u);
    EXPECT_LE(slowest, 41ms) << "the old circuit serves until the new one is ready";
    EXPECT_EQ(world[0].refusals, stops ? 1u : 0u) << "who stops is passed over";
    EXPECT_EQ(world[0].messages->stats().resent, 0u);
    world.run_for(70s);
    world.expect_empty();
  }
}

TEST(Failure, ASuccessorIsThereBeforeAnythingWaits) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 1, 200, {.relays = 3}));
  world.run_for(1s);
  world[0].messages->on_draining(world.line(0)->ends[0].id, true, world.now());
  world.run_for(1s);
  EXPECT_EQ(world.lines(), 2u) << "the flow was used a second ago";
  world.run_for(20s);
  world[0].messages->on_draining(world.line(1)->ends[0].id, true, world.now());
  world.run_for(1s);
  EXPECT_EQ(world.lines(), 2u) << "nobody has asked for long: with the next message";
  const auto id = world[0].send(1, 2, 200, {.relays = 3});
  world.run_for(1s);
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world.lines(), 3u);
}

TEST(Failure, ADestinationThatStopsKeepsItsOwnCircuits) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 1, 200, {.relays = 0}));
  world.run_for(1s);
  world[0].messages->on_draining(world.line(0)->ends[0].id, true, world.now());
  ASSERT_TRUE(world[0].send(1, 2, 200, {.relays = 0}));
  world.run_for(1s);
  EXPECT_EQ(world.lines(), 1u) << "there is no other way to it";
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 2u);
}

/// A first hop that may not be dialed yet: no attempt, until it may.
TEST(Failure, AFirstHopThatIsNotDialedYetCostsNoAttempt) {
  World world(2);
  world.build_refused_at_once = Errc::unreachable;
  const auto id = world[0].send(1, 1, 200, {.ttl = 60s, .relays = 3});
  world.run_for(20s);  // more refusals than a message has attempts
  EXPECT_GT(world[0].refusals, 8u);
  EXPECT_EQ(world[0].outcomes(), 0u);
  world.build_refused_at_once = Errc::ok;
  world.run_for(3s);
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
}

TEST(Failure, WornByVolume) {
  WorldOptions options;
  options.messages.circuit_bytes_max = kMiB;
  World world(2, options);
  for (std::uint64_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(world[0].send(1, i, 100'000));
    world.run_for(200ms);
  }
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 40u);
  EXPECT_GE(world.lines(), 4u);
  EXPECT_LE(world.lines(), 5u);
}

TEST(Failure, AnOldCircuitIsKeptUntilItsMessagesAreAcknowledged) {
  WorldOptions options;
  options.messages.circuit_age_max = 1s;
  options.messages.flow_idle = 1s;
  options.cell_time = 1ms;  // 2 MiB take 2.3 s
  World world(2, options);
  const auto large = world[0].send(1, 1, 2 * kMiB);
  for (std::uint64_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(world[0].send(1, 10 + i, 100));
    world.run_for(100ms);
  }
  EXPECT_GE(world.lines(), 2u);
  ASSERT_TRUE(all_over(world, 21));
  EXPECT_EQ(world[0].end_of(large).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[0].messages->stats().resent, 0u);
  world.run_for(5s);
  EXPECT_TRUE(world.alive().empty());
  world.expect_empty();
}

TEST(Failure, ParallelCircuitsOfOneFlow) {
  WorldOptions options;
  options.messages.circuits_per_flow_max = 3;
  options.cell_time = 100us;
  World world(2, options);
  for (std::uint64_t i = 0; i < 20'000; ++i) ASSERT_TRUE(world[0].send(1, i, 256));
  ASSERT_TRUE(all_over(world, 20'000));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 20'000u);
  EXPECT_EQ(world[1].got.size(), 20'000u);
  EXPECT_EQ(world.lines(), 3u);
  world.expect_empty();
}

// ---- time ---------------------------------------------------------------------------------------

TEST(Failure, ExpiredInTheQueue) {
  World world(2);
  world.hold_builds = true;
  const TimePoint begun = world.now().mono;
  const auto first = world[0].send(1, 1, 100, {.ttl = 300ms});
  const auto second = world[0].send(1, 2, 100, {.ttl = 100ms});
  ASSERT_TRUE(all_over(world, 2));
  for (const auto& [id, ttl] : {std::pair{first, 300ms}, std::pair{second, 100ms}}) {
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
    EXPECT_EQ(world[0].end_of(id).delivery.reason, Errc::expired);
    EXPECT_EQ(world[0].end_of(id).at - begun, ttl) << "exactly then";
  }
  world.run_for(61s);  // the flow is idle; the build is given up
  world.expect_empty();
}

TEST(Failure, ExpiredHalfSentIsCancelledAtTheDestination) {
  World world(2);
  world.options.cell_time = 100us;  // 10 KB a millisecond
  const auto id = world[0].send(1, 1, 4 * kMiB, {.ttl = 200ms});
  world.run_for(150ms);
  EXPECT_GT(world[1].budget.used(), 0u);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
  world.run_for(100ms);
  EXPECT_EQ(world[1].budget.used(), 0u);
  EXPECT_EQ(world[1].messages->stats().assemblies_dropped, 1u);
  // The circuit is as good as before: acknowledgements that come late are not taken for wrong.
  const auto next = world[0].send(1, 2, 1000);
  ASSERT_TRUE(all_over(world, 2));
  EXPECT_EQ(world[0].end_of(next).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world.lines(), 1u);
  EXPECT_TRUE(world.line(0)->alive);
  world.expect_empty();
}

TEST(Failure, ExpiredWhileTheAcknowledgementIsOnItsWay) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 1, 10));
  ASSERT_TRUE(all_over(world, 1));
  const auto id = world[0].send(1, 2, 10, {.ttl = 30ms});  // there in 20 ms, back in 40
  ASSERT_TRUE(all_over(world, 2));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
  world.run_for(100ms);
  EXPECT_EQ(world[1].got.size(), 2u);
  EXPECT_TRUE(world.line(0)->alive);
  EXPECT_EQ(world[0].messages->stats().frames_malformed, 0u);
  world.expect_empty();
}

TEST(Failure, TheDestinationDropsWhatCannotArriveInTime) {
  World world(2);
  world.options.cell_time = 100us;
  ASSERT_TRUE(world[0].send(1, 1, kMiB, {.ttl = 100ms}));
  std::size_t most = 0;
  // The source falls silent (its machine stops); the destination's own deadline ends the message.
  world.on_cell = [&](Line&, unsigned from, Bytes) {
    most = std::max<std::size_t>(most, world[1].budget.used());
    return from == 1 || world[0].cells_sent < 300;
  };
  world.run_for(1'200ms);  // its deadline is the ttl on the wire, 1,024 ms
  EXPECT_GT(most, kMiB);
  EXPECT_EQ(world[1].budget.used(), 0u);
  EXPECT_EQ(world[1].messages->stats().assemblies_dropped, 1u);
}

TEST(Failure, CancelledAnywhere) {
  World world(2);
  world.options.cell_time = 100us;
  const auto sending = world[0].send(1, 1, 4 * kMiB);
  world.run_for(150ms);
  world.hold_builds = true;
  const auto waiting = world[0].send(1, 2, 100, {.isolation = 7});
  world.run_for(1ms);
  world[0].messages->cancel(*sending, world.now());
  world[0].messages->cancel(*waiting, world.now());
  world[0].messages->cancel(*waiting, world.now());  // nothing the second time
  EXPECT_EQ(world[0].outcomes(Outcome::failed), 2u);
  EXPECT_EQ(world[0].end_of(sending).delivery.reason, Errc::cancelled);
  EXPECT_EQ(world[0].end_of(sending).delivery.reason.detail, "cancelled");
  world.run_for(100ms);
  EXPECT_EQ(world[1].budget.used(), 0u);
  EXPECT_TRUE(world[1].got.empty());
}

// ---- limits -------------------------------------------------------------------------------------

TEST(Failure, ArgumentsAreChecked) {
  World world(2);
  EXPECT_EQ(world[0].send(1, 1, 1, {.ttl = 0ms}).error(), Errc::invalid_argument);
  EXPECT_EQ(world[0].send(1, 1, 1, {.ttl = -5ms}).error(), Errc::invalid_argument);
  EXPECT_EQ(world[0].send(1, 1, 1, {.ttl = 24h + 1ms}).error(), Errc::invalid_argument);
  EXPECT_EQ(world[0].send(1, 1, 1, {.relays = 6}).error(), Errc::invalid_argument);
  EXPECT_EQ(world[0].send(1, 1, 1, {.priority = static_cast<Priority>(3)}).error(),
            Errc::invalid_argument);
  EXPECT_TRUE(world[0].send(1, 1, 1, {.ttl = 24h, .relays = 5}));
  ASSERT_TRUE(all_over(world, 1));
  world.expect_empty();
}

TEST(Failure, QueuesAreBoundedByPriority) {
  WorldOptions options;
  options.messages.waiting_max = {1, 2, 3};
  World world(2, options);
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    const SendOptions send{.priority = static_cast<Priority>(c)};
    for (std::size_t i = 0; i <= c; ++i) ASSERT_TRUE(world[0].send(1, i, 10, send));
    const auto over = world[0].send(1, 9, 10, send);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error(), Errc::refused_queue_full);
  }
  ASSERT_TRUE(all_over(world, 6));
  EXPECT_TRUE(world[0].send(1, 10, 10, {.priority = Priority::high})) << "there is room again";
  ASSERT_TRUE(all_over(world, 7));
  world.expect_empty();
}

TEST(Failure, QueuesAreBoundedInBytesAndFlows) {
  WorldOptions options;
  options.messages.waiting_bytes_max = {1'000, 1'000, 1'000};
  options.messages.flows_max = 2;
  World world(2, options);
  ASSERT_TRUE(world[0].send(1, 1, 600));
  const auto over = world[0].send(1, 2, 600);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error(), Errc::refused_queue_full);
  EXPECT_EQ(over.error().detail, "bytes_full");
  ASSERT_TRUE(world[0].send(1, 3, 400)) << "the bound itself";
  ASSERT_TRUE(world[0].send(1, 4, 10, {.priority = Priority::high}))
      << "priorities have bytes of their own";
  const auto third = world[0].send(1, 5, 10, {.priority = Priority::low});
  ASSERT_TRUE(third);
  ASSERT_TRUE(all_over(world, 4));
  EXPECT_EQ(world[0].end_of(third).delivery.outcome, Outcome::refused) << "a third flow";
  EXPECT_EQ(world[0].end_of(third).delivery.reason, Errc::refused_queue_full);
}

TEST(Failure, RefusedByTheApplication) {
  const std::pair<Taken, std::string> cases[] = {{Taken::no_receiver, "no receiver"},
                                                 {Taken::memory, "memory"},
                                                 {Taken::queue_full, "queue full"}};
  for (const auto& [taken, detail] : cases) {
    World world(2);
    world[1].on_got = [answer = taken](const Got&) { return answer; };
    const auto id = world[0].send(1, 1, 3000);
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::refused);
    EXPECT_EQ(world[0].end_of(id).delivery.reason, Errc::refused_by_peer);
    EXPECT_EQ(world[0].end_of(id).delivery.reason.detail, detail);
    const MessagesStats stats = world[1].messages->stats();
    EXPECT_EQ(stats.refused_no_receiver + stats.refused_memory + stats.refused_queue, 1u);
    EXPECT_EQ(stats.received[1], 0u);
    world.expect_empty();
  }
}

TEST(Failure, RefusedForMemoryAndTheRestIsNotSent) {
  WorldOptions options;
  options.cell_time = 20us;
  World world(2, options);
  // The destination's whole budget is smaller than this message, but fits the next.
  memory::Reservation hold =
      memory::Reservation::take(world[1].budget, world[1].budget.bytes_max() - 100'000);
  const auto large = world[0].send(1, 1, 8 * kMiB);
  const auto small = world[0].send(1, 2, 50'000);
  ASSERT_TRUE(all_over(world, 2));
  EXPECT_EQ(world[0].end_of(large).delivery.outcome, Outcome::refused);
  EXPECT_EQ(world[0].end_of(large).delivery.reason.detail, "memory");
  EXPECT_EQ(world[0].end_of(small).delivery.outcome, Outcome::delivered);
  EXPECT_LT(world[0].cells_sent, 3 * kMiB / 920);
  EXPECT_EQ(world[1].messages->stats().refused_memory, 1u);
  EXPECT_EQ(world.lines(), 1u);
  hold.reset();
  world.run_for(1s);
  world.expect_empty();
}

TEST(Failure, AnEmptyBlockPoolOnlyDelays) {
  World world(2);
  std::vector<memory::Block> hoard;
  ASSERT_TRUE(world[0].send(1, 1, 100));
  while (auto block = world[0].pool.take(memory::BlockSize::cell)) {
    hoard.push_back(std::move(block));
  }
  world.run_for(200ms);
  EXPECT_EQ(world[0].outcomes(), 0u);
  EXPECT_LE(world[0].messages->next_deadline(), world.now().mono + 1ms);
  hoard.clear();
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
}

// ---- the end ------------------------------------------------------------------------------------

TEST(Failure, ShutdownEndsEverything) {
  World world(3);
  world.options.cell_time = 100us;
  ASSERT_TRUE(world[0].send(1, 1, 4 * kMiB));
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(world[0].send(1, i, 100));
  world.run_for(100ms);
  const std::size_t before = world[0].outcomes();
  ASSERT_TRUE(world[0].send(2, 3, 100));
  world[0].messages->shutdown(world.now());
  EXPECT_EQ(world[0].outcomes(), 102u);
  EXPECT_EQ(world[0].outcomes(Outcome::failed), 102u - before);
  for (const auto& [id, end] : world[0].ended) {
    if (end.delivery.outcome == Outcome::failed) {
      EXPECT_EQ(end.delivery.reason, Errc::shutting_down);
    }
  }
  EXPECT_EQ(world[0].send(1, 9, 9).error(), Errc::shutting_down);
  EXPECT_EQ(world[0].messages->next_deadline(), kNever);
  world[0].messages->shutdown(world.now());
  world.run_for(1s);
  EXPECT_TRUE(world.alive().empty());
  world.run_for(limits::kUnfinishedFor);  // what came of the large one
  world.expect_empty();
}

TEST(Failure, CallsFromInsideOutcomes) {
  World world(2);
  std::uint64_t serial = 0;
  // Each outcome sends the next message, cancels a stranger, and the last one shuts the node down.
  world[0].on_end = [&](SendId id, const Delivery&) {
    world[0].messages->cancel(id, world.now());
    if (++serial < 20) {
      ASSERT_TRUE(world[0].send(1, serial, 100));
    } else {
      world[0].messages->shutdown(world.now());
    }
  };
  ASSERT_TRUE(world[0].send(1, serial, 100));
  world.run_for(5s);
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 20u);
  world.expect_empty();
}

TEST(Failure, ShutdownFromInsideAMessage) {
  World world(2);
  world[1].on_got = [&](const Got&) {
    world[1].messages->shutdown(world.now());
    return Taken::yes;
  };
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(world[0].send(1, i, 100, {.ttl = 1s}));
  ASSERT_TRUE(all_over(world, 10));
  EXPECT_EQ(world[1].got.size(), 1u);
  world[0].messages->shutdown(world.now());
  world.expect_empty();
}

}  // namespace
}  // namespace qudag::message::testing
