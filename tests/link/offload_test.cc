// Handshakes whose slow steps run on a worker pool: they complete, they may end at any moment, and
// a pool that is slow, full or dead does no harm. Virtual workers first, then real threads.
#include "crypto/random.h"
#include "link/net.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"
#include "runtime/worker_pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace qudag::link::testing {
namespace {

/// Two endpoints whose handshakes go to the net's workers.
struct Offloaded {
  explicit Offloaded(std::uint64_t seed = 1, EndpointOptions options = {}) : net(seed) {
    options.workers = &net.workers;
    options.executor = &net.workers;
    a = &net.add(options);
    b = &net.add(options);
  }
  LinkId dial() {
    const auto link = (*a)->dial(b->id(), b->address, a->address, net.now());
    EXPECT_TRUE(link) << link.error().message();
    return link.value_or(LinkId{});
  }
  bool both_ready() const { return !a->events.ready.empty() && !b->events.ready.empty(); }
  /// Runs until a step of that peer is at a worker, and stays there.
  void stop_in_step_of(const Peer& peer) {
    net.workers.held = false;
    const auto before = peer.endpoint->stats().steps_off_loop;
    ASSERT_TRUE(net.run(10s, [&] { return peer.endpoint->stats().steps_off_loop > before; }));
    ASSERT_EQ(peer.endpoint->stats().steps_waiting, 1u);
    net.workers.held = true;
  }

  Net net;
  Peer* a = nullptr;
  Peer* b = nullptr;
};

TEST(Offload, HandshakesCompleteAndNoStepRunsInATurn) {
  Offloaded pair;
  const LinkId link = pair.dial();
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
  for (Peer* peer : {pair.a, pair.b}) {
    const auto info = (*peer)->info(peer->events.ready.at(0));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->tls_group, "X25519MLKEM768");
    EXPECT_EQ(info->tls_signature, "mldsa65");
    const EndpointStats stats = (*peer)->stats();
    EXPECT_GE(stats.steps_off_loop, 2u);
    EXPECT_EQ(stats.steps_inline, 0u);
    EXPECT_EQ(stats.steps_waiting, 0u);
    EXPECT_EQ(stats.held_dropped, 0u);
  }
  EXPECT_EQ(pair.b->endpoint->stats().steps_off_loop, 2u)
      << "one for the dialer's hello, one for its proof; half a flight costs none";

  // The link works like any other.
  const auto data = pattern(200'000, 7);
  const auto stream = (*pair.a)->open(link, Priority::normal, 0);
  ASSERT_TRUE(stream);
  for (std::size_t at = 0; at < data.size(); at += 8000) {
    (*pair.a)->write(*stream, pair.a->block(Bytes(data).subspan(at, 8000)));
  }
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.b->events.bytes_in == data.size(); }));
  EXPECT_EQ(pair.b->events.streams.begin()->second.data, data);
}

TEST(Offload, SlowWorkersUnderHeavyLoss) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Offloaded pair(seed);
    pair.net.workers.delay = std::chrono::milliseconds(1 + 17 * (seed % 5));
    pair.net.faults = {.loss = 0.2, .duplicate = 0.1, .reorder = 0.3};
    pair.dial();
    ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
  }
}

/// A pool that stood still for a minute ends jobs that it never began.
TEST(Offload, AStepThatWasNeverBegunIsTakenAgain) {
  Offloaded pair;
  pair.net.workers.to_expire = 5;
  const LinkId link = pair.dial();
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
  EXPECT_EQ(pair.net.workers.to_expire, 0u);
  for (Peer* peer : {pair.a, pair.b}) EXPECT_EQ((*peer)->stats().steps_waiting, 0u);
  EXPECT_TRUE((*pair.a)->open(link, Priority::normal, 0));
}

