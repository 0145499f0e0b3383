// Messages that ride in builds: they are there when the build is, once, whatever becomes of it.
#include "peer.h"
#include "world.h"

#include <numeric>

namespace qudag::message::testing {
namespace {

WorldOptions riding() {
  WorldOptions options;
  options.riders = true;
  return options;
}

bool all_over(World& world, std::size_t sends) {
  return world.run_until([&] { return world[0].outcomes() == sends; });
}

std::vector<std::uint64_t> serials(const Node& node) {
  std::vector<std::uint64_t> out;
  for (const Got& got : node.got) {
    std::memcpy(&out.emplace_back(), got.bytes.data(), sizeof(std::uint64_t));
  }
  return out;
}

/// One way for the message and one for its answer; else the build goes there and back before.
TEST(Riders, AFirstMessageIsThereWithItsBuild) {
  for (const bool rides : {true, false}) {
    WorldOptions options;
    options.riders = rides;
    World world(2, options);
    const TimePoint began = world.now().mono;
    const auto id = world[0].send(1, 5, 1000);
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    const Duration d = world.options.latency;
    const auto near = [](Duration took, Duration wanted) {
      return took >= wanted && took < wanted + 1ms;
    };
    EXPECT_TRUE(near(world[1].got.at(0).at - began, rides ? d : 3 * d));
    EXPECT_TRUE(near(world[0].end_of(id).at - began, rides ? 2 * d : 4 * d));
    EXPECT_EQ(world[0].messages->stats().ridden, rides ? 1u : 0u);
    world.expect_empty();
  }
}

/// What fits rides, whole and in order; what does not goes over the circuit when it is ready.
TEST(Riders, WhatFitsRidesAndTheRestFollows) {
  World world(2, riding());
  ASSERT_TRUE(world[0].send(1, 1, 1000));
  ASSERT_TRUE(world[0].send(1, 2, 100'000));  // never rides
  for (std::uint64_t i = 3; i <= 8; ++i) ASSERT_TRUE(world[0].send(1, i, 1000));
  world.run_for(world.options.latency + 1ms);
  EXPECT_EQ(serials(world[1]), (std::vector<std::uint64_t>{1, 3, 4, 5})) << "4,800 bytes of frames";
  ASSERT_TRUE(all_over(world, 8));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 8u);
  EXPECT_EQ(world[1].got.size(), 8u);
  EXPECT_EQ(world[0].messages->stats().ridden, 4u);
  EXPECT_EQ(world[0].messages->stats().bytes_sent(), 107'000u);
  EXPECT_EQ(world[0].messages->stats().bytes_again, 0u);
  world.expect_empty();
}

/// The same in every build of routes up to four hops, and in none of longer ones.
TEST(Riders, RoutesOfFourHopsAtMostCarryThem) {
  for (const unsigned relays : {0u, 3u, 4u, 5u}) {
    World world(2, riding());
    ASSERT_TRUE(world[0].send(1, 5, 100, {.relays = relays}));
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].messages->stats().ridden, relays <= 3 ? 1u : 0u);
    EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
  }
}

/// The name of a signer is never under an onion key alone: his message does not fit.
TEST(Riders, SignedMessagesDoNotRide) {
  const auto identity = crypto::Identity::generate().value();
  WorldOptions options = riding();
  options.identities = {&identity};
  World world(2, options);
  // To whom it is not addressed: verified there, and refused, but it came.
  ASSERT_TRUE(world[0].send(1, 5, 10, {.sign = true}));
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].messages->stats().ridden, 0u);
}

/// The answer to a rider comes right behind the reply, and so may a reply of the application.
TEST(Riders, WhatRodeIsRepliedTo) {
  World world(2, riding());
  world[1].on_got = [&](const Got& got) {
    EXPECT_TRUE(world[1].reply(*got.reply_to, pattern(77, 50)));
    return Taken::yes;
  };
  const auto id = world[0].send(1, 5, 100);
  ASSERT_TRUE(world.run_until([&] { return !world[0].got.empty(); }));
  EXPECT_EQ(world[0].got[0].bytes, pattern(77, 50));
  EXPECT_EQ(world[0].got[0].in_reply_to, world[0].end_of(id).delivery.id.bytes);
}

/// Of two builds that race, whichever is there first and whichever answers first: the message is
/// taken once, and its outcome is what came of it.
TEST(Riders, InBuildsThatRaceItIsTakenOnce) {
  constexpr Duration kLate = 100ms;
  struct Race {
    Duration first, second;  // to the destination
  };
  for (const Race race : {Race{1s, 20ms}, Race{115ms, 10ms}, Race{90ms, 40ms}, Race{150ms, 60ms}}) {
    World world(2, riding());
    world[0].builds_late_after = kLate;
    world.builds_take = {race.first, race.second};
    const auto id = world[0].send(1, 5, 1000, {.ttl = 30s});
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    world.run_for(5s);
    EXPECT_EQ(world[1].got.size(), 1u);
    EXPECT_EQ(world[1].messages->stats().duplicates, 1u);
    EXPECT_EQ(world.lines(), 2u) << "nothing was built for the copy";
    EXPECT_EQ(world[0].messages->stats().ridden, 2u);
    world.expect_empty();
  }
}

