// What handshakes do to a loop: dialers arrive at a fixed rate at an endpoint whose loop passes a
// steady stream of messages. One process; the dialers' own signatures run on their threads.
//   loop_lag/idle   nobody dials: what the machine does to a loop by itself, to compare with
//   loop_lag/turn   steps of handshakes inside the turn, as without a pool
//   loop_lag/pool   on a worker pool of half the cores, as a node has it
// Counters: how late the loop served deadlines and tasks, in microseconds (LoopStats::lag_us), the
// messages' one-way time, what the loop's thread used of its core, and what arrived.
// modules: link runtime
#include "base/histogram.h"
#include "crypto/identity.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"
#include "runtime/worker_pool.h"

#include <benchmark/benchmark.h>

#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>
#include <vector>

namespace qudag::link {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 1ms;           // of the message sender
constexpr int kMessagesPerTick = 10;  // of 1 KiB: 10 MB/s
constexpr std::size_t kMessageBytes = 1024;
constexpr int kDialers = 4;
constexpr auto kDialEvery = 20ms;  // each: 200/s together
constexpr auto kRun = 3s;

/// An endpoint with everything around it.
class Side : public runtime::Driven, public LinkEvents {
 public:
  explicit Side(runtime::WorkerPool* workers)
      : identity(std::move(*crypto::Identity::generate())),
        socket(std::move(*runtime::UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}))),
        loop(socket->native_handle()) {
    EndpointOptions options;
    options.workers = workers;
    options.executor = &loop;
    endpoint = std::move(*Endpoint::create(options, identity, pool, rng, *this, nullptr));
  }
  ~Side() override { stop(); }
  void start() {
    thread = std::thread([this] { loop.run(*this); });
  }
  /// What its loop's thread has used.
  double cpu_seconds() {
    clockid_t clock;
    timespec used{};
    if (pthread_getcpuclockid(thread.native_handle(), &clock) == 0) clock_gettime(clock, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  }
  void stop() {
    loop.stop();
    if (thread.joinable()) thread.join();
  }

  bool on_readable(Now now) override {
    for (int batch = 0; batch < 8; ++batch) {
      const auto received = socket->receive();
      if (received.empty()) return false;
      endpoint->receive(received, socket->local(), now);
    }
    return true;
  }
  void on_writable(Now) override { blocked = false; }
  void on_time(Now now) override {
    endpoint->on_time(now);
    if (now.mono >= tick_at) {
      tick_at = std::max(tick_at + tick_every, now.mono);
      tick(now);
    }
  }
  void flush(Now now) override { blocked = !endpoint->flush(*socket, now); }
  TimePoint next_deadline() const override { return std::min(tick_at, endpoint->next_deadline()); }
  bool wants_writable() const override { return blocked; }

  void on_link_ready(LinkId, Now) override { ++ready; }
  void on_link_closed(LinkId, const Error&, Now) override {}
  void on_control_frame(LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(StreamId, Now) override {}
  void on_stream_data(StreamId stream, std::uint64_t, Bytes data, Now) override {
    endpoint->consume(stream, data.size());
  }
  void on_stream_sent(StreamId, std::uint64_t, std::size_t, Now) override {}
  void on_stream_closed(StreamId, std::uint64_t, EndCode, Now) override {}
  virtual void tick(Now) {}

  crypto::Identity identity;
  crypto::SystemRng rng;
  memory::BlockPool pool;
  std::unique_ptr<runtime::UdpSocket> socket;
  std::unique_ptr<Endpoint> endpoint;
  bool blocked = false;
  std::atomic<std::uint64_t> ready{0};
  TimePoint tick_at = kNever;
  Duration tick_every{};
  runtime::Loop loop;
  std::thread thread;
};

/// What is measured: takes handshakes and messages. A message begins with when it was sent.
class Target final : public Side {
 public:
  using Side::Side;
  void on_stream_data(StreamId stream, std::uint64_t context, Bytes data, Now now) override {
    for (Bytes rest = data; !rest.empty();) {
      const std::size_t n = std::min(rest.size(), kMessageBytes - partial_);
      if (partial_ < head_.size()) {
        std::memcpy(head_.data() + partial_, rest.data(), std::min(n, head_.size() - partial_));
      }
      partial_ += n;
      rest = rest.subspan(n);
      if (partial_ < kMessageBytes) continue;
      partial_ = 0;
      const auto sent = static_cast<Duration::rep>(load_be<std::uint64_t>(head_.data()));
      transit_us.record(static_cast<std::uint64_t>(
          (runtime::system_now().mono.time_since_epoch() - Duration(sent)) / 1us));
    }
    Side::on_stream_data(stream, context, data, now);
  }
  Histogram transit_us;

 private:
  std::array<std::byte, 8> head_{};
  std::size_t partial_ = 0;
};

class Sender final : public Side {
 public:
  explicit Sender(const Target& to) : Side(nullptr), to_(to) {
    tick_every = kTick;
    tick_at = runtime::system_now().mono;
  }
  void on_link_ready(LinkId id, Now) override {
    stream_ = endpoint->open(id, Priority::normal, 0).value();
    ++ready;
  }
  void tick(Now now) override {
    if (!dialed_) {
      dialed_ =
          endpoint->dial(to_.identity.id(), to_.socket->local(), socket->local(), now).has_value();
    }
    if (stream_.index < 0) return;
    for (int i = 0; i < kMessagesPerTick; ++i) {
      memory::Block block = pool.take(memory::BlockSize::cell);
      if (!block) return;
      block.append(kMessageBytes);
      store_be(block.data(),
               static_cast<std::uint64_t>(runtime::system_now().mono.time_since_epoch().count()));
      endpoint->write(stream_, std::move(block));
    }
  }

 private:
  const Target& to_;
  bool dialed_ = false;
  StreamId stream_;
};

class Dialer final : public Side {
 public:
  Dialer(const Target& to, TimePoint first) : Side(nullptr), to_(to) {
    tick_every = kDialEvery;
    tick_at = first;
  }
  /// One link at a time, each with a fresh key: the old one goes when the next is due.
  void tick(Now now) override {
    if (link_) endpoint->close(*link_, EndCode::none, now);
    link_.reset();
    auto dialed = endpoint->dial(to_.identity.id(), to_.socket->local(), socket->local(), now);
    if (!dialed) return;
    link_ = *dialed;
    // A closing link is not dialed again before its end: the flush of this turn.
  }

 private:
  const Target& to_;
  std::optional<LinkId> link_;
};

enum class Dialing { none, in_turn, on_pool };

void loop_lag(benchmark::State& state, Dialing dialing) {
  runtime::ThreadWorkerPool workers(std::max(1u, std::thread::hardware_concurrency() / 2));
  for (auto _ : state) {
    Target target(dialing == Dialing::in_turn ? nullptr : &workers);
    target.start();
    Sender sender(target);
    sender.start();
    while (sender.ready == 0) std::this_thread::sleep_for(1ms);
    std::vector<std::unique_ptr<Dialer>> dialers;
    const TimePoint start = runtime::system_now().mono;
    for (int i = 0; dialing != Dialing::none && i < kDialers; ++i) {
      dialers.push_back(std::make_unique<Dialer>(target, start + i * kDialEvery / kDialers));
      dialers.back()->start();
    }
    const std::uint64_t ready_before = target.ready;
    std::this_thread::sleep_for(kRun);
    const std::uint64_t done = target.ready - ready_before;
    state.counters["loop_cpu_percent"] =
        100 * target.cpu_seconds() / std::chrono::duration<double>(kRun).count();
    for (auto& dialer : dialers) dialer->stop();
    sender.stop();
    target.stop();

    const Histogram& lag = target.loop.stats().lag_us;
    state.counters["lag_p50_us"] = static_cast<double>(lag.percentile(50));
    state.counters["lag_p99_us"] = static_cast<double>(lag.percentile(99));
    state.counters["lag_max_us"] = static_cast<double>(lag.max());
    state.counters["message_p50_us"] = static_cast<double>(target.transit_us.percentile(50));
    state.counters["message_p99_us"] = static_cast<double>(target.transit_us.percentile(99));
    state.counters["messages"] = static_cast<double>(target.transit_us.count());
    state.counters["handshakes_per_s"] =
        static_cast<double>(done) / std::chrono::duration<double>(kRun).count();
    state.counters["off_loop"] = static_cast<double>(target.endpoint->stats().steps_off_loop);
    state.counters["inline"] = static_cast<double>(target.endpoint->stats().steps_inline);
  }
}

#define QUDAG_LOOP_LAG(name, dialing) \
  BENCHMARK_CAPTURE(loop_lag, name, dialing)->Iterations(1)->UseRealTime()->Unit(benchmark::kSecond)
QUDAG_LOOP_LAG(idle, Dialing::none);
QUDAG_LOOP_LAG(turn, Dialing::in_turn);
QUDAG_LOOP_LAG(pool, Dialing::on_pool);

}  // namespace
}  // namespace qudag::link
