// Losses: which are taken for a full queue, what rate is kept through those by chance, and what the
// others on a path get.
#include "link/path/loss_judge.h"
#include "net.h"
#include "transfer.h"

#include <gtest/gtest.h>

namespace qudag::link::testing {
namespace {

/// A link that sends a packet each millisecond; the path's empty round trip is 100 ms.
struct Judged {
  void send(int packets, Duration round_trip, int lost = 0) {
    for (int i = 0; i < packets; ++i) {
      now += 1ms;
      ++sent;
      if (i < lost) ++lost_in_all;
      jitter = (jitter + 1) % 7;
      judge.note({.latest = round_trip + jitter * 10us,
                  .shortest = 100ms,
                  .packets_sent = sent,
                  .packets_lost = lost_in_all},
                 now);
    }
  }

  LossJudge judge;
  TimePoint now{1s};
  std::uint64_t sent = 0, lost_in_all = 0;
  int jitter = 0;
};

TEST(LossJudge, WithoutAQueueItIsChance) {
  Judged link;
  link.send(2'000, 103ms, 40);
  EXPECT_TRUE(link.judge.is_chance());
}

TEST(LossJudge, WhatWaitedInAQueueIsNot) {
  Judged link;
  link.send(1'000, 100ms);
  link.send(250, 115ms);  // both rounds that are remembered
  EXPECT_FALSE(link.judge.is_chance()) << "an eighth longer";
  link.send(1, 100ms);
  EXPECT_TRUE(link.judge.is_chance()) << "the shortest of a round counts";
}

TEST(LossJudge, ALongTimeAgoSaysNothing) {
  Judged link;
  EXPECT_TRUE(link.judge.is_chance()) << "the first packets: no queue was seen";
  link.send(1'000, 100ms);
  link.now += 10s;
  link.send(1, 130ms);
  EXPECT_FALSE(link.judge.is_chance());
}

TEST(LossJudge, AWindowGrowsWhereLossesWereForgivenAndNoQueueShows) {
  Judged link;
  link.send(1'000, 100ms);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 0u) << "nothing was lost";
  link.judge.forgave(link.now);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 1'000u);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 0u) << "once a round";
  link.send(110, 100ms);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 1'000u);
  link.send(500, 120ms);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 0u) << "a queue";
  link.send(250, 100ms);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 0u) << "not for long enough";
  link.send(500, 100ms);
  EXPECT_GT(link.judge.growth(8'000, link.now), 0u);
  link.send(12'000, 100ms);
  EXPECT_EQ(link.judge.growth(8'000, link.now), 0u) << "nothing was forgiven lately";
}

TEST(LossJudge, MoreThanOneInTwentyIsNoChance) {
  Judged link;
  link.send(1'000, 100ms);
  link.send(500, 100ms, 30);
  EXPECT_TRUE(link.judge.is_chance());
  link.send(500, 100ms, 60);
  EXPECT_FALSE(link.judge.is_chance());
  link.send(2'000, 100ms);
  EXPECT_TRUE(link.judge.is_chance()) << "long ago";
}

TEST(LossJudge, AFewOfTheFirstPacketsSayLittle) {
  Judged link;
  link.send(30, 100ms, 8);
  EXPECT_TRUE(link.judge.is_chance());
  link.send(30, 100ms, 8);
  EXPECT_FALSE(link.judge.is_chance());
}

struct Path {
  Duration round_trip;
  double loss;
  int percent;  // of 100 Mbit/s, at least
  int cubic;    // what plain CUBIC has, at most
};

/// Of 100 Mbit/s, once the link is under way.
int percent_kept(const Path& path, Congestion congestion) {
  Transfer transfer({}, {.congestion = congestion}, path.round_trip / 2);
  Faults& faults = transfer.pair.net.faults;
  faults.bytes_per_second = 12.5e6;
  faults.queue_time_max = std::max<Duration>(20ms, path.round_trip);
  faults.loss = path.loss;
  const StreamId stream = transfer.pair.open(Priority::low);
  transfer.run({stream}, 20 * path.round_trip + 1s);
  return static_cast<int>(transfer.run({stream}, 6s) / 750'000);
}

TEST(Losses, ByChanceTheRateIsKept) {
  if (!forgives_losses()) GTEST_SKIP() << "ngtcp2 was not built by ./dev setup";
  for (const Path& path :
       {Path{20ms, 0.02, 60, 40}, Path{100ms, 0.01, 60, 20}, Path{100ms, 0.02, 60, 20},
        Path{200ms, 0.01, 60, 10}, Path{200ms, 0.02, 30, 10}}) {
    SCOPED_TRACE(path.round_trip / 1ms);
    SCOPED_TRACE(path.loss);
    EXPECT_GE(percent_kept(path, Congestion::automatic), path.percent);
    EXPECT_LE(percent_kept(path, Congestion::cubic), path.cubic) << "or this shows nothing";
  }
}

/// A queue that is full before it is long enough to show.
TEST(Losses, OfAQueueTooShortToShowAreBounded) {
  for (const Congestion congestion : {Congestion::cubic, Congestion::automatic}) {
    SCOPED_TRACE(name_of(congestion));
    Transfer transfer({}, {.congestion = congestion}, 25ms);
    transfer.pair.net.faults.bytes_per_second = 6.25e6;
    transfer.pair.net.faults.queue_time_max = 5ms;
    const StreamId stream = transfer.pair.open(Priority::low);
    transfer.run({stream}, 2s);
    const auto lost = [&] { return transfer.pair.a->info(transfer.pair.link)->packets_lost; };
    const std::uint64_t before = lost();
    const std::size_t brought = transfer.run({stream}, 8s);
    EXPECT_LT(static_cast<double>(lost() - before) * 1'400, 0.08 * static_cast<double>(brought));
    EXPECT_GT(brought, 8 * 6'250'000u / 2);
  }
}

/// Two senders with one queue in front of them: the default takes about as much as plain CUBIC.
TEST(Losses, OfAFullQueueAreSharedWithCubic) {
  for (const Duration latency : {Duration(10ms), Duration(40ms)}) {
    SCOPED_TRACE(latency / 1ms);
    Transfer mine({}, {.congestion = Congestion::automatic}, latency);
    Net& net = mine.pair.net;
    net.faults.one_line = true;
    net.faults.bytes_per_second = 6.25e6;
    net.faults.queue_time_max = 2 * latency;
    Peer& other = net.add({.congestion = Congestion::cubic});
    other.events.keep_data = false;
    const auto link = other->dial(mine.pair.b.id(), mine.pair.b.address, other.address, net.now());
    ASSERT_TRUE(net.run(5s, [&] { return !other.events.ready.empty(); }));
    const StreamId stream = mine.pair.open(Priority::low);
    const auto theirs = other->open(*link, Priority::low, 0);
    ASSERT_TRUE(theirs);
    const std::vector<std::byte> bytes = pattern(8'000, 1);
    const auto both = [&](Duration time) {
      const std::size_t before_mine = mine.taken_from(mine.pair.remote_link);
      const std::size_t before = mine.pair.b.events.bytes_in;
      const TimePoint end = net.now().mono + time;
      while (net.now().mono < end) {
        mine.fill(stream);
        while (other->queued_bytes(*theirs) < 1'000'000) other->write(*theirs, other.block(bytes));
        net.run_for(5ms);
      }
      return std::pair(mine.taken_from(mine.pair.remote_link) - before_mine,
                       mine.pair.b.events.bytes_in - before);
    };
    both(10s);
    const auto [ours, all] = both(30s);
    const double share = static_cast<double>(ours) / static_cast<double>(all);
    EXPECT_GT(share, 0.35);
    EXPECT_LT(share, 0.65);
    EXPECT_GT(all, 30 * 6'250'000u * 8 / 10);
  }
}

/// What comes behind a hole waits in the window. Without room for it each loss would stop the
/// sender; what came late is not taken for a higher rate.
TEST(Losses, WindowsHaveRoomForWhatHolesHoldBack) {
  for (const double loss : {0.0, 0.02}) {
    SCOPED_TRACE(loss);
    Transfer transfer({}, {.congestion = Congestion::bbr}, 10ms);
    transfer.pair.net.faults.bytes_per_second = 12.5e6;  // half the first window in a round trip
    transfer.pair.net.faults.loss = loss;
    const StreamId stream = transfer.pair.open(Priority::low);
    std::size_t most = 0;
    for (int i = 0; i < 50; ++i) {
      transfer.run({stream}, 100ms);
      most = std::max(most, transfer.grown());
    }
    EXPECT_LE(most, loss == 0.0 ? 128 * 1024u : 1'500 * 1024u);
  }
}

}  // namespace
}  // namespace qudag::link::testing