TEST(Offload, KeyLogLinesComeOnTheShardsThread) {
  std::vector<std::string> lines;
  Offloaded pair(
      1, EndpointOptions{.keylog = [&](std::string_view line) { lines.emplace_back(line); }});
  pair.dial();
  pair.stop_in_step_of(*pair.a);
  EXPECT_TRUE(lines.empty()) << "a step of TLS tells nobody";
  pair.net.workers.held = false;
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
  const auto secrets = std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("CLIENT_TRAFFIC_SECRET_0 ");
  });
  EXPECT_EQ(secrets, 2) << "one of each side";
}

TEST(Offload, AWrongIdIsStillRefused) {
  Offloaded pair;
  NodeId other = pair.b->id();
  other.bytes[0] ^= std::byte{1};
  ASSERT_TRUE((*pair.a)->dial(other, pair.b->address, pair.a->address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a->events.closed.empty(); }));
  EXPECT_EQ(pair.a->events.closed[0].second.code, Errc::identity_mismatch);
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.b->events.ready.empty());
  EXPECT_TRUE((*pair.b)->links().empty());
}

TEST(Offload, ManyDialsAtOnceHaveKeysOfTheirOwn) {
  // One throwaway key is made ahead; the steps of the other dials make theirs.
  Offloaded first;
  std::vector<Peer*> others;
  for (int i = 0; i < 5; ++i) others.push_back(&first.net.add());
  first.dial();
  for (Peer* peer : others) {
    ASSERT_TRUE((*first.a)->dial(peer->id(), peer->address, first.a->address, first.net.now()));
  }
  ASSERT_TRUE(first.net.run(10s, [&] { return first.a->events.ready.size() == 6; }));
  EXPECT_EQ(first.a->endpoint->stats().steps_inline, 0u);
  EXPECT_EQ(first.a->endpoint->stats().handshakes_failed, 0u);
}

TEST(Offload, WhatComesDuringAStepIsHeldWithinBounds) {
  Offloaded pair;
  pair.dial();
  std::vector<std::vector<std::byte>> seen;
  pair.net.tap = [&](const SocketAddress& from, const SocketAddress&, Bytes data) {
    if (from == pair.a->address) seen.emplace_back(data.begin(), data.end());
  };
  pair.stop_in_step_of(*pair.a);
  pair.stop_in_step_of(*pair.b);
  ASSERT_FALSE(seen.empty());
  const std::uint64_t carried = pair.net.carried;
  for (int i = 0; i < 100; ++i) {
    pair.net.inject(pair.net.now().mono, pair.a->address, pair.b->address, seen.back());
  }
  pair.net.run_for(50ms);
  EXPECT_EQ(pair.net.carried, carried) << "a link in a step answers nothing";
  EXPECT_GE(pair.b->endpoint->stats().held_dropped, 80u);
  EXPECT_LT(pair.b->endpoint->stats().held_dropped, 100u);
  pair.net.workers.held = false;
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
}

TEST(Offload, ALinkMayEndDuringAnyStep) {
  // Every step of either side in turn: closed by its owner, shut down, or its endpoint destroyed.
  enum class End { close, shutdown, destroy };
  for (const End end : {End::close, End::shutdown, End::destroy}) {
    for (const bool dialer : {true, false}) {
      for (int steps = 1; steps <= 2; ++steps) {
        SCOPED_TRACE(::testing::Message() << static_cast<int>(end) << dialer << steps);
        Offloaded pair(1, EndpointOptions{.idle_timeout = 5s});
        const LinkId dialed = pair.dial();
        Peer& peer = dialer ? *pair.a : *pair.b;
        for (int i = 0; i < steps; ++i) pair.stop_in_step_of(peer);
        const auto links = peer->links();
        ASSERT_EQ(links.size(), 1u);
        if (end == End::close) peer->close(links[0].id, EndCode::refused, pair.net.now());
        if (end == End::shutdown) peer->shutdown(pair.net.now());
        if (end == End::destroy) peer.endpoint.reset();
        pair.net.run_for(50ms);
        if (peer.endpoint) {
          EXPECT_TRUE(peer->links().empty());
          EXPECT_EQ(peer->stats().steps_waiting, 0u);
          EXPECT_EQ(peer.events.closed.size(), dialer ? 1u : 0u);
        }
        pair.net.workers.held = false;  // the step comes back to nobody
        pair.net.run_for(11s);
        EXPECT_EQ(pair.net.workers.waiting(), 0u);
        EXPECT_TRUE(peer.events.ready.empty());
        if (pair.a->endpoint) {
          EXPECT_TRUE((*pair.a)->links().empty());
          ASSERT_EQ(pair.a->events.closed.size(), 1u);
          EXPECT_EQ(pair.a->events.closed[0].first, dialed);
        }
      }
    }
  }
}

