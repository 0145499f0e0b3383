// Streams: bytes arrive exactly, windows hold, resets end both directions, limits refuse.
#include "base/limits.h"
#include "link/net.h"

namespace qudag::link::testing {
namespace {

/// Feeds `data` to a stream, keeping about 64 KiB queued; consumes what comes back.
class Feeder {
 public:
  Feeder(Peer& peer, StreamId stream, std::vector<std::byte> data)
      : peer_(peer), stream_(stream), data_(std::move(data)) {}

  void pump() {
    while (at_ < data_.size() && peer_->queued_bytes(stream_) < 64 * 1024) {
      const std::size_t n = std::min<std::size_t>(data_.size() - at_, 1024);
      peer_->write(stream_, peer_.block(Bytes(data_).subspan(at_, n)));
      at_ += n;
    }
  }
  StreamId stream() const { return stream_; }
  const std::vector<std::byte>& data() const { return data_; }

 private:
  Peer& peer_;
  StreamId stream_;
  std::vector<std::byte> data_;
  std::size_t at_ = 0;
};

void consume_at_once(Peer& peer) {
  peer.events.when_data = [&peer](StreamId stream, Bytes data) {
    peer->consume(stream, data.size());
  };
}

TEST(Stream, CarriesBytesBothWays) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open(Priority::normal, 77);
  const auto there = pattern(3000, 1);
  const auto back = pattern(500, 2);
  for (std::size_t at = 0; at < there.size(); at += 1000) {
    pair.a->write(stream, pair.a.block(Bytes(there).subspan(at, 1000)));
  }
  ASSERT_TRUE(pair.net.run(1s, [&] { return pair.b.events.bytes_in == there.size(); }));
  ASSERT_EQ(pair.b.events.opened.size(), 1u);
  EXPECT_EQ(pair.b.events.opened[0], pair.at_b(stream));
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].data, there);
  pair.b->set_context(pair.at_b(stream), 88);
  pair.b->write(pair.at_b(stream), pair.b.block(back));
  ASSERT_TRUE(pair.net.run(1s, [&] { return pair.a.events.bytes_in == back.size(); }));
  EXPECT_EQ(pair.a.events.streams[stream].data, back);
  EXPECT_EQ(pair.a.events.streams[stream].context, 77u);
  EXPECT_EQ(pair.a.events.streams[stream].sent, there.size());
}

