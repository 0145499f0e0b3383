// The parts of the room that need no connection: frames, schedule, timers, connection ids.
#include "base/deadline_heap.h"
#include "link/path/pacer.h"
#include "link/stream/control.h"
#include "link/stream/scheduler.h"

#include "link/net.h"
#include "link/path/cid.h"

#include <set>

namespace qudag::link::testing {
namespace {

std::vector<std::byte> frame_bytes(std::uint8_t type, const std::vector<std::byte>& body) {
  std::vector<std::byte> out(wire::kControlHeaderBytes);
  out[0] = std::byte{type};
  store_be(out.data() + 1, static_cast<std::uint16_t>(body.size()));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

TEST(ControlReader, CutsFramesWhateverPiecesTheyComeIn) {
  std::vector<std::vector<std::byte>> bodies = {
      {}, pattern(1, 1), pattern(16'384, 2), pattern(300, 3)};
  std::vector<std::byte> stream;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const auto bytes = frame_bytes(static_cast<std::uint8_t>(0x10 + i), bodies[i]);
    stream.insert(stream.end(), bytes.begin(), bytes.end());
  }
  for (const std::size_t piece : {1u, 2u, 3u, 4u, 7u, 1000u, 100'000u}) {
    SCOPED_TRACE(piece);
    ControlReader reader;
    std::size_t seen = 0;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      Bytes in = Bytes(stream).subspan(at, std::min(piece, stream.size() - at));
      ControlFrame frame;
      for (;;) {
        const auto step = reader.next(in, frame);
        ASSERT_NE(step, ControlReader::Step::malformed);
        if (step == ControlReader::Step::need_more) break;
        ASSERT_LT(seen, bodies.size());
        EXPECT_EQ(frame.type, 0x10 + seen);
        EXPECT_TRUE(std::equal(frame.body.begin(), frame.body.end(), bodies[seen].begin(),
                               bodies[seen].end()));
        ++seen;
      }
      EXPECT_TRUE(in.empty());
    }
    EXPECT_EQ(seen, bodies.size());
  }
}

TEST(ControlReader, RefusesLongFramesByTheirHeader) {
  for (const bool split : {false, true}) {
    const std::array<std::byte, 3> header = {std::byte{0x10}, std::byte{0x40}, std::byte{0x01}};
    ControlReader reader;
    ControlFrame frame;
    Bytes in = split ? Bytes(header).first(2) : Bytes(header);
    auto step = reader.next(in, frame);
    if (split) {
      EXPECT_EQ(step, ControlReader::Step::need_more);
      in = Bytes(header).subspan(2);
      step = reader.next(in, frame);
    }
    EXPECT_EQ(step, ControlReader::Step::malformed);
  }
}

class Scheduling : public ::testing::Test {
 protected:
  Stream& stream(Priority priority, std::size_t bytes) {
    const auto index = static_cast<std::int64_t>(streams_.size());
    streams_.emplace_back(new (heap_) Stream(index, level_of(priority)));
    Stream& out = *streams_.back();
    while (bytes > 0) {
      memory::Block block = pool_.take(memory::BlockSize::cell);
      const std::size_t n = std::min<std::size_t>(bytes, 1024);
      block.append(n);
      out.push(std::move(block));
      bytes -= n;
    }
    scheduler_.add(out);
    return out;
  }
  /// One packet's worth from whoever has the turn.
  Stream* send(std::size_t bytes = 1024) {
    Stream* const turn = scheduler_.pick();
    if (turn == nullptr) return nullptr;
    bytes = std::min(bytes, turn->queued_bytes());
    turn->sent(bytes);
    scheduler_.charge(*turn, bytes);
    return turn;
  }

  memory::SlabHeap heap_;
  memory::BlockPool pool_;
  std::vector<std::unique_ptr<Stream>> streams_;
  Scheduler scheduler_;
};

TEST_F(Scheduling, EmptyPicksNothing) { EXPECT_EQ(scheduler_.pick(), nullptr); }

TEST_F(Scheduling, UrgentFirst) {
  Stream& low = stream(Priority::low, 2048);
  Stream& normal = stream(Priority::normal, 2048);
  Stream& high = stream(Priority::high, 2048);
  std::vector<Stream*> order;
  while (Stream* one = send()) order.push_back(one);
  EXPECT_EQ(order, (std::vector<Stream*>{&high, &high, &normal, &normal, &low, &low}));
  EXPECT_TRUE(scheduler_.empty());
}

TEST_F(Scheduling, TurnsAreByBytesNotByPieces) {
  Stream& short_pieces = stream(Priority::normal, 200'000);
  Stream& long_pieces = stream(Priority::normal, 200'000);
  std::size_t got_short = 0;
  std::size_t got_long = 0;
  for (int i = 0; i < 300; ++i) {
    Stream* const turn = scheduler_.pick();
    const std::size_t n = turn == &short_pieces ? 100 : 1400;
    turn->sent(n);
    scheduler_.charge(*turn, n);
    (turn == &short_pieces ? got_short : got_long) += n;
  }
  (void)long_pieces;
  EXPECT_NEAR(static_cast<double>(got_short), static_cast<double>(got_long), 8192.0);
}

TEST_F(Scheduling, LowKeepsItsShareBelowAFlood) {
  Stream& high = stream(Priority::high, 4'000'000);
  Stream& low = stream(Priority::low, 4'000'000);
  std::size_t low_bytes = 0;
  for (int i = 0; i < 2000; ++i) {
    if (send() == &low) low_bytes += 1024;
  }
  (void)high;
  EXPECT_NEAR(static_cast<double>(low_bytes), 2000 * 1024.0 / 17, 2000 * 1024.0 / 100);
}

TEST_F(Scheduling, TheShareIsTheSameWithLargePackets) {
  Stream& high = stream(Priority::high, 20'000'000);
  Stream& low = stream(Priority::low, 4'000'000);
  std::size_t low_bytes = 0;
  constexpr std::size_t kPacket = 8900;
  for (int i = 0; i < 2000; ++i) {
    Stream* const turn = scheduler_.pick();
    turn->sent(kPacket);
    scheduler_.charge(*turn, kPacket);
    if (turn == &low) low_bytes += kPacket;
  }
  (void)high;
  EXPECT_NEAR(static_cast<double>(low_bytes), 2000.0 * kPacket / 17, 2000.0 * kPacket / 100);
}

TEST_F(Scheduling, WhoHasLittleOutstandingGoesBeforeATransfer) {
  Stream& bulk = stream(Priority::normal, 200'000);
  EXPECT_EQ(send(), &bulk);
  Stream& message = stream(Priority::normal, kSparseBytes);
  EXPECT_EQ(send(), &message);
  EXPECT_EQ(send(), &message) << "all of it";
  EXPECT_EQ(send(), &bulk);
  EXPECT_EQ(scheduler_.pick_sparse(), nullptr);
  Stream& more = stream(Priority::normal, kSparseBytes + 1);
  EXPECT_FALSE(more.sparse);
  EXPECT_EQ(send(), &bulk) << "its turn is not over";
}

TEST_F(Scheduling, ManyWithLittleDoNotStarveATransfer) {
  Stream& bulk = stream(Priority::normal, 4'000'000);
  std::size_t got_bulk = 0;
  std::size_t got_others = 0;
  for (int i = 0; i < 1'000; ++i) {
    stream(Priority::normal, 1'000);
    Stream* const turn = send(1'000);
    (turn == &bulk ? got_bulk : got_others) += 1'000;
  }
  EXPECT_NEAR(static_cast<double>(got_bulk), static_cast<double>(got_others), 2 * kSparseAheadMax);
}

TEST(Pacer, LetsAQuarterMoreThanAWindowGoInARoundTrip) {
  constexpr std::uint64_t kWindow = 200'000;
  Pacer pacer;
  TimePoint now(1s);
  std::size_t went = 0;
  std::size_t at_once = 0;
  for (const TimePoint end = now + 10s; now < end; now = std::max(now, pacer.ready_at())) {
    pacer.fill(kWindow, 50ms, now);
    at_once = std::max(at_once, pacer.available());
    went += pacer.available();
    pacer.spend(pacer.available());
  }
  EXPECT_NEAR(static_cast<double>(went), 200 * 1.25 * kWindow, 0.01 * 200 * 1.25 * kWindow);
  EXPECT_LE(at_once, kBurst);
}

TEST(Pacer, ABucketThatFilledMeanwhileIsForAll) {
  Pacer pacer;
  pacer.fill(3'000, 100ms, TimePoint(1s));
  EXPECT_EQ(pacer.available(), kBurst) << "no packet waits for the one before";
  pacer.spend(kBurst - 100);
  EXPECT_EQ(pacer.available(), 0u) << "not even one";
  EXPECT_EQ(pacer.ready_at(),
            TimePoint(1s) + std::chrono::microseconds((kBurst / 2 - 100) * 1'000'000 / 37'500 + 1));
  pacer.spend(9'000);  // a large packet is not cut
  pacer.fill(3'000, 100ms, TimePoint(1s) + 100ms);
  EXPECT_EQ(pacer.available(), 0u) << "it is owed";
  pacer.fill(3'000, 100ms, TimePoint(100s));
  EXPECT_EQ(pacer.available(), kBurst);
}

TEST_F(Scheduling, KnowsWhetherLittleIsQueued) {
  EXPECT_TRUE(scheduler_.queued_at_most(0));
  stream(Priority::low, 2048);
  stream(Priority::high, 1024);
  EXPECT_FALSE(scheduler_.queued_at_most(3071));
  EXPECT_TRUE(scheduler_.queued_at_most(3072));
}

TEST_F(Scheduling, RemovedStreamsGetNoTurn) {
  Stream& first = stream(Priority::normal, 2048);
  Stream& second = stream(Priority::normal, 2048);
  scheduler_.remove(first);
  scheduler_.remove(first);
  EXPECT_EQ(scheduler_.pick(), &second);
}

TEST(Stream, QueueKeepsWhatIsNotAcknowledged) {
  memory::BlockPool pool;
  Stream stream(4, level_of(Priority::normal));
  std::vector<ngtcp2_vec> pieces(4);
  for (const std::size_t size : {100u, 200u, 300u}) {
    memory::Block block = pool.take(memory::BlockSize::cell);
    block.append(size);
    stream.push(std::move(block));
  }
  EXPECT_EQ(stream.pending(pieces, 250), 2u);
  EXPECT_EQ(pieces[0].len, 100u);
  stream.sent(150);
  EXPECT_EQ(stream.queued_bytes(), 450u);
  EXPECT_EQ(stream.unacked_bytes(), 150u);
  EXPECT_EQ(stream.pending(pieces, 10'000), 2u);
  EXPECT_EQ(pieces[0].len, 150u) << "the rest of the second block";
  EXPECT_EQ(pool.stats().in_use[0], 3u);
  stream.acked(99);
  EXPECT_EQ(pool.stats().in_use[0], 3u);
  stream.acked(1);
  EXPECT_EQ(pool.stats().in_use[0], 2u);
  stream.acked(50);
  EXPECT_EQ(pool.stats().in_use[0], 2u) << "the second block is not sent yet";
  stream.sent(450);
  EXPECT_EQ(stream.pending(pieces, 1), 0u);
  stream.acked(450);
  EXPECT_EQ(pool.stats().in_use[0], 0u);
  EXPECT_EQ(stream.unacked_bytes(), 0u);
}

struct Timer {
  DeadlineHook deadline_hook;
  TimePoint at = kNever;
};

TEST(DeadlineHeap, IsASortedSetUnderRandomMoves) {
  DeadlineHeap<Timer> heap;
  std::vector<Timer> timers(200);
  SeededRng chance(5);
  for (int i = 0; i < 20'000; ++i) {
    Timer& timer = timers[chance.below(timers.size())];
    timer.at = chance.below(4) == 0
                   ? kNever
                   : TimePoint(Duration(static_cast<Duration::rep>(chance.below(1000))));
    heap.set(timer, timer.at);
    TimePoint earliest = kNever;
    for (const Timer& one : timers) earliest = std::min(earliest, one.at);
    ASSERT_EQ(heap.earliest(), earliest);
    ASSERT_TRUE(heap.empty() || heap.first()->at == earliest);
  }
  for (Timer& timer : timers) heap.remove(timer);
  EXPECT_TRUE(heap.empty());
}

TEST(Cid, NamesItsShardAndIsOtherwiseSpread) {
  SeededRng rng(1);
  for (const std::uint8_t shards : std::initializer_list<std::uint8_t>{1, 2, 3, 7, 64}) {
    for (std::uint8_t shard = 0; shard < shards; ++shard) {
      std::set<std::uint8_t> first_bytes;
      for (int i = 0; i < 3000; ++i) {
        const ngtcp2_cid cid = make_cid(rng, shard, shards);
        ASSERT_EQ(cid.datalen, kCidBytes);
        ASSERT_EQ(shard_of(cid.data[0], shards), shard);
        first_bytes.insert(cid.data[0]);
      }
      EXPECT_EQ(first_bytes.size(), (255u - shard) / shards + 1) << "every byte that may be";
    }
  }
}

}  // namespace
}  // namespace qudag::link::testing