TEST(Offload, WorkersThatNeverAnswerAreATimeout) {
  Offloaded pair(1, EndpointOptions{.handshake_timeout = 3s});
  pair.dial();
  pair.stop_in_step_of(*pair.a);
  pair.stop_in_step_of(*pair.b);
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a->events.closed.empty(); }));
  EXPECT_EQ(pair.a->events.closed[0].second.code, Errc::unreachable);
  pair.net.run_for(2s);  // the dialer heard nothing, and has given up before
  EXPECT_TRUE((*pair.b)->links().empty());
  EXPECT_EQ((*pair.b)->stats().steps_waiting, 0u);
}

TEST(Offload, AFullPoolIsCountedAndTriedAgain) {
  Offloaded pair;
  pair.net.workers.waiting_max = 0;
  pair.dial();
  pair.net.run_for(100ms);
  EXPECT_GE(pair.a->endpoint->stats().steps_put_off, 10u);
  EXPECT_LE(pair.a->endpoint->stats().steps_put_off, 220u) << "not in every turn";
  EXPECT_EQ(pair.a->endpoint->stats().steps_off_loop, 0u);
  EXPECT_EQ(pair.a->endpoint->stats().steps_waiting, 1u);
  pair.net.workers.waiting_max = 1;
  ASSERT_TRUE(pair.net.run(10s, [&] { return pair.both_ready(); }));
  EXPECT_EQ(pair.a->endpoint->stats().steps_inline, 0u);
  EXPECT_EQ(pair.a->endpoint->stats().steps_waiting, 0u);
}

TEST(Offload, HandshakesUnderWayAreBounded) {
  // Forty dialers at once: at most 16 steps at the pool, and what half_open_max refuses is refused.
  Net net;
  EndpointOptions options{.half_open_max = 20};
  options.workers = &net.workers;
  options.executor = &net.workers;
  Peer& target = net.add(options);
  std::vector<Peer*> dialers;
  for (int i = 0; i < 40; ++i) {
    dialers.push_back(&net.add());
    ASSERT_TRUE(
        (*dialers.back())->dial(target.id(), target.address, dialers.back()->address, net.now()));
  }
  std::size_t most = 0;
  const auto settled = [&] {
    most = std::max(most, net.workers.waiting());
    EXPECT_LE(target->stats().steps_waiting, 20u);
    return std::all_of(dialers.begin(), dialers.end(), [](const Peer* dialer) {
      return !dialer->events.ready.empty() || !dialer->events.closed.empty();
    });
  };
  net.workers.held = true;
  net.run_for(50ms);
  settled();
  net.workers.held = false;
  ASSERT_TRUE(net.run(20s, settled));
  net.run_for(1s);
  EXPECT_GT(most, 5u);
  EXPECT_LE(most, 17u) << "steps, and a throwaway key";
  EXPECT_GT(target->stats().retries_sent, 0u);
  EXPECT_GT(target->stats().links_refused, 0u);
  const auto ready = std::count_if(dialers.begin(), dialers.end(), [](const Peer* dialer) {
    return !dialer->events.ready.empty();
  });
  EXPECT_GE(ready, 10);
  EXPECT_EQ(target->stats().handshakes_done, static_cast<std::uint64_t>(ready));
}