TEST(Stream, OnAShortPathAcknowledgementsRideOnAnswers) {
  Pair pair;
  pair.net.faults.latency = 20us;
  pair.connect();
  const StreamId stream = pair.open(Priority::normal);
  const auto bytes = pattern(1000, 1);
  const auto ask = [&] { pair.a->write(stream, pair.a.block(bytes)); };
  pair.b.events.when_data = [&](StreamId at, Bytes data) {
    pair.b->consume(at, data.size());
    pair.b->write(at, pair.b.block(data));
  };
  std::size_t trips = 0;
  pair.a.events.when_data = [&](StreamId at, Bytes data) {
    pair.a->consume(at, data.size());
    ++trips;
    ask();
  };
  ask();
  ASSERT_TRUE(pair.net.run(1s, [&] { return trips >= 100; }));  // the link has settled
  const std::uint64_t before = pair.net.carried;
  ASSERT_TRUE(pair.net.run(1s, [&] { return trips >= 1'100; }));
  EXPECT_LE(pair.net.carried - before, 2'050u);  // a window now and then
}

TEST(Stream, OnAShortPathWhatGetsNoAnswerIsAcknowledgedSoon) {
  Pair pair;
  pair.net.faults.latency = 20us;
  pair.connect();
  pair.net.run_for(100ms);
  consume_at_once(pair.b);
  const StreamId stream = pair.open(Priority::normal);
  const auto unacked = [&] { return pair.a->info(stream.link)->unacked_bytes; };
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  ASSERT_TRUE(pair.net.run(1ms, [&] { return pair.b.events.bytes_in == 1'000; }));
  EXPECT_EQ(unacked(), 1'000u);
  EXPECT_TRUE(pair.net.run(300us, [&] { return unacked() == 0; }));
}

TEST(Stream, ABuildMessageLeavesAtOnceOnALongPath) {
  // A hop passes it on when it has all of it: what pacing holds back is paid at every hop. The
  // first on a link is a little larger than CUBIC's initial window, and opens it. Nor does
  // the search for larger packets come in between.
  for (const Congestion congestion : {Congestion::cubic, Congestion::bbr}) {
    const EndpointOptions options{.congestion = congestion};
    Pair pair(1, options, options);
    pair.net.faults.latency = 50ms;
    pair.connect();
    pair.net.run_for(1s);
    for (int i = 0; i < 3; ++i) {
      const StreamId stream = pair.open();
      const std::size_t before = pair.b.events.bytes_in;
      const auto data = pattern(limits::kBuildMessageBytes, 1);
      constexpr std::size_t kPiece = 960;
      static_assert(limits::kBuildMessageBytes % kPiece == 0);
      for (std::size_t at = 0; at < data.size(); at += kPiece) {
        pair.a->write(stream, pair.a.block(Bytes(data).subspan(at, kPiece)));
      }
      const Duration one_way = i == 0 ? 151ms : 51ms;
      EXPECT_TRUE(pair.net.run(
          one_way, [&] { return pair.b.events.bytes_in == before + limits::kBuildMessageBytes; }))
          << "build " << i << (congestion == Congestion::bbr ? " bbr" : " cubic");
      pair.net.run_for(1s);
    }
  }
}

TEST(Stream, ManyStreamsSurviveLossReorderAndDuplication) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair(seed);
    pair.connect();
    pair.net.faults = {.loss = 0.05, .duplicate = 0.02, .reorder = 0.1};
    consume_at_once(pair.a);
    consume_at_once(pair.b);
    constexpr std::size_t kStreams = 20;
    constexpr std::size_t kBytes = 150'000;
    std::vector<Feeder> feeders;
    for (std::size_t i = 0; i < kStreams; ++i) {
      const StreamId stream = pair.open(static_cast<Priority>(i % 3));
      feeders.emplace_back(pair.a, stream, pattern(kBytes, seed * 100 + i));
      feeders.back().pump();
    }
    ASSERT_TRUE(pair.net.run(5s, [&] { return pair.b.events.opened.size() == kStreams; }));
    for (std::size_t i = 0; i < kStreams; ++i) {
      const StreamId same = pair.at_b(feeders[i].stream());
      feeders.emplace_back(pair.b, same, pattern(kBytes, seed * 1000 + i));
    }
    const bool done = pair.net.run(120s, [&] {
      for (Feeder& feeder : feeders) feeder.pump();
      return pair.a.events.bytes_in == kStreams * kBytes &&
             pair.b.events.bytes_in == kStreams * kBytes;
    });
    ASSERT_TRUE(done) << pair.a.events.bytes_in << " " << pair.b.events.bytes_in;
    for (std::size_t i = 0; i < kStreams; ++i) {
      const StreamId stream = feeders[i].stream();
      EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].data, feeders[i].data());
      EXPECT_EQ(pair.a.events.streams[stream].data, feeders[kStreams + i].data());
    }
    EXPECT_GT(pair.a->info(pair.link)->packets_lost, 0u);
    pair.net.faults = {};
    pair.net.run_for(2s);
    EXPECT_EQ(pair.a->info(pair.link)->unacked_bytes, 0u);
    EXPECT_EQ(pair.a.pool.stats().in_use[0], 0u) << "acknowledged blocks went back";
    EXPECT_EQ(pair.b.pool.stats().in_use[0], 0u);
  }
}

TEST(Stream, BulkSurvivesAPathThatMixesUpEveryPacket) {
  // What overtakes is taken for loss and sent again: the receiver sees most of it twice, for as
  // long as the transfer lasts, and must not hold that against an honest peer.
  const EndpointOptions options{.packet_bytes_max = limits::kPacketBytesPlain};
  Pair pair(1, options, options);
  pair.net.faults = {.reorder = 1, .latency = 1ms, .jitter = 2ms};
  pair.connect();
  pair.b.events.keep_data = false;
  consume_at_once(pair.b);
  const StreamId stream = pair.open(Priority::low);
  constexpr std::size_t kBytes = 50'000'000;
  const auto piece = pattern(8'000, 1);
  std::size_t at = 0;
  const bool done = pair.net.run(300s, [&] {
    for (; at < kBytes && pair.a->queued_bytes(stream) < 256 * 1024; at += piece.size()) {
      pair.a->write(stream, pair.a.block(piece));
    }
    return pair.b.events.bytes_in == kBytes || !pair.a.events.closed.empty();
  });
  EXPECT_TRUE(done);
  for (const auto& [link, why] : pair.a.events.closed) ADD_FAILURE() << why.message();
  EXPECT_EQ(pair.b.events.bytes_in, kBytes);
  // So far beyond what ngtcp2 itself forgives that the test means something.
  EXPECT_GT(pair.net.carried_bytes, 3 * kBytes / 2);
}

TEST(Stream, AFreshLinkDoesNotFillItsWindowWithAQuestionForLargePackets) {
  // Where large packets vanish the window would stay full: nothing later, nothing acknowledged.
  Pair pair;
  pair.connect();
  pair.net.run_for(1s);
  std::size_t largest = 0;
  pair.net.tap = [&](const SocketAddress&, const SocketAddress&, Bytes datagram) {
    largest = std::max(largest, datagram.size());
  };
  consume_at_once(pair.b);
  const StreamId stream = pair.open(Priority::low);
  for (int i = 0; i < 500; ++i) pair.a->write(stream, pair.a.block(pattern(8'000, 1)));
  pair.net.run_for(4ms);  // less than the way there
  EXPECT_EQ(largest, limits::kPacketBytesPlain);
  pair.net.run_for(2s);
  EXPECT_EQ(largest, limits::kPacketBytesMax);
}

TEST(Stream, TheWindowStopsTheSenderAndConsumeReleasesIt) {
  EndpointOptions small{.stream_window_bytes = 64 * 1024};
  Pair pair(1, small, small);
  pair.connect();
  const StreamId stream = pair.open();
  Feeder feeder(pair.a, stream, pattern(200'000, 5));
  const auto pump = [&] {
    feeder.pump();
    return false;
  };
  pair.net.run(2s, pump);
  EXPECT_EQ(pair.b.events.bytes_in, small.stream_window_bytes) << "no consume: exactly a window";
  EXPECT_EQ(pair.a.events.streams[stream].sent, small.stream_window_bytes);

  pair.b->consume(pair.at_b(stream), 40'000);
  pair.net.run(2s, pump);
  EXPECT_EQ(pair.b.events.bytes_in, small.stream_window_bytes + 40'000);

  consume_at_once(pair.b);
  pair.b->consume(pair.at_b(stream), small.stream_window_bytes);
  ASSERT_TRUE(pair.net.run(5s, [&] {
    feeder.pump();
    return pair.b.events.bytes_in == 200'000;
  }));
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].data, feeder.data());
}

TEST(Stream, AStalledStreamDoesNotStallAnother) {
  EndpointOptions small{.stream_window_bytes = 32 * 1024, .link_window_bytes = 1024 * 1024};
  Pair pair(1, small, small);
  pair.connect();
  const StreamId stalled = pair.open();
  const StreamId flowing = pair.open();
  Feeder first(pair.a, stalled, pattern(100'000, 1));
  Feeder second(pair.a, flowing, pattern(100'000, 2));
  pair.b.events.when_data = [&](StreamId stream, Bytes data) {
    if (stream == pair.at_b(flowing)) pair.b->consume(stream, data.size());
  };
  ASSERT_TRUE(pair.net.run(10s, [&] {
    first.pump();
    second.pump();
    return pair.b.events.streams[pair.at_b(flowing)].data.size() == 100'000;
  }));
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stalled)].data.size(), 32u * 1024);
}

TEST(Stream, ResetOfStreamsGivesTheLinkWindowBack) {
  // Unconsumed bytes of streams that ended must not use up the link's window.
  EndpointOptions small{.stream_window_bytes = 64 * 1024, .link_window_bytes = 128 * 1024};
  Pair pair(1, small, small);
  pair.connect();
  for (int i = 0; i < 8; ++i) {
    const StreamId stream = pair.open();
    Feeder feeder(pair.a, stream, pattern(64 * 1024, 9));
    const std::size_t before = pair.b.events.bytes_in;
    ASSERT_TRUE(pair.net.run(5s, [&] {
      feeder.pump();
      return pair.b.events.bytes_in == before + 64 * 1024;
    })) << i;
    pair.b->reset(pair.at_b(stream), EndCode::destroyed);  // nothing of it was consumed
    pair.net.run_for(100ms);
  }
}

TEST(Stream, ResetEndsBothDirectionsOnceOnBothSides) {
  for (const bool dialer_resets : {true, false}) {
    SCOPED_TRACE(dialer_resets);
    Pair pair;
    pair.connect();
    const StreamId stream = pair.open(Priority::normal, 5);
    pair.a->write(stream, pair.a.block(pattern(1000, 1)));
    ASSERT_TRUE(pair.net.run(1s, [&] { return pair.b.events.bytes_in == 1000; }));
    Peer& resetter = dialer_resets ? pair.a : pair.b;
    Peer& other = dialer_resets ? pair.b : pair.a;
    const StreamId here = dialer_resets ? stream : pair.at_b(stream);
    const StreamId there = dialer_resets ? pair.at_b(stream) : stream;
    // Data that is in flight when the reset comes is of no interest any more.
    resetter->write(here, resetter.block(pattern(1000, 2)));
    other->write(there, other.block(pattern(1000, 3)));
    resetter->reset(here, EndCode::refused);
    pair.net.run_for(1s);
    EXPECT_EQ(other.events.streams[there].closed, 1u);
    EXPECT_EQ(other.events.streams[there].code, EndCode::refused);
    EXPECT_EQ(resetter.events.streams[here].closed, 0u) << "who resets knows";
    // The stream is gone: nothing that is done to it does anything.
    other->write(there, other.block(pattern(10, 1)));
    other->consume(there, 1000);
    other->reset(there, EndCode::none);
    EXPECT_EQ(other->queued_bytes(there), 0u);
    EXPECT_EQ(pair.a->info(pair.link)->streams, 0u);
    EXPECT_EQ(pair.b->info(pair.remote_link)->streams, 0u);
    EXPECT_EQ(pair.a.pool.stats().in_use[0], 0u);
    EXPECT_EQ(pair.b.pool.stats().in_use[0], 0u);
  }
}

TEST(Stream, BothMayResetAtOnce) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  ASSERT_TRUE(pair.net.run(1s, [&] { return pair.b.events.bytes_in == 1000; }));
  pair.a->reset(stream, EndCode::destroyed);
  pair.b->reset(pair.at_b(stream), EndCode::refused);
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a.events.streams[stream].closed, 0u);
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].closed, 0u);
  EXPECT_EQ(pair.a->info(pair.link)->streams, 0u);
}

TEST(Stream, EverythingMayBeAskedForFromInsideEvents) {
  // The owner of a relay answers data with writes, resets and new streams, inside the event.
  Pair pair;
  pair.connect();
  std::size_t echoed = 0;
  pair.b.events.when_opened = [&](StreamId stream) {
    pair.b->set_context(stream, 9);
    pair.b->set_priority(stream, Priority::high);
  };
  pair.b.events.when_data = [&](StreamId stream, Bytes data) {
    pair.b->consume(stream, data.size());
    pair.b->write(stream, pair.b.block(data));
    ++echoed;
    if (echoed == 3) pair.b->reset(stream, EndCode::destroyed);
    if (echoed == 2) {
      auto back = pair.b->open(stream.link, Priority::low, 1);
      ASSERT_TRUE(back);
      pair.b->write(*back, pair.b.block(pattern(100, 4)));
    }
  };
  pair.a.events.when_closed = [&](StreamId stream) {
    auto next = pair.a->open(stream.link, Priority::normal, 0);
    ASSERT_TRUE(next);
    pair.a->write(*next, pair.a.block(pattern(100, 5)));
  };
  const StreamId stream = pair.open();
  for (int i = 0; i < 3; ++i) {
    pair.a->write(stream, pair.a.block(pattern(1000, 1)));
    pair.net.run_for(50ms);
  }
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a.events.streams[stream].closed, 1u);
  EXPECT_EQ(pair.a.events.opened.size(), 1u) << "the acceptor opened one back";
  EXPECT_EQ(pair.b.events.opened.size(), 2u);
}

TEST(Stream, TheLimitRefusesAndClosingMakesRoom) {
  EndpointOptions few{.streams_per_link_max = 3};
  Pair pair(1, few, few);
  pair.connect();
  std::vector<StreamId> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(pair.open());
  const auto refused = pair.a->open(pair.link, Priority::normal, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::would_block);
  pair.a->reset(streams[0], EndCode::none);
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.a->open(pair.link, Priority::normal, 0));
  // The other direction has a limit of its own.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pair.b->open(pair.remote_link, Priority::normal, 0));
  EXPECT_FALSE(pair.b->open(pair.remote_link, Priority::normal, 0));
}

TEST(Stream, ThousandsOverTimeLeaveNothing) {
  Pair pair(1, EndpointOptions{.streams_per_link_max = 16},
            EndpointOptions{.streams_per_link_max = 16});
  pair.connect();
  consume_at_once(pair.b);
  pair.net.run_for(1s);
  const std::uint64_t before = pair.a->stats().quic_memory_bytes;
  for (int i = 0; i < 1000; ++i) {
    auto stream = pair.a->open(pair.link, Priority::normal, 0);
    ASSERT_TRUE(stream) << i;
    pair.a->write(*stream, pair.a.block(pattern(500, 1)));
    pair.net.run_for(12ms);
    pair.a->reset(*stream, EndCode::none);
    pair.net.run_for(40ms);
  }
  pair.net.run_for(1s);
  EXPECT_EQ(pair.b.events.opened.size(), 1000u);
  EXPECT_EQ(pair.a->info(pair.link)->streams, 0u);
  EXPECT_LT(pair.a->stats().quic_memory_bytes, before + 32 * 1024);
}

TEST(Stream, HighOvertakesLowAndLowDoesNotStarve) {
  Pair pair;
  pair.connect();
  consume_at_once(pair.b);
  pair.b.events.keep_data = false;
  pair.net.faults.bytes_per_second = 5e6;
  const StreamId bulk = pair.open(Priority::low);
  Feeder feeder(pair.a, bulk, pattern(6'000'000, 1));
  pair.net.run(300ms, [&] {
    feeder.pump();
    return false;
  });
  // With bulk queued, a high cell must be in the next packets that leave.
  const StreamId urgent = pair.open(Priority::high);
  const std::size_t bulk_before = pair.a.events.streams[bulk].sent;
  feeder.pump();
  pair.a->write(urgent, pair.a.block(pattern(1000, 2)));
  ASSERT_TRUE(pair.net.run(1s, [&] { return pair.a.events.streams[urgent].sent == 1000; }));
  EXPECT_LE(pair.a.events.streams[bulk].sent - bulk_before, 16u * 1024);

  // And a flood of high leaves low its share.
  Feeder flood(pair.a, urgent, pattern(4'000'000, 3));
  const std::size_t low_before = pair.a.events.streams[bulk].sent;
  const std::size_t high_before = pair.a.events.streams[urgent].sent;
  pair.net.run(400ms, [&] {
    feeder.pump();
    flood.pump();
    return false;
  });
  const auto low = static_cast<double>(pair.a.events.streams[bulk].sent - low_before);
  const auto high = static_cast<double>(pair.a.events.streams[urgent].sent - high_before);
  EXPECT_GT(high, 200'000);
  EXPECT_GT(low / high, 1.0 / 25);
  EXPECT_LT(low / high, 1.0 / 8);
}

TEST(Stream, EqualStreamsGetEqualShares) {
  Pair pair;
  pair.connect();
  consume_at_once(pair.b);
  pair.b.events.keep_data = false;
  std::vector<Feeder> feeders;
  for (int i = 0; i < 10; ++i) feeders.emplace_back(pair.a, pair.open(), pattern(2'000'000, 1));
  pair.net.run(1s, [&] {
    for (Feeder& feeder : feeders) feeder.pump();
    return false;
  });
  std::size_t least = SIZE_MAX;
  std::size_t most = 0;
  for (Feeder& feeder : feeders) {
    least = std::min(least, pair.a.events.streams[feeder.stream()].sent);
    most = std::max(most, pair.a.events.streams[feeder.stream()].sent);
  }
  EXPECT_GT(least, 20'000u);
  EXPECT_LE(most - least, 2 * 4096u + limits::kPacketBytesMax);
}

/// Sizes of what `pair.a` sends: five small writes, one at a time, then 300,000 bytes.
std::map<std::size_t, std::size_t> sizes_sent(Pair& pair) {
  pair.connect();
  pair.net.run_for(1s);  // path MTU discovery
  consume_at_once(pair.b);
  std::map<std::size_t, std::size_t> sizes;
  pair.net.tap = [&](const SocketAddress& from, const SocketAddress&, Bytes data) {
    if (from == pair.a.address) ++sizes[data.size()];
  };
  const StreamId stream = pair.open();
  for (const std::size_t size : {1u, 10u, 1000u, 1024u, 3u}) {
    pair.a->write(stream, pair.a.block(pattern(size, 1)));
    pair.net.run_for(30ms);
  }
  Feeder feeder(pair.a, stream, pattern(300'000, 2));
  pair.net.run(2s, [&] {
    feeder.pump();
    return pair.b.events.bytes_in == 300'000 + 2038;
  });
  EXPECT_EQ(pair.b.events.bytes_in, 300'000u + 2038);
  return sizes;
}

TEST(Stream, DataPacketsAllHaveTheFullSizeOnAPathOfTheInternet) {
  EndpointOptions options;
  options.packet_bytes_max = limits::kPacketBytesPlain;
  Pair pair(1, options, options);
  const auto sizes = sizes_sent(pair);
  EXPECT_GT(sizes.at(1452), 200u);
  for (const auto& [size, count] : sizes) {
    // What is smaller acknowledges and carries no stream data.
    EXPECT_TRUE(size == 1452 || size < 100) << size << " x " << count;
  }
}

TEST(Stream, WhereThePathTakesLargePacketsTheirSizesSayWhatNumbersOfPlainOnesWould) {
  Pair pair;
  const auto sizes = sizes_sent(pair);
  EXPECT_GE(sizes.at(8952), 300'000u / 8952 - 10);
  EXPECT_GE(sizes.at(1452), 5u);   // little data goes in plain packets
  EXPECT_LE(sizes.at(1452), 40u);  // and much does not, once discovery has found the large ones
  for (const auto& [size, count] : sizes) {
    EXPECT_TRUE(size == 8952 || size % 1452 == 0 || size < 100) << size << " x " << count;
  }
}

TEST(Stream, ASocketThatIsFullLosesNothing) {
  Pair pair;
  pair.connect();
  consume_at_once(pair.b);
  const StreamId stream = pair.open();
  Feeder feeder(pair.a, stream, pattern(500'000, 2));
  int turn = 0;
  ASSERT_TRUE(pair.net.run(20s, [&] {
    feeder.pump();
    pair.a.trains_accepted = ++turn % 3 == 0 ? 1 : 0;  // blocked two times of three
    return pair.b.events.bytes_in == 500'000;
  }));
  EXPECT_EQ(pair.b.events.streams[pair.at_b(stream)].data, feeder.data());
  EXPECT_EQ(pair.a->info(pair.link)->packets_lost, 0u);
}

}  // namespace
}  // namespace qudag::link::testing