/// An application has it in hand, from a build of which the reply is lost, and copies come
/// meanwhile: each takes the place of the one before, so the circuit that won hears "cancelled",
/// and its message goes again.
TEST(Riders, CopiesOfOneInHandHaveTheSameOutcome) {
  for (const Taken taken : {Taken::yes, Taken::no_receiver}) {
    World world(2, riding());
    world[0].builds_late_after = 100ms;
    world.builds_to_fail = 1;
    world.failed_builds_arrive = true;
    world.build_fails_after = 5s;
    // There at 20, 250 and 260 ms; the second is ready at 270.
    world.builds_take = {20ms, 150ms, 60ms};
    std::optional<Handed> in_hand;
    std::size_t asked = 0;
    world[1].on_got = [&](const Got& got) {
      ++asked;
      in_hand = got.handed;
      return Taken::later;
    };
    const auto id = world[0].send(1, 5, 1000, {.ttl = 30s});
    world.run_for(2s);
    EXPECT_EQ(asked, 1u);
    EXPECT_EQ(world[0].outcomes(), 0u) << "nobody has said what became of it";
    EXPECT_EQ(world[0].messages->stats().resent, 1u);
    ASSERT_TRUE(in_hand);
    EXPECT_TRUE(world[1].messages->settle(*in_hand, taken, world.now()));
    ASSERT_TRUE(all_over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome,
              taken == Taken::yes ? Outcome::delivered : Outcome::refused);
    EXPECT_EQ(asked, 1u);
    world.run_for(5s);
    world.expect_empty();
  }
}

/// The reply is lost and not the build: the message is there, and comes again with the next build.
TEST(Riders, ABuildThatFailsBehindTheDestinationHasDelivered) {
  World world(2, riding());
  world.builds_to_fail = 3;
  world.failed_builds_arrive = true;
  const auto id = world[0].send(1, 5, 1000, {.ttl = 30s});
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[1].got.size(), 1u);
  EXPECT_EQ(world[1].messages->stats().duplicates, 3u);
  EXPECT_EQ(world[0].messages->stats().bytes_again, 3000u);
  world.run_for(5s);
  world.expect_empty();
}

/// There is no other way any more, and the one build that is under way may have delivered it.
TEST(Riders, ItDoesNotFailWhileABuildWithItIsUnderWay) {
  World world(2, riding());
  world[0].builds_late_after = 50ms;
  world.builds_take = {200ms};
  const auto id = world[0].send(1, 5, 100, {.ttl = 30s});
  world.run_for(1ms);
  world[0].draw_fails = Errc::no_route;
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world.lines(), 1u);
}

/// It ends while it rides: an answer comes for it all the same, and disturbs nobody.
TEST(Riders, OneThatEndedMeanwhileIsAnsweredForNobody) {
  World world(2, riding());
  world.builds_take = {100ms};
  const auto cancelled = world[0].send(1, 1, 100, {.ttl = 30s});
  const auto expires = world[0].send(1, 2, 100, {.ttl = 50ms});
  const auto stays = world[0].send(1, 3, 100, {.ttl = 30s});
  world.run_for(10ms);
  world[0].messages->cancel(*cancelled, world.now());
  ASSERT_TRUE(all_over(world, 3));
  EXPECT_EQ(world[0].end_of(cancelled).delivery.reason, Errc::cancelled);
  EXPECT_EQ(world[0].end_of(expires).delivery.outcome, Outcome::expired);
  EXPECT_EQ(world[0].end_of(stays).delivery.outcome, Outcome::delivered);
  const auto next = world[0].send(1, 4, 100);
  ASSERT_TRUE(all_over(world, 4));
  EXPECT_EQ(world[0].end_of(next).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world.lines(), 1u);
  world.expect_empty();
}

/// A message that rides may be there already, so load does not end it as one that never left.
TEST(Riders, WhatRidesIsNotShed) {
  World world(2, riding());
  world.builds_take = {100ms};
  ASSERT_TRUE(world[0].send(1, 1, 0));
  world.run_for(1ms);
  EXPECT_EQ(world[0].messages->shed(Priority::normal, 10, Errc::refused_overload, world.now()), 0u);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 1u);
}