// ---- Real threads and sockets -------------------------------------------------------------------

class Side final : public runtime::Driven, public LinkEvents {
 public:
  explicit Side(runtime::WorkerPool& workers)
      : identity(std::move(*crypto::Identity::generate())),
        socket(std::move(*runtime::UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}))),
        loop(socket->native_handle()) {
    EndpointOptions options;
    options.workers = &workers;
    options.executor = &loop;
    endpoint = std::move(*Endpoint::create(options, identity, pool, rng, *this, nullptr));
    thread = std::thread([this] { loop.run(*this); });
  }
  ~Side() override { stop(); }
  void stop() {
    loop.stop();
    if (thread.joinable()) thread.join();
  }

  bool on_readable(Now now) override {
    const auto batch = socket->receive();
    endpoint->receive(batch, socket->local(), now);
    return !batch.empty();
  }
  void on_writable(Now) override { blocked = false; }
  void on_time(Now now) override { endpoint->on_time(now); }
  void flush(Now now) override { blocked = !endpoint->flush(*socket, now); }
  TimePoint next_deadline() const override { return endpoint->next_deadline(); }
  bool wants_writable() const override { return blocked; }

  void on_link_ready(LinkId link, Now now) override {
    if (endpoint->info(link)->dialer) endpoint->close(link, EndCode::none, now);
    count(ready);
  }
  void on_link_closed(LinkId, const Error&, Now) override { count(closed); }
  void on_control_frame(LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(StreamId, Now) override {}
  void on_stream_data(StreamId, std::uint64_t, Bytes, Now) override {}
  void on_stream_sent(StreamId, std::uint64_t, std::size_t, Now) override {}
  void on_stream_closed(StreamId, std::uint64_t, EndCode, Now) override {}

  void count(int& what) {
    const std::lock_guard lock(mutex);
    ++what;
    changed.notify_all();
  }
  void wait_for(int& what, int wanted) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return what >= wanted; });
  }
  void dial(const Side& to) {
    (void)loop.post([this, &to](Now now) {
      static_cast<void>(endpoint->dial(to.identity.id(), to.socket->local(), socket->local(), now));
    });
  }

  crypto::Identity identity;
  crypto::SystemRng rng;
  memory::BlockPool pool;
  std::unique_ptr<runtime::UdpSocket> socket;
  std::unique_ptr<Endpoint> endpoint;
  bool blocked = false;
  std::mutex mutex;
  std::condition_variable changed;
  int ready = 0;
  int closed = 0;
  runtime::Loop loop;
  std::thread thread;
};

TEST(OffloadThreads, LinksComeAndGoOverRealSockets) {
  auto workers = std::make_unique<runtime::ThreadWorkerPool>(2);
  std::vector<std::unique_ptr<Side>> sides;
  for (int i = 0; i < 5; ++i) sides.push_back(std::make_unique<Side>(*workers));
  Side& target = *sides[0];
  for (int round = 1; round <= 8; ++round) {
    for (std::size_t i = 1; i < sides.size(); ++i) sides[i]->dial(target);
    for (std::size_t i = 1; i < sides.size(); ++i) sides[i]->wait_for(sides[i]->closed, round);
  }
  for (std::size_t i = 1; i < sides.size(); ++i) EXPECT_EQ(sides[i]->ready, 8);
  // Loops end while handshakes are at the workers, in the order that a node stops.
  for (std::size_t i = 1; i < sides.size(); ++i) sides[i]->dial(target);
  for (auto& side : sides) side->stop();
  EXPECT_GE(target.endpoint->stats().steps_off_loop, 2u * 8u);
  EXPECT_EQ(target.endpoint->stats().steps_inline, 0u);
  workers.reset();
  for (auto& side : sides) side->endpoint.reset();
}

}  // namespace
}  // namespace qudag::link::testing
