// Who becomes a link, who proves an address first, who is refused and learns why; what a link may
// receive; and links that end because nobody is there or nobody needs them.
#include "link/net.h"

namespace qudag::link::testing {
namespace {

using Answer = Admission::Answer;

SocketAddress address(std::uint8_t block, std::uint8_t host) {
  return SocketAddress::v4(10, 1, block, host, 4433);
}

class Asking : public ::testing::Test {
 protected:
  Asking() : admission_(options_, rng_) {}

  Admission::Verdict ask(const SocketAddress& from, bool proven = false) {
    const auto verdict = admission_.ask(from, proven, load_, now_);
    if (verdict.answer == Answer::admit) {
      admission_.add(from, now_);
      ++load_.links;
    }
    return verdict;
  }

  SeededRng rng_{1};
  AdmissionOptions options_{.links_max = 100,
                            .half_open_max = 50,
                            .prefix_links_max = 8,
                            .prefix_half_open_max = 4,
                            .prefix_handshakes_per_second = 2};
  Admission::Load load_;
  TimePoint now_{1s};
  Admission admission_;
};

TEST_F(Asking, AStrangerWithoutProofIsAskedForItWhenItsBlockHasHadItsShare) {
  EXPECT_EQ(ask(address(1, 1)).answer, Answer::admit);
  EXPECT_EQ(ask(address(1, 2)).answer, Answer::admit);
  // Half of the places of a block are for those who prove their address.
  EXPECT_EQ(ask(address(1, 3)).answer, Answer::retry);
  EXPECT_EQ(ask(address(1, 3), true).answer, Answer::admit);
  EXPECT_EQ(ask(address(1, 4), true).answer, Answer::admit);
  const auto refused = ask(address(1, 5), true);
  EXPECT_EQ(refused.answer, Answer::refuse);
  EXPECT_EQ(refused.why, Refusal::prefix_half_open);
  EXPECT_EQ(ask(address(2, 1)).answer, Answer::admit) << "another block is not concerned";
}

TEST_F(Asking, TheRateOfABlockIsItsOwnAndComesBack) {
  std::vector<Admission::Block*> blocks;
  const auto complete_one = [&](bool proven) {
    const auto verdict = admission_.ask(address(1, 1), proven, {}, now_);
    if (verdict.answer == Answer::admit) {
      Admission::Block& block = admission_.add(address(1, 1), now_);
      Admission::completed(block);
      Admission::remove(block, false);
    }
    return verdict;
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(complete_one(false).answer, Answer::admit);
  EXPECT_EQ(complete_one(false).answer, Answer::retry);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(complete_one(true).answer, Answer::admit);
  EXPECT_EQ(complete_one(true).why, Refusal::prefix_rate);
  EXPECT_EQ(ask(address(2, 1)).answer, Answer::admit);
  now_ += 500ms;
  EXPECT_EQ(complete_one(true).answer, Answer::admit);
  EXPECT_EQ(complete_one(true).why, Refusal::prefix_rate);
}

TEST_F(Asking, WhatSpoofedPacketsUseUpIsNotTheOwners) {
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(admission_.ask(address(1, 1), false, {}, now_));
  }
  EXPECT_EQ(ask(address(1, 1), true).answer, Answer::admit);
}

TEST_F(Asking, TheLimitsOfTheEndpointComeFirst) {
  load_ = {.links = 100};
  EXPECT_EQ(ask(address(1, 1)).why, Refusal::links);
  load_ = {.half_open = 50};
  EXPECT_EQ(ask(address(1, 1)).why, Refusal::half_open);
  load_ = {.half_open = 25};
  EXPECT_EQ(ask(address(1, 1)).answer, Answer::retry);
  EXPECT_EQ(ask(address(1, 1), true).answer, Answer::admit);
}

TEST_F(Asking, UnderPressureEverybodyProvesTheirAddress) {
  admission_.require_proof(true);
  EXPECT_EQ(ask(address(1, 1)).answer, Answer::retry);
  EXPECT_EQ(ask(address(1, 1), true).answer, Answer::admit);
  admission_.require_proof(false);
  EXPECT_EQ(ask(address(2, 1)).answer, Answer::admit);
}

TEST_F(Asking, TheTableOfBlocksIsBoundedAndForgets) {
  const std::size_t bound = options_.links_max + Admission::kBlocksMax;
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    const SocketAddress from = SocketAddress::v4(11, static_cast<std::uint8_t>(i >> 8),
                                                 static_cast<std::uint8_t>(i), 1, 1);
    static_cast<void>(admission_.ask(from, false, {}, now_));
  }
  EXPECT_EQ(admission_.blocks(), bound);
  // Beyond it all share one entry: a flood from everywhere has the rate of one block.
  EXPECT_EQ(ask(address(200, 1)).answer, Answer::retry);
  now_ += 5s;
  EXPECT_EQ(ask(address(201, 1)).answer, Answer::admit);
  EXPECT_EQ(admission_.blocks(), 1u) << "quiet blocks were forgotten";
}

TEST_F(Asking, EveryReasonHasATextThatIsReadBack) {
  for (std::size_t i = 1; i < kRefusalCount; ++i) {
    const auto refusal = static_cast<Refusal>(i);
    EXPECT_FALSE(reason_of(refusal).empty());
    EXPECT_EQ(refusal_of(reason_of(refusal)), refusal);
  }
  EXPECT_EQ(refusal_of("come to 192.0.2.1"), Refusal::none);
}

TEST(Prefix, IsTwentyFourOrFortyEightBits) {
  EXPECT_EQ(prefix_of(address(1, 1)), prefix_of(address(1, 200)));
  EXPECT_NE(prefix_of(address(1, 1)), prefix_of(address(2, 1)));
  const auto v6 = [](std::string_view text) { return prefix_of(*SocketAddress::parse(text)); };
  EXPECT_EQ(v6("[2001:db8:7::1]:1"), v6("[2001:db8:7:ffff::2]:2"));
  EXPECT_NE(v6("[2001:db8:7::1]:1"), v6("[2001:db8:8::1]:1"));
}

TEST(Admission, ARefusedPeerLearnsWhy) {
  Pair pair(1, {}, EndpointOptions{.prefix_links_max = 1});
  pair.connect();
  Peer& third = pair.net.add();
  ASSERT_TRUE(third->dial(pair.b.id(), pair.b.address, third.address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(10s, [&] { return !third.events.closed.empty(); }));
  EXPECT_EQ(third.events.closed[0].second.code, Errc::refused_by_peer);
  EXPECT_EQ(third.events.closed[0].second.detail, "links of your network");
  const EndpointStats stats = pair.b->stats();
  EXPECT_GE(stats.refused_by[static_cast<std::size_t>(Refusal::prefix_links)], 1u);
  EXPECT_GE(stats.retries_sent, 1u) << "it was refused only after it had proved its address";
}

TEST(Admission, AFloodOfHandshakesFromOneNetworkLeavesOthersTheirs) {
  Pair pair(1, {}, EndpointOptions{.half_open_max = 64, .prefix_half_open_max = 8});
  // Ghosts of one network that never answer: their places are bounded.
  std::vector<Peer*> ghosts;
  for (int i = 0; i < 40; ++i) {
    Peer& ghost = pair.net.add();
    ASSERT_TRUE(ghost->dial(pair.b.id(), pair.b.address, ghost.address, pair.net.now()));
    ghost->flush(ghost, pair.net.now());
    ghost.endpoint.reset();
  }
  pair.net.run_for(20ms);
  EXPECT_EQ(pair.b->links().size(), 4u) << "half of the block's places, without proof";
}

// ---- Rates and pauses --------------------------------------------------------------------------

/// Keeps a stream of `pair` full from a to b, whose owner takes everything at once.
struct Flood {
  explicit Flood(Pair& p, Priority priority) : pair(p), stream(p.open(priority)) {
    pair.b.events.keep_data = false;
    pair.b.events.when_opened = [this, priority](StreamId id) {
      pair.b->set_priority(id, priority);
    };
    pair.b.events.when_data = [this](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
    pair.a.events.when_sent = [this](StreamId, std::size_t) { fill(); };
    fill();
  }
  void fill() {
    while (pair.a->queued_bytes(stream) < 64 * 1024) {
      memory::Block block = pair.a.pool.take(memory::BlockSize::bulk);
      block.append(memory::capacity_of(memory::BlockSize::bulk));
      pair.a->write(stream, std::move(block));
    }
  }
  Pair& pair;
  StreamId stream;
};

TEST(Rate, ALinkReceivesNoMoreThanItsRate) {
  EndpointOptions limited{.stream_window_bytes = 256 * 1024,
                          .link_window_bytes = 256 * 1024,
                          .link_bytes_per_second = 1'000'000};
  Pair pair(1, {}, limited);
  pair.connect();
  Flood flood(pair, Priority::normal);
  pair.net.run_for(5s);
  // A window and a burst of a second ahead, then the rate.
  EXPECT_LE(pair.b.events.bytes_in, 256u * 1024 + 6'100'000u);
  EXPECT_GE(pair.b.events.bytes_in, 5'000'000u);
}

TEST(Pause, StopsAPriorityAndNothingElse) {
  EndpointOptions options{
      .stream_window_bytes = 128 * 1024, .long_windows_bytes = 0, .link_window_bytes = 256 * 1024};
  Pair pair(1, options, options);
  pair.connect();
  Flood flood(pair, Priority::low);
  pair.net.run_for(500ms);
  const std::size_t before = pair.b.events.bytes_in;
  EXPECT_GT(before, 256u * 1024);

  pair.b->pause(Priority::low, true);
  pair.net.run_for(2s);
  EXPECT_LE(pair.b.events.bytes_in, before + options.stream_window_bytes)
      << "at most the window that was open";
  const std::size_t paused = pair.b.events.bytes_in;
  pair.net.run_for(2s);
  EXPECT_EQ(pair.b.events.bytes_in, paused);

  // The link's own window is not used up by what is paused.
  const StreamId high = pair.open(Priority::high);
  for (int i = 0; i < 12; ++i) pair.a->write(high, pair.a.block(pattern(8192, 1)));
  ASSERT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in >= paused + 12u * 8192; }));