/// While a circuit serves, nothing rides in the one that is to follow it.
TEST(Riders, NothingRidesWhileACircuitServes) {
  WorldOptions options = riding();
  options.messages.circuit_age_max = 1s;
  World world(2, options);
  std::size_t sent = 0;
  for (; sent < 40; ++sent) {
    ASSERT_TRUE(world[0].send(1, sent, 100));
    world.run_for(100ms);
  }
  ASSERT_TRUE(all_over(world, sent));
  EXPECT_GT(world.lines(), 2u);
  EXPECT_EQ(world[0].messages->stats().ridden, 1u);
  EXPECT_EQ(world[1].messages->stats().duplicates, 0u);
}

/// The destination has no memory for it: refused as any other, before a byte is kept.
TEST(Riders, WithoutMemoryItIsRefused) {
  WorldOptions options = riding();
  options.budget_bytes = 5'000;
  World world(2, options);
  auto all = memory::Reservation::take(world[1].budget, 4'500);
  ASSERT_TRUE(all);
  const auto id = world[0].send(1, 5, 1000);
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::refused);
  EXPECT_TRUE(world[1].got.empty());
  all.reset();
  world.expect_empty();
}

/// A large message that moves asks in the build of its next circuit: the answer is there with the
/// reply.
TEST(Riders, AMessageThatMovesAsksInTheBuild) {
  for (const bool rides : {true, false}) {
    WorldOptions options;
    options.riders = rides;
    options.cell_time = 100us;
    World world(2, options);
    ASSERT_TRUE(world[0].send(1, 4, 10));
    ASSERT_TRUE(all_over(world, 1));  // a circuit that worked is replaced at once
    const auto id = world[0].send(1, 5, 2'000'000, {.ttl = 60s});
    world.run_for(150ms);
    world.kill(*world.alive().at(0));
    const TimePoint broken = world.now().mono;
    const auto sent = [&] {
      const MessagesStats stats = world[0].messages->stats();
      return stats.bytes_sent() + stats.bytes_again;
    };
    const std::uint64_t before = sent();
    ASSERT_TRUE(world.run_until([&] { return sent() > before; }));
    const Duration d = world.options.latency;
    EXPECT_LT(world.now().mono - broken, (rides ? 2 * d : 4 * d) + 2ms);
    EXPECT_GE(world.now().mono - broken, rides ? 2 * d : 4 * d);
    ASSERT_TRUE(all_over(world, 2));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    EXPECT_EQ(world[0].messages->stats().resumed, 1u);
    EXPECT_EQ(world[1].got.size(), 2u);
    world.expect_empty();
  }
}

/// Two builds ask for it, and the one that asked first wins the race: what came of the message is
/// with the other one, so it asks again.
TEST(Riders, WhoAskedInTwoBuildsAsksAgain) {
  WorldOptions options = riding();
  options.cell_time = 100us;
  World world(2, options);
  world[0].builds_late_after = 100ms;
  const auto id = world[0].send(1, 5, 2'000'000, {.ttl = 60s});
  world.run_for(150ms);
  world.builds_take = {160ms, 65ms};  // the second asks at 165 ms, and is ready too late
  world.kill(*world.alive().at(0));
  ASSERT_TRUE(all_over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[1].got.size(), 1u);
  EXPECT_EQ(world[1].got[0].bytes, pattern(5, 2'000'000));
  world.run_for(5s);
  world.expect_empty();
}

// ---- what a source may do with a rider ----------------------------------------------------------

class RiderPeer : public Peer {
 protected:
  static constexpr circuit::CircuitId kNew{90};
  /// A circuit in whose build these bytes ride.
  void ride(Bytes bytes, circuit::CircuitId circuit = kNew) {
    std::vector<std::byte> rider(onion::kRiderBytes);
    std::memcpy(rider.data(), bytes.data(), bytes.size());
    messages->on_incoming(circuit, priority, now);
    messages->on_rider(circuit, rider, now);
    messages->pump(now);
  }
  void ride(std::initializer_list<wire::Frame> frames, circuit::CircuitId circuit = kNew) {
    std::vector<std::byte> bytes(onion::kRiderBytes);
    ByteWriter out(bytes);
    for (const auto& f : frames) wire::append(out, f);
    ride(Bytes(bytes).first(out.written()), circuit);
  }
  static wire::ScopeFrame scope(std::uint8_t value) {
    wire::ScopeFrame told;
    told.scope.fill(static_cast<std::byte>(value));
    return told;
  }
};

TEST_F(RiderPeer, GarbageEndsTheCircuit) {
  TestRng noise(3);
  for (std::uint64_t i = 0; i < 50; ++i) {
    std::vector<std::byte> bytes(onion::kRiderBytes);
    noise.fill(bytes);
    bytes[0] |= std::byte{0x10};  // a type that there is not
    ride(bytes, {100 + i});
    EXPECT_TRUE(ended({100 + i})) << i;
  }
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(messages->stats().frames_malformed, 50u);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_FALSE(ended(kCircuit)) << "and no other";
}

