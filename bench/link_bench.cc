// One link over loopback: two endpoints, each with its own thread, loop and UDP socket.
// Reports the goodput of one direction, on one stream and on several.
// rooms: link runtime
#include "crypto/identity.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace qudag::link {
namespace {

constexpr std::size_t kAhead = 256 * 1024;  // queued per stream
constexpr std::size_t kCellBytes = 8192;

/// An endpoint with everything around it, as a shard has it.
class Side final : public runtime::Driven, public Events {
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
    link = id;
    ready.set_value();
  }
  void on_link_closed(LinkId, const Error&, Now) override {}
  void on_control_frame(LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(StreamId, Now) override {}
  void on_stream_data(StreamId stream, std::uint64_t, Bytes data, Now) override {
    endpoint->consume(stream, data.size());
    bytes_in.fetch_add(data.size(), std::memory_order_relaxed);
  }
  void on_stream_sent(StreamId stream, std::uint64_t, std::size_t, Now) override { fill(stream); }
  void on_stream_closed(StreamId, std::uint64_t, Code, Now) override {}

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
  std::atomic<std::uint64_t> bytes_in{0};
  bool blocked = false;
  runtime::Loop loop;
  std::thread thread;
};

void one_direction(benchmark::State& state) {
  const auto streams = static_cast<std::size_t>(state.range(0));
  Side from;
  Side to;
  from.loop.post([&](Now now) {
    (void)from.endpoint->dial(to.identity.id(), to.socket->local(), from.socket->local(), now);
  });
  from.ready.get_future().wait();
  from.loop.post([&](Now) {
    for (std::size_t i = 0; i < streams; ++i) {
      from.fill(from.endpoint->open(from.link, Class::low, 0).value());
    }
  });
  constexpr std::uint64_t kPart = 64 << 20;
  const auto wait_for = [&](std::uint64_t bytes) {
    while (to.bytes_in.load(std::memory_order_relaxed) < bytes) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  };
  wait_for(kPart);  // past slow start and path MTU discovery
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    const std::uint64_t start = to.bytes_in.load(std::memory_order_relaxed);
    wait_for(start + kPart);
    bytes += to.bytes_in.load(std::memory_order_relaxed) - start;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  // Counters are the loops' own: they are asked for on their threads.
  const auto ask = [](Side& side, auto question) {
    std::promise<decltype(question())> answer;
    side.loop.post([&](Now) { answer.set_value(question()); });
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
