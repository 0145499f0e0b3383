// What a relay gives to others: the month's account, who gets windows next, and both on circuits.
#include "circuit/quota/quota.h"
#include "circuit/net.h"
#include "circuit/quota/held_windows.h"

#include <gtest/gtest.h>

#include <map>

namespace qudag::circuit::test {
namespace {

// ---- the month ----------------------------------------------------------------------------------

constexpr UnixSeconds kJanuary31 = 1'738'281'600;  // 2025-01-31 00:00:00 UTC
constexpr UnixSeconds kDay = 86'400;

Now at(Duration mono, std::int64_t wall) {
  return {TimePoint(1s + mono), static_cast<UnixSeconds>(wall)};
}

TEST(MonthClock, TurnsWithTheMonthInUtc) {
  MonthClock clock({}, at(0s, kJanuary31));
  EXPECT_EQ(clock.until_turn(TimePoint(1s)), 24h);
  EXPECT_FALSE(clock.tick(at(24h - 1s, kJanuary31 + kDay - 1), {}));
  EXPECT_TRUE(clock.tick(at(24h, kJanuary31 + kDay), {}));
  EXPECT_EQ(clock.until_turn(TimePoint(1s + 24h)), 24h * 28);
  EXPECT_FALSE(clock.tick(at(25h, kJanuary31 + kDay + 3'600), {}));
}

TEST(MonthClock, AWallClockThatIsSetForwardGivesNoMonth) {
  MonthClock clock({}, at(0s, kJanuary31));
  EXPECT_FALSE(clock.tick(at(9min, kJanuary31 + 540), {}));
  EXPECT_FALSE(clock.tick(at(11min, kJanuary31 + 660), {}));
  EXPECT_FALSE(clock.tick(at(20min, kJanuary31 + 400 * kDay), {})) << "nobody confirms it";
  EXPECT_FALSE(clock.tick(at(21min, kJanuary31 + 400 * kDay), 400 * kDay)) << "peers deny it";
  EXPECT_TRUE(clock.tick(at(24h, kJanuary31 + 500 * kDay), {})) << "its own time goes on";
}

TEST(MonthClock, PeersAloneGiveNoMonth) {
  MonthClock clock({}, at(0s, kJanuary31));
  EXPECT_FALSE(clock.tick(at(1min, kJanuary31 + 60), -400 * std::int64_t{kDay}));
  EXPECT_FALSE(clock.tick(at(11min, kJanuary31 + 660), -400 * std::int64_t{kDay}));
}

TEST(MonthClock, BothTogetherSetItToTheEarlier) {
  MonthClock clock({}, at(0s, kJanuary31));
  EXPECT_TRUE(clock.tick(at(1min, kJanuary31 + 40 * kDay), 2 * kDay));
  EXPECT_EQ(clock.at(TimePoint(1s + 1min)), kJanuary31 + 38 * kDay);
}

/// A machine without a battery: its clock begins in 1970 until it has heard the time.
TEST(MonthClock, WithoutPeersAWallClockCountsOnceTenMinutesAfterTheStart) {
  MonthClock clock({}, at(0s, 100));
  EXPECT_FALSE(clock.tick(at(1min, kJanuary31), {}));
  EXPECT_TRUE(clock.tick(at(10min, kJanuary31), {}));
  EXPECT_FALSE(clock.tick(at(11min, kJanuary31 + 90 * kDay), {}));
}

TEST(MonthClock, GoesOnWhereItWasKept) {
  MonthClock clock(kJanuary31, at(0s, kJanuary31 + 10 * kDay));
  EXPECT_FALSE(clock.tick(at(1s, kJanuary31 + 10 * kDay), {}));
  EXPECT_TRUE(clock.tick(at(2s, kJanuary31 + 10 * kDay), 3)) << "peers know that it was off";
  MonthClock back(kJanuary31 + kDay, at(0s, kJanuary31));
  EXPECT_FALSE(back.tick(at(11min, kJanuary31), {})) << "a clock that went back";
  EXPECT_EQ(back.at(TimePoint(1s + 11min)), kJanuary31 + kDay + 660);
}

/// Kept by a clock that was years ahead.
TEST(MonthClock, IsLockedForAMonthAtMostAndSetBackByBoth) {
  MonthClock alone(kJanuary31 + 4'000 * kDay, at(0s, kJanuary31));
  Duration turned{};
  for (Duration t{}; turned == 0s && t < 24h * 40; t += 1h) {
    if (alone.tick(at(t, kJanuary31 + static_cast<std::int64_t>(t / 1s)), {})) turned = t;
  }
  EXPECT_GT(turned, 0s);
  EXPECT_LE(turned, 24h * 31);

  MonthClock told(kJanuary31 + 4'000 * kDay, at(0s, kJanuary31));
  EXPECT_FALSE(told.tick(at(1min, kJanuary31 + 60), 0)) << "back is no new month";
  EXPECT_TRUE(told.tick(at(24h + 1min, kJanuary31 + kDay + 60), 0));
}

TEST(MonthClock, TakesAnyTimes) {
  for (const UnixSeconds wall : {UnixSeconds{0}, UnixSeconds{UINT64_MAX}}) {
    for (const std::int64_t off : {INT64_MIN, std::int64_t{0}, INT64_MAX}) {
      MonthClock clock({}, {TimePoint{}, wall});
      static_cast<void>(clock.tick({TimePoint{24h}, wall}, off));
      EXPECT_GT(clock.until_turn(TimePoint{24h}), 0s);
    }
  }
}

TEST(KeptMonth, ComesBackAndNothingElseDoes) {
  const KeptMonth kept{.clock = kJanuary31, .used = 12'345};
  const auto again = KeptMonth::parse(kept.encode());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->clock, kept.clock);
  EXPECT_EQ(again->used, kept.used);
  EXPECT_FALSE(KeptMonth::parse({}));
  EXPECT_FALSE(KeptMonth::parse(Bytes(kept.encode()).first(15)));
  EXPECT_FALSE(KeptMonth::parse(KeptMonth{.clock = UINT64_MAX, .used = 0}.encode()));
  EXPECT_FALSE(KeptMonth::parse(KeptMonth{.clock = 0, .used = UINT64_MAX}.encode()));
}

TEST(Quota, StagesEndTheMonthInSteps) {
  EXPECT_EQ(stage_of(UINT64_MAX, 0), QuotaStage::open);
  EXPECT_EQ(stage_of(949, 1'000), QuotaStage::open);
  EXPECT_EQ(stage_of(950, 1'000), QuotaStage::leaving);
  EXPECT_EQ(stage_of(975, 1'000), QuotaStage::closed);
  EXPECT_EQ(stage_of(999, 1'000), QuotaStage::closed);
  EXPECT_EQ(stage_of(1'000, 1'000), QuotaStage::spent);
  EXPECT_EQ(stage_of(0, 1), QuotaStage::open);
}

TEST(Quota, CountsBothDirectionsAndBeginsAnewWithTheMonth) {
  Quota quota({.month = 1'000}, {}, at(0s, kJanuary31));
  EXPECT_TRUE(quota.on());
  quota.count(490);
  EXPECT_EQ(quota.stage(), QuotaStage::closed);
  EXPECT_EQ(quota.status(TimePoint(1s))->used, 980u);
  quota.tick(at(24h, kJanuary31 + kDay), {});
  EXPECT_EQ(quota.stage(), QuotaStage::open);
  EXPECT_EQ(quota.status(TimePoint(1s + 24h))->used, 0u);
  quota.set({}, TimePoint(1s));
  EXPECT_FALSE(quota.on());
  EXPECT_FALSE(quota.status(TimePoint(1s)));
}

TEST(Quota, IsKeptWhenMuchOrForLongWasUsed) {
  Quota quota({.month = 1'000'000}, {}, at(0s, kJanuary31));
  const auto first = quota.to_keep(false, TimePoint(1s));
  ASSERT_TRUE(first) << "whose month it is";
  quota.kept(*first, TimePoint(1s));
  EXPECT_FALSE(quota.to_keep(true, TimePoint(1h))) << "nothing has changed";
  quota.count(10);
  EXPECT_FALSE(quota.to_keep(false, TimePoint(1s + 59s)));
  EXPECT_TRUE(quota.to_keep(true, TimePoint(1s + 59s)));
  EXPECT_TRUE(quota.to_keep(false, TimePoint(1s + 60s)));
  quota.count(490);
  const auto much = quota.to_keep(false, TimePoint(2s));
  ASSERT_TRUE(much) << "a thousandth";
  quota.kept(*much, TimePoint(2s));

  Quota again({.month = 1'000'000}, much, at(0s, kJanuary31));
  EXPECT_EQ(again.status(TimePoint(1s))->used, 1'000u);
}

// ---- who is next --------------------------------------------------------------------------------

/// Gives `bytes` away in pieces; what each window and debt got.
std::map<std::pair<LinkId, std::uint64_t>, std::uint64_t> serve(HeldWindows& held,
                                                                std::uint64_t bytes,
                                                                std::uint64_t piece) {
  std::map<std::pair<LinkId, std::uint64_t>, std::uint64_t> out;
  while (bytes > 0 && !held.empty()) {
    const HeldWindows::Turn turn = held.next();
    const std::uint64_t given = std::min({bytes, piece, turn.debt > 0 ? turn.debt : UINT64_MAX});
    bytes -= given;
    out[{turn.link, turn.context}] += given;
    if (turn.debt > 0) {
      held.paid(turn, given);
    } else {
      held.served(turn, given, true);
    }
  }
  return out;
}

TEST(HeldWindows, LinksShareHoweverManyCircuitsTheyHave) {
  HeldWindows held;
  held.add({1, 1}, false, 100);
  for (std::uint64_t i = 0; i < 9; ++i) held.add({2, 1}, false, 200 + i);
  EXPECT_EQ(held.lines(), 2u);
  EXPECT_EQ(held.windows(), 10u);
  for (const std::uint64_t piece : {1'000u, 16'384u}) {
    const auto got = serve(held, 18'000'000, piece);
    EXPECT_NEAR(static_cast<double>(got.at({LinkId{1, 1}, 100})), 9e6, 2e5);
    for (std::uint64_t i = 0; i < 9; ++i) {
      EXPECT_NEAR(static_cast<double>(got.at({LinkId{2, 1}, 200 + i})), 1e6, 2e5);
    }
  }
}

TEST(HeldWindows, BulkHasOneTurnInFourOfItsLink) {
  HeldWindows held;
  held.add({1, 1}, true, 1);
  held.add({1, 1}, false, 2);
  const auto got = serve(held, 4'000'000, 16'384);
  EXPECT_NEAR(static_cast<double>(got.at({LinkId{1, 1}, 1})), 1e6, 5e4);
  held.remove({1, 1}, false, 2);
  EXPECT_EQ(serve(held, 16'384, 16'384).size(), 1u);
}

TEST(HeldWindows, ALinkPaysItsDebtsWithHalfOfItsShareAndOthersDoNot) {
  HeldWindows held;
  held.add({1, 1}, false, 1);
  held.add({2, 1}, false, 2);
  held.owe({1, 1}, 1'000'000);
  EXPECT_EQ(held.debt({1, 1}), 1'000'000u);
  const auto got = serve(held, 1'900'000, 4'096);
  EXPECT_NEAR(static_cast<double>(got.at({LinkId{1, 1}, 0})), 475'000, 20'000);
  EXPECT_NEAR(static_cast<double>(got.at({LinkId{1, 1}, 1})), 475'000, 20'000);
  EXPECT_NEAR(static_cast<double>(got.at({LinkId{2, 1}, 2})), 950'000, 20'000);
}

/// Who closes its link, and dials another one, has its debts paid as fast as they can come: half of
/// the rate, however many links there are.
TEST(HeldWindows, DebtsOfLinksThatEndedHaveHalfOfAllTurns) {
  HeldWindows held;
  for (std::uint32_t i = 1; i <= 50; ++i) held.add({i, 1}, false, i);
  held.owe({60, 1}, 10'000'000);
  held.link_gone({60, 1});
  const auto got = serve(held, 8'000'000, 16'384);
  EXPECT_NEAR(static_cast<double>(got.at({LinkId{}, 0})), 4e6, 1e5);
  for (std::uint32_t i = 1; i <= 50; ++i) {
    EXPECT_NEAR(static_cast<double>(got.at({LinkId{i, 1}, i})), 80'000, 17'000);
  }
}

TEST(HeldWindows, DebtsOfLinksThatEndedAreOneLine) {
  HeldWindows held;
  for (std::uint32_t i = 0; i < 100; ++i) {
    held.owe({i, 1}, 10);
    held.link_gone({i, 1});
    held.link_gone({i, 1});
  }
  EXPECT_EQ(held.lines(), 1u);
  EXPECT_EQ(held.debt(), 1'000u);
  static_cast<void>(serve(held, 1'000, 300));
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(held.debt(), 0u);
}

// ---- on circuits --------------------------------------------------------------------------------

/// A source, a relay with a quota, a destination.
struct Line {
  explicit Line(const Limits& limits) : quota(limits, {}, net.now()) {
    net.add();
    net.add({.circuits = {.quota = &quota}});
    net.add();
    relay().circuits.on_time(net.now());
  }
  Node& relay() { return net.node(1); }
  std::uint64_t relayed() { return relay().circuits.stats().bytes_relayed; }

  Net net;
  Quota quota;
};

TEST(QuotaOnCircuits, ARelayPassesOnItsRateAndNothingIsLost) {
  constexpr std::uint64_t kRate = 200'000;
  Line line({.bandwidth = kRate, .bandwidth_burst = 20'000});
  const auto [there, here] = line.net.build(2, Priority::low);
  line.net.node(0).stream(there, Priority::low, 200);  // 1.6 MB
  line.net.pass(1s);
  const std::uint64_t before = line.relayed();
  line.net.pass(4s);
  const auto passed = static_cast<double>(line.relayed() - before);
  EXPECT_NEAR(passed, 4.0 * kRate, 0.05 * 4 * kRate);
  EXPECT_GT(line.relay().circuits.next_deadline(), line.net.now().mono) << "it waits, and sleeps";
  line.net.pass(10s);
  EXPECT_EQ(line.net.node(2).payloads[here], line.net.node(0).sent[there]);
  line.net.expect_drained();
  EXPECT_EQ(line.relay().pool.stats().in_use[0] + line.relay().pool.stats().in_use[1], 0u);
}

TEST(QuotaOnCircuits, ItIsTurnedOffWhileWindowsWait) {
  Line line({.bandwidth = 10'000});
  const auto [there, here] = line.net.build(2, Priority::low);
  line.net.node(0).stream(there, Priority::low, 60);
  line.net.pass(1s);
  EXPECT_LT(line.net.node(2).payloads[here].size(), 20u);
  line.quota.set({}, line.net.now().mono);
  line.net.pass(2s);
  EXPECT_EQ(line.net.node(2).payloads[here].size(), 60u);
  line.net.expect_drained();
}

/// Circuits that fill their window and end are paid for by those who begin them.
TEST(QuotaOnCircuits, ACircuitThatEndsLeavesADebtAndDebtsRefuseNewOnes) {
  Line line({.bandwidth = 1'000, .bandwidth_burst = 1'000});
  std::size_t built = 0;
  for (; built < 40; ++built) {
    const auto there =
        line.net.node(0).circuits.build(line.net.route(2), Priority::low, line.net.now());
    ASSERT_TRUE(there);
    line.net.run();
    if (!line.net.node(0).ended.empty()) break;
    line.net.node(0).stream(*there, Priority::low, 20);
    line.net.run();
    line.net.node(0).circuits.close(*there, line.net.now());
    line.net.run();
  }
  EXPECT_GE(built, 10u) << "a megabyte of windows of 64 KiB";
  EXPECT_LE(built, 20u);
  ASSERT_EQ(line.net.node(0).ended.size(), 1u);
  EXPECT_EQ(line.net.node(0).ended[0].why, Errc::refused_by_peer);
  EXPECT_EQ(line.relay().circuits.stats().refused_quota, 1u);
  line.quota.set({.bandwidth = 100'000'000}, line.net.now().mono);
  line.net.pass(2s);
  const auto again =
      line.net.node(0).circuits.build(line.net.route(2), Priority::low, line.net.now());
  line.net.run();
  EXPECT_TRUE(line.net.node(0).circuits.info(*again)->ready) << "paid";
}

TEST(QuotaOnCircuits, TheMonthEndsInStepsAndBeginsAgain) {
  Line line({.month = 4'000'000});
  const auto [there, here] = line.net.build(2, Priority::low);
  static_cast<void>(here);
  line.net.node(0).stream(there, Priority::low, 239);  // and 21 KB of the build, twice
  line.net.run();
  EXPECT_EQ(line.quota.stage(), QuotaStage::closed);
  const std::uint64_t used = line.quota.status(line.net.now().mono)->used;
  EXPECT_EQ(used, 2 * (239 * 8'192 + 2 + 14'400 + 6'912));

  const auto refused =
      line.net.node(0).circuits.build(line.net.route(2), Priority::normal, line.net.now());
  ASSERT_TRUE(refused);
  line.net.run();
  ASSERT_EQ(line.net.node(0).ended.size(), 1u);
  EXPECT_EQ(line.net.node(0).ended[0].why, Errc::refused_by_peer);
  EXPECT_TRUE(line.net.node(0).circuits.info(there)) << "what runs goes on";

  line.net.node(0).stream(there, Priority::low, 10);
  line.net.run();
  EXPECT_EQ(line.quota.stage(), QuotaStage::spent);
  line.relay().circuits.on_time(line.net.now());  // the next turn
  line.net.run();
  EXPECT_FALSE(line.net.node(0).circuits.info(there));
  EXPECT_EQ(line.relay().circuits.stats().ended_quota, 1u);
  EXPECT_EQ(line.relay().circuits.size(), 0u);

  line.quota.set({.month = 40'000'000}, line.net.now().mono);
  EXPECT_TRUE(line.net.build(2, Priority::normal).first.value != 0);
}

}  // namespace
}  // namespace qudag::circuit::test