  pair.b->pause(Priority::low, false);
  ASSERT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in > paused + 1'000'000; }));
}

// ---- Clean-up ----------------------------------------------------------------------------------

TEST(Silence, APeerThatDiesInTrafficIsNoticedWithinTheBound) {
  EndpointOptions options{.keepalive = 10'000ms, .silence_max = 1'500ms};
  Pair pair(1, options, options);
  pair.connect();
  Flood flood(pair, Priority::normal);
  pair.net.run_for(1s);
  pair.a.endpoint.reset();
  const TimePoint died = pair.net.now().mono;
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.b.events.closed.empty(); }));
  EXPECT_LE(pair.net.now().mono - died, 1'600ms);
  EXPECT_EQ(pair.b.events.closed[0].second.code, Errc::unreachable);
  EXPECT_EQ(pair.b->stats().ended_silent, 1u);
}

TEST(Silence, ADeadReceiverIsNoticedToo) {
  EndpointOptions options{.keepalive = 10'000ms, .silence_max = 1'500ms};
  Pair pair(2, options, options);
  pair.connect();
  Flood flood(pair, Priority::normal);
  pair.net.run_for(1s);
  pair.b.endpoint.reset();
  const TimePoint died = pair.net.now().mono;
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_LE(pair.net.now().mono - died, 1'600ms);
}

/// Gossip to a peer that is gone would fill the window of a link that nobody uses: what uses it
/// later would not leave, and wait for the idle timeout.
TEST(Silence, OfALinkThatNobodyUsesIsNoticedByWhatGossipSays) {
  EndpointOptions options{.idle_timeout = 30s, .keepalive = 10'000ms, .silence_max = 1'500ms};
  Pair pair(4, options, options);
  pair.connect();
  pair.net.run_for(1s);
  pair.b.endpoint.reset();
  pair.net.run_for(3s);
  EXPECT_TRUE(pair.a.events.closed.empty()) << "nothing was said";
  ASSERT_TRUE(pair.a->send_control(pair.link, 0x12, pattern(100, 1)));
  const TimePoint said = pair.net.now().mono;
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_LE(pair.net.now().mono - said, 3'100ms)
      << "two silences: its path is known by old samples";
  EXPECT_EQ(pair.a->stats().ended_silent, 1u);
}

TEST(Silence, AQuietLinkIsNotAskedAllTheTime) {
  EndpointOptions options{.idle_timeout = 30s, .keepalive = 10'000ms, .silence_max = 1'500ms};
  Pair pair(3, options, options);
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(100, 1)));
  pair.net.run_for(10s);
  const std::uint64_t before = pair.net.carried;
  pair.net.run_for(60s);
  EXPECT_TRUE(pair.a.events.closed.empty());
  EXPECT_LT(pair.net.carried - before, 60u) << "a ping in ten seconds from each, and its answer";
}

