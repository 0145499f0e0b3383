// No circuit without a HELLO: streams that overtake it wait, and a peer that never says it is
// closed.
#include "net.h"

#include <gtest/gtest.h>

namespace qudag::link::testing {
namespace {

TEST(Hello, WithoutItNoStreamIsTakenAndTheLinkEnds) {
  Pair pair(3, {.say_hello = false});
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(1'000, 1)));
  pair.net.run_for(4'500ms);
  EXPECT_TRUE(pair.b.events.opened.empty()) << "nobody heard of the stream";
  EXPECT_TRUE(pair.b.events.streams.empty());
  EXPECT_TRUE(pair.b.events.closed.empty());
  EXPECT_EQ(pair.b->stats().streams_early, 1u);
  pair.net.run_for(1s);
  ASSERT_EQ(pair.b.events.closed.size(), 1u);
  EXPECT_EQ(pair.b.events.closed[0].second, Errc::link_closed);
  EXPECT_EQ(pair.b->stats().control_frames_malformed, 1u);
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.a->links().empty());
  EXPECT_EQ(pair.a.events.closed.size(), 1u);
}

TEST(Hello, WhatOvertakesItIsBounded) {
  Pair pair(4, {.say_hello = false});
  pair.connect();
  std::vector<StreamId> streams;
  for (int i = 0; i < 40; ++i) {
    streams.push_back(pair.open());
    pair.a->write(streams.back(), pair.a.block(pattern(1'000, 1)));
  }
  StreamId large = pair.open();
  for (int i = 0; i < 50; ++i) pair.a->write(large, pair.a.block(pattern(1'000, 2)));
  pair.net.run_for(2s);
  std::size_t refused = 0;
  for (const auto& [stream, log] : pair.a.events.streams) refused += log.code == EndCode::refused;
  EXPECT_EQ(refused, 41u - 16u) << "sixteen wait";
  EXPECT_TRUE(pair.b.events.opened.empty());
  pair.net.run_for(5s);
  EXPECT_TRUE(pair.b->links().empty());
}

// The packet with the HELLO is lost, and later ones arrive: the stream is taken all the same, whole
// and in order, as soon as the HELLO has come again.
TEST(Hello, AStreamThatOvertakesItIsTakenAfterIt) {
  std::uint64_t overtook = 0;
  for (const std::size_t bytes : {std::size_t{900}, std::size_t{2'900}, std::size_t{14'402}}) {
    for (const Duration later : {Duration(100us), Duration(1ms), Duration(10ms)}) {
      SCOPED_TRACE(::testing::Message() << bytes << " bytes, " << later.count() << " ns later");
      Pair pair(20);
      pair.net.lose = [&](const SocketAddress& from, const SocketAddress&, Bytes) {
        return from == pair.a.address && !pair.a.events.ready.empty();
      };
      const auto link = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
      ASSERT_TRUE(link.has_value());
      ASSERT_TRUE(pair.net.run(5s, [&] { return !pair.a.events.ready.empty(); }));
      pair.net.run_for(later);  // what tells that the handshake is complete, and the HELLO
      pair.net.lose = {};
      const auto stream = pair.a->open(*link, Priority::normal, 7);
      ASSERT_TRUE(stream.has_value());
      const auto data = pattern(bytes, 5);
      for (std::size_t at = 0; at < data.size(); at += 4'000) {
        const std::size_t piece = std::min<std::size_t>(4'000, data.size() - at);
        pair.a->write(*stream, pair.a.block(Bytes(data).subspan(at, piece)));
      }
      ASSERT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in == bytes; }));
      ASSERT_EQ(pair.b.events.opened.size(), 1u);
      EXPECT_EQ(pair.b.events.streams[pair.b.events.opened[0]].data, data);
      EXPECT_TRUE(pair.b.events.closed.empty());
      overtook += pair.b->stats().streams_early;
      pair.net.run_for(6s);
      EXPECT_EQ(pair.b->links().size(), 1u) << "the HELLO has come";
    }
  }
  EXPECT_GT(overtook, 0u) << "nothing overtook it: the test tests nothing";
}

// Memory for it comes from the handshakes' share; without any, streams that overtake are refused.
TEST(Hello, WithoutMemoryWhatOvertakesIsRefused) {
  memory::Budget none("handshakes", 256 * 1024);
  Pair pair(5, {.say_hello = false}, {.handshake_memory = &none});
  pair.connect();
  std::uint64_t taken = 0;
  while (none.reserve(1'024)) taken += 1'024;
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(100, 1)));
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a.events.streams[stream].code, EndCode::refused);
  none.release(taken);
}

}  // namespace
}  // namespace qudag::link::testing
