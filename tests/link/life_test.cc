// The ends of links, and what strangers and broken peers can do: nothing bad.
#include "link/net.h"

#include "link/stream/control.h"

namespace qudag::link::testing {
namespace {

TEST(Life, CloseTellsBothSidesOnce) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  pair.net.run_for(50ms);
  pair.a->close(pair.link, EndCode::refused, pair.net.now());
  EXPECT_FALSE(pair.a->find(pair.b.id())) << "a link that ends is not given out again";
  EXPECT_FALSE(pair.a->open(pair.link, Priority::normal, 0));
  pair.net.run_for(1s);
  ASSERT_EQ(pair.a.events.closed.size(), 1u);
  ASSERT_EQ(pair.b.events.closed.size(), 1u);
  EXPECT_EQ(pair.b.events.closed[0].first, pair.remote_link);
  EXPECT_EQ(pair.b.events.closed[0].second.code, Errc::refused_by_peer);
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].closed, 0u) << "the link's end says it";
  EXPECT_TRUE(pair.a->links().empty());
  EXPECT_TRUE(pair.b->links().empty());
  EXPECT_FALSE(pair.a->info(pair.link));
  EXPECT_EQ(pair.a->stats().quic_memory_bytes, 0u);
  EXPECT_EQ(pair.b->stats().quic_memory_bytes, 0u);
  EXPECT_EQ(pair.a.pool.stats().in_use[0], 0u);
  // And the same two nodes may meet again.
  const auto again = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
  ASSERT_TRUE(again);
  EXPECT_NE(*again, pair.link) << "names are never used twice";
  EXPECT_TRUE(pair.net.run(5s, [&] { return pair.b.events.ready.size() == 2; }));
}

TEST(Life, CloseIsHeardEvenIfTheFirstPacketIsLost) {
  Pair pair;
  pair.connect();
  pair.net.run_for(1s);
  const StreamId stream = pair.b->open(pair.remote_link, Priority::normal, 0).value();
  pair.net.faults.loss = 1.0;
  pair.a->close(pair.link, EndCode::shutdown, pair.net.now());
  pair.net.run_for(1ms);
  pair.net.faults.loss = 0;
  // b knows nothing yet and sends; the retired link answers with the close once more.
  pair.b->write(stream, pair.b.block(pattern(100, 1)));
  ASSERT_TRUE(pair.net.run(200ms, [&] { return !pair.b.events.closed.empty(); }));
  EXPECT_EQ(pair.b.events.closed[0].second.code, Errc::link_closed);
}

TEST(Life, IdleLinksEndQuietly) {
  EndpointOptions options{.idle_timeout = 5s};
  Pair pair(1, options, options);
  pair.connect();
  const TimePoint start = pair.net.now().mono;
  ASSERT_TRUE(pair.net.run(
      60s, [&] { return !pair.a.events.closed.empty() && !pair.b.events.closed.empty(); }));
  EXPECT_LE(pair.net.now().mono - start, 6s);
  EXPECT_EQ(pair.a.events.closed[0].second.code, Errc::timed_out);
  EXPECT_EQ(pair.b.events.closed[0].second.code, Errc::timed_out);
}

TEST(Life, StreamsKeepALinkAlive) {
  EndpointOptions options{.idle_timeout = 5s, .keepalive = 2000ms};
  Pair pair(1, options, options);
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(10, 1)));
  pair.net.run_for(60s);
  EXPECT_TRUE(pair.a.events.closed.empty());
  pair.a->reset(stream, EndCode::none);
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a.events.closed.empty(); }))
      << "and without them it may end";
}