TEST(Silence, LossDoesNotLookLikeDeath) {
  EndpointOptions options{.keepalive = 10'000ms, .silence_max = 1'500ms};
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Pair pair(seed, options, options);
    pair.connect();
    pair.net.faults = {.loss = 0.05, .reorder = 0.1};
    const StreamId stream = pair.open();
    for (int i = 0; i < 60; ++i) {
      pair.a->write(stream, pair.a.block(pattern(500, 1)));
      pair.net.run_for(1s);
    }
    EXPECT_TRUE(pair.a.events.closed.empty());
    EXPECT_TRUE(pair.b.events.closed.empty());
  }
}

TEST(Unused, LinksWithoutStreamsEndWhenAsked) {
  Pair pair;
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(10, 1)));
  pair.net.run_for(10s);
  EXPECT_EQ(pair.a->close_unused(5s, 8, pair.net.now()), 0u) << "it has a stream";
  pair.a->reset(stream, EndCode::none);
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a->close_unused(5s, 8, pair.net.now()), 0u) << "not for long enough";
  pair.net.run_for(5s);
  EXPECT_EQ(pair.a->close_unused(5s, 8, pair.net.now()), 1u);
  ASSERT_TRUE(pair.net.run(1s, [&] { return !pair.b.events.closed.empty(); }));
  EXPECT_TRUE(pair.a->links().empty());
  EXPECT_EQ(pair.a->stats().ended_unused, 1u);
}

TEST(Drain, ACircuitThatDoesNotEndDoesNotHoldALinkForEver) {
  EndpointOptions options{.keepalive = 2'000ms, .drain_max = 5'000ms};
  Pair pair(1, options, options);
  pair.connect();
  const StreamId stream = pair.open();
  pair.a->write(stream, pair.a.block(pattern(10, 1)));
  pair.net.run_for(100ms);
  pair.b->shutdown(pair.net.now());
  pair.net.run_for(4s);
  EXPECT_TRUE(pair.b.events.closed.empty());
  ASSERT_TRUE(pair.net.run(2s, [&] { return !pair.b.events.closed.empty(); }));
  ASSERT_TRUE(pair.net.run(1s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_EQ(pair.a->stats().ended_drained + pair.b->stats().ended_drained, 1u);
}

}  // namespace
}  // namespace qudag::link::testing
