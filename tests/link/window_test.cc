// Windows that follow the path: what they grow by, what bounds them, and that nothing waits for
// ever.
#include "link/path/window.h"
#include "link/path/link_window.h"
#include "net.h"
#include "transfer.h"

#include <gtest/gtest.h>

namespace qudag::link::testing {
namespace {

constexpr std::size_t kKib = 1024;

TEST(Window, BecomesTwiceWhatARoundTripBrings) {
  const auto wanted = [](std::uint64_t kib, Duration took) {
    return wanted_in({.bytes = kib * kKib, .took = took, .round_trip = 100ms});
  };
  EXPECT_EQ(wanted(400, 100ms), 800u);
  EXPECT_EQ(wanted(400, 200ms), 400u) << "in two round trips";
  EXPECT_EQ(wanted(1'000'000, 100ms), 2 * kWindowKibMax);

  const auto next = [](std::size_t window, std::size_t want) {
    return next_window(window, 512, want);
  };
  EXPECT_EQ(next(512, 400), 512u) << "half of it is not used";
  EXPECT_EQ(next(512, 800), 800u);
  EXPECT_EQ(next(512, 5'000), 1024u) << "doubles at most";
  EXPECT_EQ(next(kWindowKibMax, 2 * kWindowKibMax), kWindowKibMax);
  EXPECT_EQ(next(4096, 1200), 4096u) << "no less for a moment's pause";
  EXPECT_EQ(next(4096, 800), 1600u) << "room for twice as much again";
  EXPECT_EQ(next(4096, 1), 512u);
  std::size_t smooth = 0;
  for (int i = 0; i < 40; ++i) smooth = smoothed(smooth, i % 2 == 0 ? 0 : 1'000, true);
  EXPECT_NEAR(static_cast<double>(smooth), 500.0, 100.0) << "held back, then at once";
  std::size_t grows = 100;
  for (int i = 0; i < 4; ++i) grows = smoothed(grows, 2 * grows, false);
  EXPECT_GE(grows, 500u) << "as the rate does, or nearly";
}

TEST(Window, TheSumIsOfWhatIsBeyondTheFirstSize) {
  WindowSum sum(512, 1'000);
  sum.change(512, 256);
  EXPECT_EQ(sum.used(), 0u);
  sum.change(256, 1'024);
  sum.change(512, 900);
  EXPECT_EQ(sum.used(), 900u);
  EXPECT_EQ(sum.left(), 100u);
  EXPECT_TRUE(sum.may_grow(512));
  EXPECT_FALSE(sum.may_grow(511));
  sum.set_max(800);
  EXPECT_FALSE(sum.may_grow(512));
  EXPECT_EQ(sum.left(), 0u);
  sum.remove(1'024);
  EXPECT_EQ(sum.used(), 388u);
  EXPECT_EQ(sum.least(), 256u);
}

/// 1 MiB at first, and a path of a millisecond.
struct Reach {
  std::uint64_t round(std::uint64_t bytes) {
    now += 1ms;
    std::uint64_t given = 0;
    constexpr std::uint64_t kPiece = 1'000;
    for (; bytes > 0; bytes -= std::min(bytes, kPiece)) {
      given += reach.grant(std::min(bytes, kPiece),
                           {.usual_kib = usual, .grown = sum, .path = path, .now = now});
    }
    return given;
  }
  std::size_t usual = 1'024;
  WindowSum sum{1'024, 8'192};
  PathState path{SocketAddress::v4(127, 0, 0, 1, 1), SocketAddress::v4(127, 0, 0, 1, 2)};
  LinkReach reach{1 << 20};
  TimePoint now{1h};
};

TEST(LinkReach, FollowsWhatARoundTripBringsAndNoByteIsLost) {
  Reach link;
  std::uint64_t consumed = 0, given = 0;
  const auto rounds = [&](int count, std::uint64_t bytes) {
    for (int i = 0; i < count; ++i) given += link.round(bytes), consumed += bytes;
  };
  rounds(10, 100 << 10);
  EXPECT_EQ(link.reach.kib(), 1'024u) << "enough";
  rounds(40, 2 << 20);
  EXPECT_NEAR(static_cast<double>(link.reach.kib()), 4'096, 100);
  EXPECT_EQ(given, consumed + (link.reach.kib() - 1'024) * 1'024);
  EXPECT_EQ(link.sum.used(), link.reach.kib() - 1'024);
  rounds(40, 20 << 20);
  EXPECT_EQ(link.reach.kib(), 1'024u + 8'192) << "no more than memory has";
  rounds(100, 100 << 10);
  EXPECT_LE(link.reach.kib(), 1'024u) << "it was not needed any more";
  rounds(40, 2 << 20);
  link.sum.set_max(0);
  rounds(2, 4 << 20);
  EXPECT_EQ(link.reach.kib(), 1'024u) << "memory is short";
  link.usual = 100;
  rounds(2, 4 << 20);
  EXPECT_EQ(link.reach.kib(), 512u) << "never below half: ngtcp2 would not tell";
  EXPECT_EQ(given + (512 << 10), consumed);
  link.usual = 1'024;
  rounds(2, 4 << 20);
  EXPECT_EQ(given, consumed);
  EXPECT_EQ(link.sum.used(), 0u);
}

TEST(LinkReach, TheSumIsGivenBackWithTheLink) {
  Reach link;
  for (int i = 0; i < 40; ++i) link.round(2 << 20);
  EXPECT_GT(link.sum.used(), 0u);
  link.reach.leave(link.sum);
  EXPECT_EQ(link.sum.used(), 0u);
  link.reach.leave(link.sum);
  EXPECT_EQ(link.sum.used(), 0u);
}

TEST(LongPath, ALinkIsNotBoundByItsFirstWindow) {
  EndpointOptions options;
  options.link_window_bytes = 512 << 10;
  Transfer transfer(options);
  transfer.pair.net.faults.bytes_per_second = 12.5e6;
  transfer.pair.net.faults.queue_time_max = 100ms;
  std::vector<StreamId> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(transfer.pair.open(Priority::low));
  transfer.run(streams, 3s);
  EXPECT_GT(transfer.run(streams, 2s), 2 * 11'000'000u);
  EXPECT_GT(transfer.pair.b->stats().link_windows_grown_bytes, 1u << 20);
}

TEST(LongPath, OneStreamIsNotBoundByItsFirstWindow) {
  for (const std::size_t piece : {std::size_t{100}, std::size_t{1'000}, std::size_t{100'000}}) {
    SCOPED_TRACE(piece);
    Transfer transfer;
    transfer.pair.net.faults.bytes_per_second = 12.5e6;
    transfer.pair.net.faults.queue_time_max = 100ms;
    transfer.piece = piece;
    const StreamId stream = transfer.pair.open(Priority::low);
    transfer.run({stream}, 3s);
    // 512 KiB in 100 ms would be 5.2 MB a second.
    EXPECT_GT(transfer.run({stream}, 2s), 2 * 11'000'000u);
    EXPECT_LE(transfer.grown(), (kWindowKibMax - 512) * kKib);
  }
}

TEST(LongPath, AGrownWindowFillsADeepQueueForARoundTripAtMost) {
  Transfer transfer;
  transfer.pair.net.faults.bytes_per_second = 12.5e6;
  transfer.pair.net.faults.queue_time_max = 10s;
  const StreamId stream = transfer.pair.open(Priority::low);
  transfer.run({stream}, 5s);
  EXPECT_GT(transfer.run({stream}, 2s), 2 * 11'500'000u);
  EXPECT_LT(transfer.pair.a->info(transfer.pair.link)->smoothed_rtt, 230ms)
      << "100 without a queue";
}

TEST(LongPath, WhoConsumesSlowlyGetsNoMore) {
  Transfer transfer;
  transfer.consume = false;
  const StreamId stream = transfer.pair.open(Priority::low);
  for (int i = 0; i < 100; ++i) {
    transfer.run({stream}, 50ms);
    transfer.pair.b->consume(transfer.pair.at_b(stream), 50'000);  // 1 MB a second
  }
  EXPECT_EQ(transfer.grown(), 0u);
  EXPECT_LE(transfer.taken.begin()->second, 100 * 50'000u + 512 * kKib);
}

TEST(LongPath, WindowsHaveASumAndItComesBack) {
  EndpointOptions options;
  options.long_windows_bytes = 3 << 20;
  Transfer transfer(options);
  std::vector<StreamId> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(transfer.pair.open(Priority::low));
  transfer.run(streams, 3s);
  EXPECT_EQ(transfer.grown(), options.long_windows_bytes) << "all of it is wanted";
  transfer.pair.b->set_long_windows(1 << 20);
  transfer.run(streams, 3s);
  EXPECT_LE(transfer.grown(), std::size_t{1} << 20) << "memory is short: it goes back";
  for (const StreamId stream : streams) transfer.pair.a->reset(stream, EndCode::none);
  transfer.pair.net.run_for(1s);
  EXPECT_EQ(transfer.grown(), 0u);
}

/// What ngtcp2 waits for before it tells of a window is a part of the first one, however small the
/// window is now.
TEST(LongPath, ASmallWindowGoesOnInSmallPieces) {
  Transfer transfer;
  const StreamId stream = transfer.pair.open(Priority::low);
  transfer.run({stream}, 1s);
  transfer.pair.b->set_stream_window(16 * kKib);
  transfer.pair.b->set_long_windows(0);
  transfer.run({stream}, 5s);
  EXPECT_EQ(transfer.grown(), 0u);
  transfer.piece = 500;
  EXPECT_GT(transfer.run({stream}, 5s), 5'000'000u) << "a quarter of a megabyte in a round trip";
}

}  // namespace
}  // namespace qudag::link::testing