/// Data both ways on a stream, over whatever happens meanwhile.
void expect_stream_survives(Pair& pair, const std::function<void()>& event) {
  const StreamId stream = pair.open();
  for (Peer* peer : {&pair.a, &pair.b}) {
    peer->events.when_data = [peer](StreamId id, Bytes data) { (*peer)->consume(id, data.size()); };
  }
  const auto data = pattern(1000, 1);
  std::size_t written = 0;
  const auto write_both = [&] {
    pair.a->write(stream, pair.a.block(data));
    if (!pair.b.events.opened.empty()) {
      pair.b->write(pair.at_b(stream), pair.b.block(data));
      written += 1000;
    }
    pair.net.run_for(5ms);
  };
  for (int i = 0; i < 100; ++i) write_both();
  event();
  for (int i = 0; i < 100; ++i) write_both();
  EXPECT_TRUE(pair.net.run(
      10s, [&] { return pair.b.events.bytes_in == 200'000 && pair.a.events.bytes_in == written; }))
      << pair.b.events.bytes_in << " " << pair.a.events.bytes_in << " of " << written;
  EXPECT_TRUE(pair.a.events.closed.empty());
  EXPECT_TRUE(pair.b.events.closed.empty());
  EXPECT_EQ(pair.b->info(pair.remote_link)->remote, pair.a.address);
}

TEST(Life, ALinkSurvivesTheDialersNewAddress) {
  // As a NAT does it, or the kernel for a socket on a wildcard address: nobody says anything.
  Pair pair;
  pair.connect();
  expect_stream_survives(pair, [&] { pair.a.address = SocketAddress::v4(10, 7, 7, 7, 999); });
}

TEST(Life, ADialerMayMoveItsLinks) {
  Pair pair;
  pair.connect();
  expect_stream_survives(pair, [&] {
    pair.a.address = SocketAddress::v4(10, 7, 7, 7, 999);
    pair.a->move(pair.a.address, pair.net.now());
  });
}

/// A dialer that only listens moves in the middle of what it hears; whether all comes in a second.
bool hears_all_after_a_move(bool shows) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(10, 1)));
  pair.a.events.when_data = [&](StreamId id, Bytes data) { pair.a->consume(id, data.size()); };
  pair.net.run_for(1s);
  pair.a.address = SocketAddress::v4(10, 7, 7, 7, 999);
  constexpr std::size_t kBytes = 50'000;
  for (std::size_t i = 0; i < kBytes; i += 1'000) {
    pair.b->write(pair.at_b(stream), pair.b.block(pattern(1'000, 1)));
  }
  pair.net.run_for(20ms);
  EXPECT_EQ(pair.a.events.bytes_in, 0u);
  if (shows) pair.a->probe_peers(pair.a, pair.net.now());
  const bool all = pair.net.run(1s, [&] { return pair.a.events.bytes_in == kBytes; });
  EXPECT_EQ((*pair.a).stats().links_shown, shows ? 1u : 0u);
  EXPECT_TRUE(pair.a.events.closed.empty());
  return all;
}

TEST(Life, ADialerThatOnlyListensShowsWhereItIs) {
  EXPECT_FALSE(hears_all_after_a_move(false)) << "nothing would make it speak before the keepalive";
  EXPECT_TRUE(hears_all_after_a_move(true));
}

TEST(Life, GoodbyeWaitsForTheLastCircuit) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  pair.net.run_for(50ms);
  pair.b->shutdown(pair.net.now());
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.a.events.closed.empty()) << "a circuit is on it";
  EXPECT_FALSE(pair.a->find(pair.b.id())) << "but nothing new goes there";
  EXPECT_FALSE(pair.a->open(pair.link, Priority::normal, 0));
  EXPECT_FALSE(pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now()));
  pair.a->write(stream, pair.a.block(pattern(1000, 2)));
  pair.net.run_for(100ms);
  EXPECT_EQ(pair.b.events.bytes_in, 2000u) << "and it still works";
  pair.a->reset(stream, EndCode::none);
  ASSERT_TRUE(pair.net.run(
      1s, [&] { return pair.a.events.closed.size() == 1 && pair.b.events.closed.size() == 1; }));
  EXPECT_TRUE(pair.b->links().empty());
  // A node that stops accepts no one.
  ASSERT_TRUE(pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(15s, [&] { return pair.a.events.closed.size() == 2; }));
}

TEST(Life, EndpointsMayEndWithDataInFlight) {
  for (int which = 0; which < 3; ++which) {
    Pair pair(static_cast<std::uint64_t>(which + 1));
    pair.connect();
    for (int i = 0; i < 5; ++i) {
      const StreamId stream = pair.open();
      for (int n = 0; n < 40; ++n) pair.a->write(stream, pair.a.block(pattern(1000, 1)));
    }
    pair.net.run_for(12ms);
    if (which == 0) pair.a.endpoint.reset();
    if (which == 1) pair.b.endpoint.reset();
    if (which == 2) pair.a->shutdown(pair.net.now());
    pair.net.run_for(50ms);
    pair.a.endpoint.reset();
    pair.b.endpoint.reset();
    EXPECT_EQ(pair.a.pool.stats().in_use[0], 0u);
    EXPECT_EQ(pair.b.pool.stats().in_use[0], 0u);
  }
}

