// A receiver and a caller of it, each with its Ports, over a keeper: what messages see of a tunnel,
// and what strangers and hostile keepers can make a receiver do.
#include "keeper/residents.h"

#include <algorithm>

namespace qudag::keeper::test {
namespace {

TEST_F(Residents, ATunnelIsACircuitWithSmallerPayloads) {
  const CircuitId tunnel = call(3);
  ASSERT_EQ(home_above.incoming.size(), 1u);
  ASSERT_EQ(home_above.riders.size(), 1u);
  EXPECT_EQ(home_above.riders[0], Data(kHailFramesBytes, std::byte{3}));
  ASSERT_EQ(away_above.built, std::vector{tunnel});
  const CircuitId there = home_above.incoming[0];
  EXPECT_TRUE(Ports::is_tunnel(there));
  EXPECT_EQ(home_ports->receiver_of(there), id);
  EXPECT_EQ(away_ports->receiver_of(tunnel), std::nullopt);
  EXPECT_EQ(away_ports->payload_bytes(tunnel, Priority::normal), 911u);
  for (std::uint8_t i = 0; i < 20; ++i) {
    send(*away_ports, tunnel, i);
    send(*home_ports, there, static_cast<std::uint8_t>(100 + i));
  }
  ASSERT_EQ(home_above.payloads[there].size(), 20u);
  ASSERT_EQ(away_above.payloads[tunnel].size(), 20u);
  EXPECT_EQ(home_above.payloads[there][7], Data(911, std::byte{7}));
  EXPECT_EQ(away_above.payloads[tunnel][7], Data(911, std::byte{107}));
}

/// A conversation that is over: the standby waits again, and its next caller is not reached by what
/// is for the former one.
TEST_F(Residents, StandbysServeOneCallerAfterTheOther) {
  const auto before = resident->stats();
  for (std::uint8_t i = 0; i < 20; ++i) {
    const CircuitId tunnel = call(i);
    ASSERT_EQ(home_above.incoming.size(), i + 1u);
    const CircuitId there = home_above.incoming.back();
    if (i > 0) {
      EXPECT_NE(there, home_above.incoming[i - 1u]);
      EXPECT_EQ(home_ports->sendable(home_above.incoming[i - 1u]), 0u);
    }
    away_ports->close(tunnel, place.net.now());
    run();
    ASSERT_EQ(home_above.ended.size(), i + 1u);
    EXPECT_EQ(home_above.ended.back().first, there);
  }
  EXPECT_EQ(resident->stats().builds, before.builds);
  EXPECT_EQ(resident->stats().tunnels, 0u);
}

/// The receiver leaves by itself; the caller hears of it, and the standby waits again.
TEST_F(Residents, EitherSideMayLeave) {
  const CircuitId tunnel = call(1);
  home_ports->close(home_above.incoming.at(0), place.net.now());
  run();
  ASSERT_EQ(away_above.ended.size(), 1u);
  EXPECT_EQ(away_above.ended[0].first, tunnel);
  EXPECT_TRUE(home_above.ended.empty());  // it was its own wish
  EXPECT_EQ(place.registry->stats().standbys_idle, kStandbysLeast);
  call(2);
  EXPECT_EQ(home_above.incoming.size(), 2u);
}

TEST_F(Residents, AHailIsTakenOnceWhoeverBringsIt) {
  Hail hail;
  const auto made =
      make_hail({.receiver = id, .inbox = card->places[0].inbox}, *cards->find(id)->key,
                {.expiry_minutes = hail_expiry(place.net.now().unix_seconds)}, {}, hail);
  ASSERT_TRUE(made);
  const CircuitId first = place.caller->build(place.route(), join_with(hail));
  place.run();
  EXPECT_EQ(place.caller->count<wire::JoinedFrame>(first), 1u);
  const CircuitId again = place.caller->build(place.route(), join_with(hail));
  place.run();
  EXPECT_EQ(place.caller->last<wire::NoFrame>(again).reason, wire::NoReason::declined);
  EXPECT_EQ(resident->stats().replayed, 1u);
  EXPECT_EQ(home_above.incoming.size(), 1u);
}

/// Garbage for a hail costs the receiver a decapsulation, and no build.
TEST_F(Residents, GarbageHailsMakeItBuildNothing) {
  const auto before = resident->stats();
  Data garbage(kHailBytes);
  for (int i = 0; i < 40; ++i) {
    rng.fill(garbage);
    const CircuitId circuit = place.caller->build(place.route(), join_with(garbage));
    place.run();
    EXPECT_EQ(place.caller->last<wire::NoFrame>(circuit).reason, wire::NoReason::declined);
    place.caller->ends.close(circuit, place.net.now());
    place.run();
  }
  EXPECT_EQ(resident->stats().declined - before.declined, 40u);
  EXPECT_EQ(resident->stats().builds, before.builds);
  EXPECT_TRUE(home_above.incoming.empty());
}

/// A keeper that breaks every circuit, to see others: eight builds, then one in ten seconds.
TEST_F(Residents, WhoBreaksCircuitsIsGivenFewOthers) {
  const auto before = resident->stats().builds;
  for (int second = 0; second < 60; ++second) {
    for (const auto& info : place.node().circuits.list()) {
      place.node().circuits.give_up(info.id, place.net.now());
      place.service().on_ended(info.id, place.net.now());
    }
    place.run();
    pass(1s);
  }
  const auto built = resident->stats().builds - before;
  EXPECT_LE(built, kBuildsBurst + 60 / kBuildEvery.count());
  EXPECT_GE(built, 4u);  // and it does not give up
}

/// More callers than standbys: the receiver is knocked at, and builds what its bucket has.
TEST_F(Residents, BuildsForMoreCallersThanItsStandbysServe) {
  for (std::uint8_t i = 0; i < 5; ++i) call(i);
  run();
  EXPECT_EQ(home_above.incoming.size(), 5u);
  EXPECT_EQ(resident->stats().tunnels, 5u);
  EXPECT_GE(resident->stats().knocks, 1u);
  EXPECT_LE(resident->stats().builds, kBuildsBurst + 2);
}

TEST_F(Residents, KeepsItsCircuitsAliveAndComesBackAfterItsKeeperWasGone) {
  const auto before = resident->stats();
  pass(400s);  // PINGs and PONGs: nothing ended meanwhile
  EXPECT_EQ(resident->stats().builds, before.builds);
  EXPECT_EQ(place.registry->stats().standbys_idle, kStandbysLeast);
  for (const auto& info : place.node().circuits.list()) {
    place.node().circuits.give_up(info.id, place.net.now());
    place.service().on_ended(info.id, place.net.now());
  }
  place.run();
  EXPECT_EQ(place.registry->stats().controls, 0u);
  pass(15s);
  EXPECT_EQ(place.registry->stats().controls, 1u);
  EXPECT_EQ(place.registry->stats().standbys_idle, kStandbysLeast);
  call(1);
  EXPECT_EQ(home_above.incoming.size(), 1u);
}

}  // namespace
}  // namespace qudag::keeper::test