TEST_F(RiderPeer, OneThatSaysMoreThanItHasEndsTheCircuit) {
  // `length` reaches beyond the rider.
  std::vector<std::byte> bytes(onion::kRiderBytes);
  ByteWriter out(bytes);
  wire::append(out, scope(1));
  wire::append(out, frame({.ref = 0, .size = 4'000, .bytes = 4'000, .last = true}));
  const std::size_t length_at = wire::kScopeFrameBytes + 1 + 1 + 4 + wire::kMessageStartBytes;
  for (const unsigned length : {4'754u, 4'800u, 65'535u}) {  // 4,753 would fit
    auto bad = bytes;
    store_be(bad.data() + length_at, static_cast<std::uint16_t>(length));
    const circuit::CircuitId circuit{200 + length};
    ride(bad, circuit);
    EXPECT_TRUE(ended(circuit)) << length;
  }
  EXPECT_TRUE(got.empty());
  // More bytes than its size.
  ride({scope(1), frame({.ref = 0, .size = 10, .bytes = 11, .last = true})}, {300});
  EXPECT_TRUE(ended({300}));
  // A message before any scope, a number that is not the next, a reply at a destination's place.
  ride({frame({.ref = 0, .size = 10, .bytes = 10, .last = true})}, {301});
  EXPECT_TRUE(ended({301}));
  ride({scope(1), frame({.ref = 1, .size = 10, .bytes = 10, .last = true})}, {302});
  EXPECT_TRUE(ended({302}));
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(budget.used(), 0u);
}

/// Announced in a rider and never brought: reserved as any other, and back when its time is over.
TEST_F(RiderPeer, APartOfAMessageMayRideAndItsRestFollows) {
  ride({scope(1), frame({.ref = 0, .size = 5'000, .bytes = 4'000})});
  ASSERT_FALSE(ended(kNew));
  EXPECT_GT(budget.used(), 5'000u);
  arrive({frame({.ref = 0, .bytes = 900})}, kNew);
  arrive({frame({.ref = 0, .bytes = 100, .last = true})}, kNew);
  EXPECT_EQ(got, (std::vector<std::size_t>{5'000}));
  EXPECT_EQ(acks.at(0), AckStatus::delivered);

  ride({scope(2), frame({.ref = 0, .size = 1'000'000, .bytes = 1, .ttl = 1'024})}, {91});
  EXPECT_GT(budget.used(), 1'000'000u);
  acks.clear();
  let_pass(2s);
  EXPECT_EQ(acks.at(0), AckStatus::expired);
  EXPECT_EQ(budget.used(), 0u);
}

/// Its bytes count against the credit of the circuit, as those of cells do.
TEST_F(RiderPeer, TheBytesOfARiderCountAgainstCredit) {
  ride({scope(1), frame({.ref = 0, .size = 64 << 20, .bytes = 4'000})});
  ASSERT_FALSE(ended(kNew));
  room_now = 0;  // no new credit leaves
  std::uint64_t came = 4'000;
  while (came + 900 <= kWindow) {
    arrive({frame({.ref = 0, .bytes = 900})}, kNew);
    came += 900;
  }
  arrive({frame({.ref = 0, .bytes = kWindow - came})}, kNew);
  EXPECT_FALSE(ended(kNew));
  arrive({frame({.ref = 0, .bytes = 1})}, kNew);
  EXPECT_TRUE(ended(kNew));
  EXPECT_EQ(messages->stats().credit_violations, 1u);
}

/// Ids of two scopes are two messages, in a rider as anywhere; of one scope they are one.
TEST_F(RiderPeer, IdsBelongToTheirScope) {
  const Data one{.ref = 0, .size = 10, .bytes = 10, .last = true, .id = 7};
  ride({scope(1), frame(one)}, {90});
  acks.clear();  // of another circuit
  ride({scope(2), frame(one)}, {91});
  EXPECT_EQ(got.size(), 2u);
  acks.clear();
  ride({scope(1), frame(one)}, {92});
  EXPECT_EQ(got.size(), 2u);
  EXPECT_EQ(acks.at(0), AckStatus::duplicate);
}

/// So many small messages as there is room for: they are work of the turn.
TEST_F(RiderPeer, WhatARiderIsWorthIsWorkOfTheTurn) {
  std::vector<std::byte> bytes(onion::kRiderBytes);
  ByteWriter out(bytes);
  wire::append(out, scope(1));
  std::uint32_t ref = 0;
  for (; out.remaining() >= wire::data_header_bytes(true, false); ++ref) {
    wire::append(out, frame({.ref = ref, .size = 0, .last = true}));
  }
  messages->on_incoming(kNew, priority, now);
  EXPECT_GE(messages->on_rider(kNew, bytes, now), ref * 8u);
  EXPECT_EQ(got.size(), ref);
}

}  // namespace
}  // namespace qudag::message::testing
