// Two circuits on one link: what one of them loses is no matter of the other's.
#include "net.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

namespace qudag::link::testing {
namespace {

constexpr auto kEvery = 10ms;
constexpr std::size_t kPieceBytes = 1'000;  // of the circuit that loses packets
constexpr std::size_t kMessageBytes = 500;  // of the other
constexpr int kRounds = 2'000;

/// How long each message took on its way. `lost`: the share of the first circuit's packets;
/// `shared`: both on one stream, for comparison.
std::vector<Duration> times_beside(double lost, bool shared) {
  Pair pair(7);
  pair.connect();
  pair.net.run_for(1s);
  const StreamId bulk = pair.open();
  const StreamId talk = shared ? bulk : pair.open();
  const std::size_t step = kMessageBytes + (shared ? kPieceBytes : 0);
  std::vector<TimePoint> sent;
  std::vector<Duration> took;
  std::size_t arrived = 0;
  pair.b.events.keep_data = false;
  pair.b.events.when_data = [&](StreamId id, Bytes data) {
    pair.b->consume(id, data.size());
    if (id != pair.at_b(talk)) return;
    for (arrived += data.size(); took.size() < arrived / step;) {
      took.push_back(pair.net.now().mono - sent[took.size()]);
    }
  };
  SeededRng chance(3);
  bool bulk_leaves = false;
  pair.net.lose = [&](const SocketAddress& from, const SocketAddress&, Bytes) {
    return bulk_leaves && from == pair.a.address && chance.unit() < lost;
  };
  for (int i = 0; i < kRounds; ++i) {
    pair.a->write(bulk, pair.a.block(pattern(kPieceBytes, 1)));
    bulk_leaves = true;
    pair.net.run_for(kEvery / 2);
    bulk_leaves = false;
    sent.push_back(pair.net.now().mono);
    pair.a->write(talk, pair.a.block(pattern(kMessageBytes, 2)));
    pair.net.run_for(kEvery / 2);
  }
  const std::size_t all = kRounds * (kPieceBytes + kMessageBytes);
  EXPECT_TRUE(pair.net.run(10s, [&] { return pair.b.events.bytes_in == all; }));
  EXPECT_EQ(pair.a->info(pair.link)->packets_lost > 0, lost > 0);
  std::ranges::sort(took);
  return took;
}

double p99(const std::vector<Duration>& sorted) {
  return static_cast<double>(sorted.at(sorted.size() * 99 / 100).count());
}

TEST(Beside, WhatOneCircuitLosesAnotherDoesNotWaitFor) {
  const double without = p99(times_beside(0, false));
  const double with = p99(times_beside(0.02, false));
  const double shared = p99(times_beside(0.02, true));
  std::printf("p99 of a message: %.2f ms, beside loss %.2f ms, on a shared stream %.2f ms\n",
              without / 1e6, with / 1e6, shared / 1e6);
  EXPECT_LT(with, 1.2 * without);
  EXPECT_GT(shared, 1.5 * with) << "what streams are for";
}

/// What a transfer brings in 20 seconds of a path with losses; `beside`: messages too.
std::size_t transferred(bool beside) {
  Pair pair(11);
  pair.net.faults = {.loss = 0.01, .latency = 25ms};
  pair.connect();
  const StreamId bulk = pair.open();
  const StreamId talk = pair.open();
  pair.b.events.keep_data = false;
  std::size_t out = 0;
  pair.b.events.when_data = [&](StreamId id, Bytes data) {
    pair.b->consume(id, data.size());
    if (id == pair.at_b(bulk)) out += data.size();
  };
  const std::vector<std::byte> piece = pattern(kPieceBytes, 1);
  const std::vector<std::byte> message = pattern(kMessageBytes, 2);
  for (int i = 0; i < 2'000; ++i) {
    while (pair.a->queued_bytes(bulk) < 50 * kPieceBytes) {
      pair.a->write(bulk, pair.a.block(piece));
    }
    if (beside && i % 4 == 0) pair.a->write(talk, pair.a.block(message));
    pair.net.run_for(kEvery);
  }
  return out;
}

TEST(Beside, WhatIsKeptForMessagesDoesNotStopAWindowFromGrowing) {
  const std::size_t alone = transferred(false);
  const std::size_t beside = transferred(true);
  std::printf("a transfer alone %zu bytes, beside messages %zu\n", alone, beside);
  EXPECT_GT(static_cast<double>(beside), 0.8 * static_cast<double>(alone));
}

}  // namespace
}  // namespace qudag::link::testing