TEST(Life, ANodeThatLostItsStateSaysSo) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  pair.net.run_for(1s);
  // The same identity again, without memory of its links.
  pair.b.endpoint = std::move(
      *Endpoint::create({}, pair.b.identity, pair.b.pool, pair.b.rng, pair.b.events, nullptr));
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  ASSERT_TRUE(pair.net.run(1s, [&] { return !pair.a.events.closed.empty(); }))
      << "a stateless reset, long before the idle timeout";
  EXPECT_EQ(pair.a.events.closed[0].second.code, Errc::link_closed);
  EXPECT_EQ(pair.b->stats().resets_sent, 1u);
}

TEST(Life, AStrangerCannotForgeAReset) {
  Pair pair;
  pair.connect();
  pair.net.run_for(100ms);
  for (int i = 0; i < 1000; ++i) {
    auto forged = pattern(42, static_cast<std::uint64_t>(i));
    forged[0] = (forged[0] & std::byte{0x3f}) | std::byte{0x40};
    pair.net.inject(pair.net.now().mono, pair.b.address, pair.a.address, forged);
  }
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.a.events.closed.empty());
  EXPECT_LE(pair.a->stats().resets_sent, 160u) << "answers to strangers are few";
}

TEST(Life, GarbageAndMutatedDatagramsDoNothing) {
  Pair pair;
  pair.net.faults.latency = 1ms;
  std::vector<std::vector<std::byte>> seen;
  pair.net.tap = [&](const SocketAddress&, const SocketAddress& to, Bytes data) {
    if (to == pair.b.address && seen.size() < 64) seen.emplace_back(data.begin(), data.end());
  };
  pair.connect();
  const StreamId stream = pair.open();
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  SeededRng chance(99);
  std::size_t sent = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 1000; ++i) {
      std::vector<std::byte> data;
      if (i % 2 == 0) {
        data.resize(1 + chance.below(1500));
        chance.fill(data);
        if (i % 4 == 0) data[0] |= std::byte{0xc0};
        if (i % 8 == 0 && data.size() > 5) {
          data[1] = data[2] = data[3] = std::byte{0};
          data[4] = std::byte{1};
        }
      } else {
        data = seen[chance.below(seen.size())];
        for (std::uint64_t n = chance.below(4) + 1; n > 0; --n) {
          data[chance.below(data.size())] ^= static_cast<std::byte>(1u << chance.below(8));
        }
        if (chance.below(8) == 0) data.resize(1 + chance.below(data.size()));
      }
      const SocketAddress from = i % 3 == 0 ? pair.a.address : SocketAddress::v4(10, 9, 9, 9, 1000);
      pair.net.inject(pair.net.now().mono, from, pair.b.address, data);
    }
    pair.a->write(stream, pair.a.block(pattern(1000, 1)));
    sent += 1000;
    pair.net.run_for(20ms);
  }
  pair.net.run_for(1s);
  EXPECT_EQ(pair.b.events.bytes_in, sent) << "the link lives and carries";
  EXPECT_TRUE(pair.b.events.closed.empty());
  EXPECT_EQ(pair.b.events.ready.size(), 1u);
  pair.net.run_for(30s);
  EXPECT_EQ(pair.b->links().size(), 1u) << "nothing half open stays";
}

TEST(Life, DatagramsOfOtherShardsAreHandedOver) {
  struct Catcher final : WrongShard {
    void hand_over(std::uint8_t shard, const runtime::Received& datagram) override {
      ++count;
      EXPECT_EQ(std::to_integer<unsigned>(datagram.data[1]) % 4, shard);
      EXPECT_EQ(datagram.segment, 100u);
      EXPECT_EQ(datagram.data.size(), 100u);
    }
    int count = 0;
  } catcher;
  Net net;
  Peer& peer = net.add();
  peer.endpoint =
      std::move(*Endpoint::create(EndpointOptions{.shard = 1, .shards = 4}, peer.identity,
                                  peer.pool, peer.rng, peer.events, &catcher));
  auto train = pattern(400, 1);
  for (unsigned i = 0; i < 4; ++i) {
    train[i * 100] = std::byte{0x40};
    train[i * 100 + 1] = static_cast<std::byte>(8 + i);
  }
  runtime::Received merged{SocketAddress::v4(10, 0, 0, 9, 1), peer.address, train, 100, 0};
  peer->receive({&merged, 1}, peer.address, net.now());
  EXPECT_EQ(catcher.count, 3);
  EXPECT_EQ(peer->stats().dropped_wrong_shard, 3u);
  EXPECT_EQ(peer->stats().dropped_unknown, 1u);
}

