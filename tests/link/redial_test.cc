// When a peer that did not answer may be dialed again: as a rule of time, and over the network.
#include "link/dialing/redial.h"

#include "link/net.h"

#include <set>

namespace qudag::link::testing {
namespace {

constexpr TimePoint kStart{1000s};
const SocketAddress kHere = SocketAddress::v4(10, 0, 0, 1, 4433);
const SocketAddress kThere = SocketAddress::v4(10, 0, 0, 2, 4433);
using Answer = Redial::Answer;

NodeId peer(std::uint32_t number) {
  NodeId out;
  std::memcpy(out.bytes.data(), &number, sizeof number);
  return out;
}

/// How long after a failure the first dial is allowed, to the millisecond.
Duration wait_after(Redial redial, TimePoint failed) {
  Duration waited{};
  while (redial.ask(peer(1), kHere, failed + waited) == Answer::too_soon) waited += 1ms;
  return waited;
}

TEST(Redial, WaitsDoubleFromAQuarterOfASecondToHalfAMinute) {
  SeededRng rng(1);
  Redial redial{RedialRules{}};
  TimePoint now = kStart;
  EXPECT_EQ(redial.ask(peer(1), kHere, now), Answer::dial);
  Duration whole = 250ms;
  for (int failures = 1; failures <= 12; ++failures) {
    redial.failed(peer(1), kHere, now, rng);
    const Duration waited = wait_after(redial, now);
    EXPECT_GE(waited, whole * 3 / 4) << failures;
    EXPECT_LE(waited, whole * 5 / 4 + 1ms) << failures;
    now += waited;
    whole = std::min<Duration>(whole * 2, 30s);
  }
}

TEST(Redial, JitterKeepsThoseApartWhoLostTheSamePeer) {
  SeededRng rng(2);
  std::set<Duration> waits;
  for (int i = 0; i < 50; ++i) {
    Redial redial{RedialRules{}};
    redial.failed(peer(1), kHere, kStart, rng);
    waits.insert(wait_after(redial, kStart));
  }
  EXPECT_GT(waits.size(), 20u);
}

TEST(Redial, ALinkOrAnotherAddressStartsAfresh) {
  SeededRng rng(3);
  Redial redial{RedialRules{}};
  redial.failed(peer(1), kHere, kStart, rng);
  redial.failed(peer(2), kHere, kStart, rng);
  EXPECT_EQ(redial.ask(peer(1), kHere, kStart), Answer::too_soon);
  EXPECT_TRUE(redial.failed_lately(peer(1), kStart + 60s));
  EXPECT_FALSE(redial.failed_lately(peer(1), kStart + 130s));
  EXPECT_FALSE(redial.failed_lately(peer(3), kStart));
  EXPECT_EQ(redial.ask(peer(1), kThere, kStart), Answer::dial) << "another address";
  redial.failed(peer(1), kThere, kStart, rng);
  redial.succeeded(peer(1));
  EXPECT_FALSE(redial.failed_lately(peer(1), kStart));
  EXPECT_EQ(redial.ask(peer(1), kHere, kStart), Answer::dial) << "it is there after all";
  EXPECT_EQ(redial.ask(peer(1), kThere, kStart), Answer::dial);
  EXPECT_EQ(redial.ask(peer(2), kHere, kStart), Answer::too_soon) << "another peer is another";
  EXPECT_EQ(redial.size(), 1u);
}

TEST(Redial, WhatFailedLongAgoIsForgotten) {
  SeededRng rng(4);
  Redial redial{RedialRules{}};
  for (int i = 0; i < 10; ++i) redial.failed(peer(1), kHere, kStart, rng);
  EXPECT_EQ(redial.ask(peer(1), kHere, kStart + 200s), Answer::dial);
  EXPECT_EQ(redial.retries(), 0u) << "a first dial again";
  EXPECT_EQ(redial.size(), 0u);
}

/// A thousand peers are lost at once, and everybody asks for all of them all the time.
TEST(Redial, AnOutageIsNoStorm) {
  SeededRng rng(5);
  const RedialRules rules;
  Redial redial(rules);
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    ASSERT_EQ(redial.ask(peer(i), kHere, kStart), Answer::dial);
    redial.failed(peer(i), kHere, kStart, rng);
  }
  std::uint64_t dials = 0;
  for (TimePoint now = kStart; now < kStart + 60s; now += 50ms) {
    for (std::uint32_t i = 0; i < 1'000; ++i) {
      if (redial.ask(peer(i), kHere, now) != Answer::dial) continue;
      ++dials;
      redial.failed(peer(i), kHere, now, rng);
    }
  }
  EXPECT_LE(dials,
            static_cast<std::uint64_t>(rules.retries_at_once + 60 * rules.retries_per_second + 1));
  EXPECT_GT(dials, 100u) << "the floor";
  EXPECT_EQ(dials, redial.retries());
  EXPECT_GT(redial.no_budget(), 0u);
}

TEST(Redial, FirstDialsPayForRetries) {
  SeededRng rng(6);
  Redial redial({.retries_per_dial = 0.1, .retries_per_second = 0, .retries_at_once = 20});
  std::uint32_t lost = 0;
  std::uint64_t retries = 0;
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    ASSERT_EQ(redial.ask(peer(i), kHere, kStart), Answer::dial);
    if (i % 4 == 0) redial.failed(peer(lost = i), kThere, kStart, rng);
    if (redial.ask(peer(lost), kThere, kStart + 1s) == Answer::dial) ++retries;
  }
  EXPECT_NEAR(static_cast<double>(retries), 220, 2) << "a tenth of 2,000, and what was saved up";
}

TEST(Redial, TheTableIsBounded) {
  SeededRng rng(7);
  Redial redial{RedialRules{}};
  for (std::uint32_t i = 0; i < 3'000; ++i) {
    redial.failed(peer(i), kHere, kStart + i * 1ms, rng);
    ASSERT_LE(redial.size(), Redial::kEntriesMax);
  }
  EXPECT_EQ(redial.ask(peer(2'999), kHere, kStart + 3s), Answer::too_soon);
  BoundedList rows;
  redial.report(rows);
  EXPECT_EQ(rows.front().items_max, Redial::kEntriesMax);
}

TEST(Redial, WhoDoesNotAnswerIsNotAskedAgainAtOnceAndIsWhenItComesItself) {
  Pair pair(1, {}, EndpointOptions{.known = true});
  pair.net.faults.loss = 1.0;
  const auto dial = [&] {
    return pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
  };
  ASSERT_TRUE(dial().has_value());
  ASSERT_TRUE(pair.net.run(11s, [&] { return !pair.a.events.closed.empty(); }));
  const auto refused = dial();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::unreachable);
  EXPECT_NE(refused.error().message().find("too soon"), std::string::npos);
  EXPECT_EQ(pair.a->stats().redials_too_soon, 1u);

  pair.net.faults.loss = 0;
  ASSERT_TRUE(
      pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now()).has_value());
  pair.net.run_for(200ms);
  ASSERT_EQ(pair.a.events.ready.size(), 1u);
  pair.b->close(pair.b.events.ready.front(), EndCode::none, pair.net.now());
  pair.net.run_for(100ms);
  EXPECT_TRUE(dial().has_value()) << "it was there, so it may be dialed at once";
}

}  // namespace
}  // namespace qudag::link::testing
