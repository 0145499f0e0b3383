// Paths that take packets of 1,500 bytes, as most of the internet, and lose some: the question
// whether they take larger ones vanishes every time, and must not hold the link up.
#include "net.h"

#include <gtest/gtest.h>

namespace qudag::link::testing {
namespace {

constexpr std::size_t kPathBytes = 1'472;  // of UDP payload

struct Transfer {
  bool whole = false;
  std::size_t probes = 0;  // datagrams larger than the path
  std::size_t arrived = 0;
};

/// `bytes` from a to b; after the first probe the path is cut for a while.
Transfer transfer(std::uint64_t seed, double loss, std::size_t bytes, Duration cut,
                  Congestion congestion = Congestion::cubic) {
  // Nothing but the transfer says anything.
  EndpointOptions options{
      .idle_timeout = 1'000'000ms, .keepalive = 1'000'000ms, .congestion = congestion};
  Pair pair(seed, options, options);
  pair.net.faults.latency = 20ms;
  pair.net.faults.bytes_per_second = 5e6;
  pair.net.faults.queue_time_max = 100ms;
  pair.net.faults.datagram_bytes_max = kPathBytes;
  pair.connect();
  Transfer out;
  std::optional<TimePoint> cut_until;
  pair.net.tap = [&](const SocketAddress&, const SocketAddress&, Bytes data) {
    if (data.size() <= kPathBytes) return;
    ++out.probes;
    if (cut > Duration(0) && !cut_until) cut_until = pair.net.now().mono + cut;
  };
  pair.b.events.keep_data = false;
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  const StreamId stream = pair.open(Priority::low);
  for (std::size_t i = 0; i < bytes; i += 8'000) {
    pair.a->write(stream, pair.a.block(pattern(std::min<std::size_t>(8'000, bytes - i), i)));
  }
  const auto done = [&] {
    const bool is_cut = cut_until && pair.net.now().mono < *cut_until;
    pair.net.faults.loss = is_cut ? 1 : loss;
    return pair.b.events.bytes_in == bytes;
  };
  out.whole = pair.net.run(200s, done);
  out.arrived = pair.b.events.bytes_in;
  EXPECT_TRUE(pair.a.events.closed.empty());
  return out;
}

TEST(PathMtu, LostProbesDoNotStopALossyLink) {
  std::size_t probes = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    const Transfer out = transfer(seed, 0.01 * static_cast<double>(seed % 6), 1'000'000, 0ms);
    EXPECT_TRUE(out.whole) << "seed " << seed << ": " << out.arrived;
    probes += out.probes;
  }
  EXPECT_GT(probes, 25u) << "the question is asked";
}

TEST(PathMtu, NorWhenTheWindowShrinksBelowAProbeThatWasLost) {
  // Cut for longer than three probe times: persistent congestion, the least window (RFC 9002, 7.6).
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    const auto cut = std::chrono::milliseconds(100 * seed);
    const auto congestion = seed % 2 == 0 ? Congestion::cubic : Congestion::bbr;
    const Transfer out = transfer(seed, 0.01, 1'000'000, cut, congestion);
    EXPECT_TRUE(out.whole) << "seed " << seed << ": " << out.arrived;
    EXPECT_GT(out.probes, 0u) << seed;
  }
}

}  // namespace
}  // namespace qudag::link::testing
