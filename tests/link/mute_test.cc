// Answers that come late, after what was asked again was lost: what ngtcp2 has in flight then may
// fill the window without a timer that watches it. Such a link would be mute for good.
#include "net.h"

#include <gtest/gtest.h>

#include <random>

namespace qudag::link::testing {
namespace {

/// A link that nothing but QUIC's own signs of life and a test's pieces use.
struct Quiet {
  explicit Quiet(std::uint64_t seed, Congestion congestion = Congestion::cubic)
      : pair(seed, options(congestion), options(congestion)) {
    pair.net.faults.latency = 20ms;
    pair.connect();
    pair.b.events.keep_data = false;
    pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
    stream = pair.open();
  }
  static EndpointOptions options(Congestion congestion) {
    return {.idle_timeout = 1'000'000ms, .keepalive = 3'000ms, .congestion = congestion};
  }
  void send(int pieces = 1) {
    for (int i = 0; i < pieces; ++i) {
      pair.a->write(stream, pair.a.block(pattern(1'000, 1)));
      bytes += 1'000;
    }
  }
  bool all_arrives(Duration within) {
    return pair.net.run(within, [&] {
      const auto info = pair.a->info(pair.link);
      return pair.b.events.bytes_in == bytes && info && info->unacked_bytes == 0;
    });
  }

  Pair pair;
  StreamId stream;
  std::size_t bytes = 0;
};

/// After a cut has made the window small, the answer to a sign of life takes `late`, and of what is
/// asked again meanwhile nothing arrives.
void answer_late(Duration cut, Duration late) {
  SCOPED_TRACE(::testing::Message() << "cut " << cut.count() << " late " << late.count());
  Quiet link(1);
  Net& net = link.pair.net;
  link.send();
  net.run_for(1s);
  link.send();
  net.faults.loss = 1;
  net.run_for(cut);
  net.faults.loss = 0;
  ASSERT_TRUE(link.all_arrives(60s));
  net.run_for(1s);

  int asked = 0;
  bool late_now = true;
  std::vector<std::pair<SocketAddress, std::vector<std::byte>>> answers;
  net.lose = [&](const SocketAddress& from, const SocketAddress&, Bytes data) {
    if (!late_now) return false;
    if (from == link.pair.a.address) return ++asked > 1;
    answers.push_back({from, {data.begin(), data.end()}});
    return true;
  };
  ASSERT_TRUE(net.run(10s, [&] { return asked > 0; }));
  net.run_for(late);
  EXPECT_TRUE(asked > 2 || late < 1s) << "it was asked again";
  late_now = false;
  for (const auto& [from, data] : answers) {
    net.inject(net.now().mono, from, link.pair.a.address, data);
  }
  net.run_for(1s);
  link.send();
  EXPECT_TRUE(link.all_arrives(30s));
  EXPECT_TRUE(link.pair.a.events.closed.empty());
  EXPECT_EQ((*link.pair.a).stats().ended_stuck, 0u);
}

TEST(Mute, AnAnswerThatComesLateStopsNoLink) {
  for (const auto cut : {1s, 2s, 3s, 4s, 5s}) {
    for (const auto late : {200ms, 400ms, 700ms, 1'000ms, 1'500ms, 2'300ms, 3'000ms}) {
      answer_late(cut, late);
    }
  }
}

TEST(Mute, NorDoesAnyOtherOrderOfLossAndDelay) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Quiet link(seed, seed % 4 == 0 ? Congestion::bbr : Congestion::cubic);
    Net& net = link.pair.net;
    if (seed % 2 == 1) net.faults.datagram_bytes_max = 1'472;
    std::mt19937_64 chance(seed);
    double loss_there = 0, loss_back = 0;
    Duration late{};
    net.lose = [&](const SocketAddress& from, const SocketAddress& to, Bytes data) {
      const bool there = from == link.pair.a.address;
      if (net.chance().unit() < (there ? loss_there : loss_back)) return true;
      if (there || late == Duration(0)) return false;
      net.inject(net.now().mono + late, from, to, data);
      return true;
    };
    constexpr double kLosses[] = {0, 0.3, 1};
    for (int i = 0; i < 20; ++i) {
      loss_there = kLosses[chance() % 3];
      loss_back = kLosses[chance() % 3];
      late =
          chance() % 2 == 0 ? Duration(0) : Duration(std::chrono::milliseconds(chance() % 2'000));
      if (chance() % 3 == 0) link.send(chance() % 3 == 0 ? 60 : 1);
      net.run_for(std::chrono::milliseconds(chance() % 4'000));
    }
    net.lose = nullptr;
    link.send();
    EXPECT_TRUE(link.all_arrives(300s));
    EXPECT_TRUE(link.pair.a.events.closed.empty());
    EXPECT_EQ((*link.pair.a).stats().ended_stuck, 0u);
  }
}

}  // namespace
}  // namespace qudag::link::testing
