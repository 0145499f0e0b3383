// Links over loopback: endpoints with their own threads, loops and UDP sockets.
//   one_direction/n   goodput of one link, n streams
//   through_relays/n  goodput of one stream through n endpoints that copy each piece once and give
//                     window back when it has left, as a relay does
// modules: link runtime
#include "crypto/identity.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>
#include <vector>

namespace qudag::link {
namespace {

constexpr std::size_t kAhead = 256 * 1024;  // queued per stream
constexpr std::size_t kCellBytes = 8192;

/// An endpoint with everything around it, as a shard has it.
class Side final : public runtime::Driven, public LinkEvents {
 public:
  Side()
      : identity(std::move(*crypto::Identity::generate())),
        socket(std::move(*runtime::UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)}))),
        loop(socket->native_handle()) {
    EndpointOptions options;
    options.stream_window_bytes = 4 << 20;
    endpoint = std::move(*Endpoint::create(options, identity, pool, rng, *this, nullptr));
    thread = std::thread([this] { loop.run(*this); });
  }
  ~Side() override {
    loop.stop();
    thread.join();
  }

  bool on_readable(Now now) override {
    for (int batch = 0; batch < 4; ++batch) {
      const auto received = socket->receive();
      if (received.empty()) return false;
      endpoint->receive(received, socket->local(), now);
    }
    return true;
  }
  void on_writable(Now) override { blocked = false; }
  void on_time(Now now) override { endpoint->on_time(now); }
  void flush(Now now) override { blocked = !endpoint->flush(*socket, now); }
  TimePoint next_deadline() const override { return endpoint->next_deadline(); }
  bool wants_writable() const override { return blocked; }

  void on_link_ready(LinkId id, Now) override {
    if (!endpoint->info(id)->dialer) return;
    link = id;
    ready.set_value();
  }
  void on_link_closed(LinkId, const Error&, Now) override {}
  void on_control_frame(LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(StreamId stream, Now) override {
    if (!relay) return;
    in_stream = stream;
    out_stream = endpoint->open(link, Priority::low, 0).value();
  }
  void on_stream_data(StreamId stream, std::uint64_t, Bytes data, Now) override {
    bytes_in.fetch_add(data.size(), std::memory_order_relaxed);
    if (!relay) {
      endpoint->consume(stream, data.size());
      return;
    }
    while (!data.empty()) {
      if (!cell) cell = pool.take(memory::BlockSize::bulk);
      const std::size_t at = cell.size();
      const std::size_t n = std::min(data.size(), kCellBytes - at);
      cell.append(n);
      std::memcpy(cell.data() + at, data.data(), n);
      data = data.subspan(n);
      if (cell.size() == kCellBytes) endpoint->write(out_stream, std::move(cell));
    }
  }
  void on_stream_sent(StreamId stream, std::uint64_t, std::size_t bytes, Now) override {
    relay ? endpoint->consume(in_stream, bytes) : fill(stream);
  }
  void on_stream_closed(StreamId, std::uint64_t, EndCode, Now) override {}

  void fill(StreamId stream) {
    while (endpoint->queued_bytes(stream) < kAhead) {
      memory::Block block = pool.take(memory::BlockSize::bulk);
      if (!block) return;
      block.append(kCellBytes);
      endpoint->write(stream, std::move(block));
    }
  }

  crypto::Identity identity;
  crypto::SystemRng rng;
  memory::BlockPool pool;
  std::unique_ptr<runtime::UdpSocket> socket;
  std::unique_ptr<Endpoint> endpoint;
  LinkId link;
  std::promise<void> ready;
  bool relay = false;
  StreamId in_stream;
  StreamId out_stream;
  memory::Block cell;  // the relay's, being filled
  std::atomic<std::uint64_t> bytes_in{0};
  bool blocked = false;
  runtime::Loop loop;
  std::thread thread;
};

void dial(Side& from, Side& to) {
  (void)from.loop.post([&](Now now) {
    (void)from.endpoint->dial(to.identity.id(), to.socket->local(), from.socket->local(), now);
  });
  from.ready.get_future().wait();
}

void wait_for(const Side& side, std::uint64_t bytes) {
  while (side.bytes_in.load(std::memory_order_relaxed) < bytes) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

constexpr std::uint64_t kPart = 64 << 20;

/// Time for each kPart bytes that reach `to`, past slow start and path MTU discovery.
void measure(benchmark::State& state, const Side& to) {
  wait_for(to, kPart);
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    const std::uint64_t start = to.bytes_in.load(std::memory_order_relaxed);
    wait_for(to, start + kPart);
    bytes += to.bytes_in.load(std::memory_order_relaxed) - start;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

void through_relays(benchmark::State& state) {
  const auto relays = static_cast<std::size_t>(state.range(0));
  std::vector<std::unique_ptr<Side>> chain;
  for (std::size_t i = 0; i < relays + 2; ++i) {
    chain.push_back(std::make_unique<Side>());
    chain.back()->relay = i > 0 && i <= relays;
  }
  for (std::size_t i = relays + 1; i-- > 0;) dial(*chain[i], *chain[i + 1]);
  Side& from = *chain.front();
  (void)from.loop.post(
      [&](Now) { from.fill(from.endpoint->open(from.link, Priority::low, 0).value()); });
  measure(state, *chain.back());
}
BENCHMARK(through_relays)->Arg(1)->Arg(3)->UseRealTime()->Unit(benchmark::kMillisecond);

void one_direction(benchmark::State& state) {
  const auto streams = static_cast<std::size_t>(state.range(0));
  Side from;
  Side to;
  dial(from, to);
  (void)from.loop.post([&](Now) {
    for (std::size_t i = 0; i < streams; ++i) {
      from.fill(from.endpoint->open(from.link, Priority::low, 0).value());
    }
  });
  measure(state, to);
  // Counters are the loops' own: they are asked for on their threads.
  const auto ask = [](Side& side, auto question) {
    std::promise<decltype(question())> answer;
    (void)side.loop.post([&](Now) { answer.set_value(question()); });
    return answer.get_future().get();
  };
  const auto in = ask(to, [&] { return to.socket->stats(); });
  const auto out = ask(from, [&] { return from.socket->stats(); });
  const auto link = ask(from, [&] { return *from.endpoint->info(from.link); });
  const auto per = [](std::uint64_t n, std::uint64_t calls) {
    return static_cast<double>(n) / static_cast<double>(calls);
  };
  state.counters["datagrams_per_recv"] = per(in.received_datagrams, in.receive_calls);
  state.counters["datagrams_per_send"] = per(out.sent_datagrams, out.send_calls);
  state.counters["lost"] = static_cast<double>(link.packets_lost);
  state.counters["rtt_us"] = std::chrono::duration<double, std::micro>(link.smoothed_rtt).count();
}
BENCHMARK(one_direction)->Arg(1)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace qudag::link