// ---- The control stream between endpoints -------------------------------------------------------

TEST(Control, OwnersFramesArriveWholeAndInOrder) {
  Pair pair;
  pair.connect();
  EXPECT_TRUE(pair.a->send_control(pair.link, 0x10, pattern(0, 1)));
  EXPECT_TRUE(pair.a->send_control(pair.link, 0x12, pattern(16'384, 2)));
  EXPECT_TRUE(pair.a->send_control(pair.link, 0x20, pattern(2, 3)));
  EXPECT_TRUE(pair.b->send_control(pair.remote_link, 0x11, pattern(9000, 4)));
  EXPECT_FALSE(pair.a->send_control(pair.link, 0x12, pattern(16'385, 2))) << "too long";
  pair.net.run_for(1s);
  ASSERT_EQ(pair.b.events.control.size(), 3u);
  EXPECT_EQ(pair.b.events.control[0].first, 0x10);
  EXPECT_EQ(pair.b.events.control[1].second, pattern(16'384, 2));
  EXPECT_EQ(pair.b.events.control[2].second, pattern(2, 3));
  ASSERT_EQ(pair.a.events.control.size(), 1u);
  EXPECT_EQ(pair.a.events.control[0].second, pattern(9000, 4));
}

TEST(Control, WithoutMemoryForAHelloThereIsNoLink) {
  Pair pair;
  std::vector<memory::Block> all;
  for (;;) {
    memory::Block block = pair.a.pool.take(memory::BlockSize::cell);
    if (!block) break;
    all.push_back(std::move(block));
  }
  ASSERT_TRUE(pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(5s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_EQ(pair.a.events.closed[0].second.code, Errc::refused_memory);
  EXPECT_TRUE(pair.a.events.ready.empty());
}

TEST(Control, TheAcceptorMaySpeakAtOnce) {
  Pair pair;
  pair.b.events.when_ready = [&](LinkId link) {
    EXPECT_TRUE(pair.b->send_control(link, 0x10, pattern(10, 1)));
  };
  pair.connect();
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a.events.control.size(), 1u);
}

TEST(Control, TheQueueOfASlowPeerIsBounded) {
  Pair pair;
  pair.connect();
  pair.net.faults.loss = 1.0;
  std::size_t taken = 0;
  while (pair.a->send_control(pair.link, 0x12, pattern(8000, 1))) ++taken;
  EXPECT_LE(taken * 8000, 256u * 1024);
  EXPECT_GT(taken, 20u);
}

TEST(Control, FramesThatBreakTheRulesCloseTheLink) {
  const std::array<std::byte, 8> good_hello = wire::encode_hello({});
  struct Case {
    std::uint8_t type;
    std::vector<std::byte> body;
    bool closes;
  };
  const std::vector<Case> cases = {
      {0x01, {good_hello.begin(), good_hello.end()}, true},  // a second one
      {0x02, pattern(7, 1), true},
      {0x02, pattern(8, 1), false},
      {0x03, pattern(9, 1), true},
      {0x03, pattern(8, 1), false},
      {0x04, {}, true},
      {0x05, {}, true},
      {0x7f, {}, true},
      {0x80, pattern(100, 1), false},
      {0xff, {}, false},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(::testing::Message() << "type " << int{one.type} << " size " << one.body.size());
    Pair pair;
    pair.connect();
    ASSERT_TRUE(pair.a->send_control(pair.link, one.type, one.body));
    pair.net.run_for(1s);
    EXPECT_EQ(pair.b.events.closed.size(), one.closes ? 1u : 0u);
    EXPECT_EQ(pair.a.events.closed.size(), one.closes ? 1u : 0u);
    EXPECT_EQ(pair.b->stats().control_frames_malformed, one.closes ? 1u : 0u);
    EXPECT_TRUE(pair.b.events.control.empty());
  }
}

}  // namespace
}  // namespace qudag::link::testing
