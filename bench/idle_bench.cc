// What a node holds while nothing happens, in real resident memory:
//
//   bench_idle node       a node alone, and after a burst through it (30 s to settle)
//   bench_idle links      per idle link, from 1,000 links of known dialers
//   bench_idle circuits   per idle circuit at a relay, from 1,000 circuits that carried a message
//
// The measured node is this process; its peers are a child that was forked before anything else, so
// nothing of theirs counts. Fixed costs (pools, buffers, tables) are kept out by measuring twice:
// after the first 200 and after 1,000 more. One line of JSON per result.
// rooms: node link runtime
#include "crypto/identity.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "runtime/clock.h"
#include "runtime/udp_socket.h"

#include <qudag/node.h>

#include <malloc.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kFirst = 200;
constexpr std::size_t kMore = 1'000;

std::uint64_t resident() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) std::abort();
  unsigned long size = 0;
  unsigned long pages = 0;
  if (std::fscanf(file, "%lu %lu", &size, &pages) != 2) std::abort();
  std::fclose(file);
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

struct Held {
  std::uint64_t rss = resident();
  std::uint64_t live = mallinfo2().uordblks + mallinfo2().hblkhd;  // of it, handed out by malloc
};

void print(const char* name, double value, const char* unit) {
  std::printf("{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, value, unit);
  std::fflush(stdout);
}

double per(std::uint64_t before, std::uint64_t after, std::size_t n) {
  return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(n);
}

double sample(Node& node, std::string_view name, std::string_view label = "") {
  double sum = 0;
  for (const MetricSample& sample : node.metrics().get()) {
    if (sample.name == name && sample.labels.find(label) != std::string::npos) sum += sample.value;
  }
  return sum;
}

/// Words between the two processes: fixed-size, in order.
class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_) != 0) std::abort();
  }
  template <class T>
  void put(const T& value) {
    if (::write(ends_[1], &value, sizeof value) != sizeof value) std::_Exit(0);
  }
  template <class T>
  T get() {
    T value{};
    if (::read(ends_[0], &value, sizeof value) != sizeof value) std::_Exit(0);
    return value;
  }
  bool readable() const {
    pollfd wait{ends_[0], POLLIN, 0};
    return ::poll(&wait, 1, 0) > 0;
  }

 private:
  int ends_[2];
};

struct Where {
  NodeId id;
  SocketAddress at;
};

std::unique_ptr<Node> start(unsigned shards, std::vector<PeerAddress> bootstrap, bool relay) {
  Options options;
  options.shards = shards;
  options.relay = relay;
  options.bootstrap = std::move(bootstrap);
  options.log_level = "off";
  options.limits.links = 4'000;
  options.gossip_interval = 10s;  // keeps links that carry nothing
  auto node = Node::start(options);
  if (!node) {
    std::fprintf(stderr, "%s\n", node.error().message().c_str());
    std::_Exit(1);
  }
  return std::move(*node);
}

void wait_for_nodes(Node& node, std::size_t count) {
  while (node.status().get().nodes_known < count) std::this_thread::sleep_for(20ms);
}

// ---- links
// ----------------------------------------------------------------------------------------

class Quiet final : public link::Events {
 public:
  void on_link_ready(link::LinkId, Now) override { ready = true; }
  void on_link_closed(link::LinkId, const Error&, Now) override {}
  void on_control_frame(link::LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(link::StreamId, Now) override {}
  void on_stream_data(link::StreamId, std::uint64_t, Bytes, Now) override {}
  void on_stream_sent(link::StreamId, std::uint64_t, std::size_t, Now) override {}
  void on_stream_closed(link::StreamId, std::uint64_t, link::Code, Now) override {}
  bool ready = false;
};

struct Dialer {
  crypto::Identity identity = std::move(*crypto::Identity::generate());
  crypto::SystemRng rng;
  memory::BlockPool pool;
  Quiet events;
  std::unique_ptr<runtime::UdpSocket> socket = std::move(*runtime::UdpSocket::open(
      {.bind = SocketAddress::v4(127, 0, 0, 1, 0), .buffer_bytes = 1 << 16}));
  std::unique_ptr<link::Endpoint> endpoint =
      std::move(*link::Endpoint::create({.known = true}, identity, pool, rng, events, nullptr));

  void turn() {
    const Now now = runtime::system_now();
    for (auto batch = socket->receive(); !batch.empty(); batch = socket->receive()) {
      endpoint->receive(batch, socket->local(), now);
    }
    if (endpoint->next_deadline() <= now.mono) endpoint->on_time(now);
    endpoint->flush(*socket, now);
  }
};

void dial_links(Pipe& orders, Pipe& answers) {
  std::vector<std::unique_ptr<Dialer>> dialers;
  for (;;) {
    const auto where = orders.get<Where>();
    const auto wanted = orders.get<std::size_t>();
    while (dialers.size() < wanted) {
      for (int i = 0; i < 10; ++i) {
        dialers.push_back(std::make_unique<Dialer>());
        Dialer& dialer = *dialers.back();
        (void)dialer.endpoint->dial(where.id, where.at, dialer.socket->local(),
                                    runtime::system_now());
      }
      const auto last_ones = std::span(dialers).last(10);
      const auto ready = [](const auto& dialer) { return dialer->events.ready; };
      while (!std::ranges::all_of(last_ones, ready)) {
        for (auto& dialer : last_ones) dialer->turn();
      }
      for (auto& dialer : dialers) dialer->turn();
    }
    answers.put(dialers.size());
    while (!orders.readable()) {
      for (auto& dialer : dialers) dialer->turn();
      std::this_thread::sleep_for(2ms);
    }
  }
}

void links(Pipe& orders, Pipe& answers) {
  auto node = start(1, {}, true);
  const auto held_with = [&](std::size_t count) {
    orders.put(Where{node->id(), node->address()});
    orders.put(count);
    (void)answers.get<std::size_t>();
    std::this_thread::sleep_for(3s);
    const std::size_t links = node->status().get().links;
    if (links != count) std::fprintf(stderr, "%zu links instead of %zu\n", links, count);
    return Held();
  };
  const Held first = held_with(kFirst);
  const double quic_first = sample(*node, "qudag_quic_memory_bytes");
  const Held all = held_with(kFirst + kMore);
  const double quic_all = sample(*node, "qudag_quic_memory_bytes");
  print("idle/per_link", per(first.rss, all.rss, kMore), "bytes");
  print("idle/per_link/live", per(first.live, all.live, kMore), "bytes");
  print("idle/per_link/quic", (quic_all - quic_first) / kMore, "bytes");
}

// ---- circuits
// -------------------------------------------------------------------------------------

void build_circuits(Pipe& orders, Pipe& answers) {
  const auto where = orders.get<Where>();
  const std::vector<PeerAddress> relay = {{.id = where.id, .at = where.at}};
  auto source = start(1, relay, false);
  auto destination = start(1, relay, false);
  destination->on_message([](Message&&) { return Accept::taken; });
  wait_for_nodes(*source, 3);
  wait_for_nodes(*destination, 3);
  std::uint64_t tag = 0;
  for (;;) {
    const auto wanted = orders.get<std::size_t>();
    std::atomic<std::size_t> under_way{0};
    std::atomic<std::size_t> delivered{0};
    const std::size_t more = wanted - tag;
    for (std::size_t i = 0; i < more; ++i) {
      while (under_way.load() >= 32) std::this_thread::sleep_for(100us);
      ++under_way;
      const std::byte one[16] = {};
      const auto sent = source->send(destination->id(), one, {.hops = 1, .isolation = ++tag},
                                     [&](const Delivery& delivery) {
                                       if (delivery.outcome == Outcome::delivered) ++delivered;
                                       --under_way;
                                     });
      if (!sent) --under_way;
    }
    while (under_way.load() > 0) std::this_thread::sleep_for(1ms);
    answers.put(delivered.load());
  }
}

void circuits(Pipe& orders, Pipe& answers) {
  auto node = start(1, {}, true);
  orders.put(Where{node->id(), node->address()});
  const auto held_with = [&](std::size_t count) {
    orders.put(count);
    (void)answers.get<std::size_t>();
    std::this_thread::sleep_for(15s);
    const std::size_t held = node->status().get().circuits;
    if (held != count) std::fprintf(stderr, "%zu circuits instead of %zu\n", held, count);
    return Held();
  };
  const Held first = held_with(kFirst);
  const double quic_first = sample(*node, "qudag_quic_memory_bytes");
  const Held all = held_with(kFirst + kMore);
  const double quic_all = sample(*node, "qudag_quic_memory_bytes");
  print("idle/per_circuit", per(first.rss, all.rss, kMore), "bytes");
  print("idle/per_circuit/live", per(first.live, all.live, kMore), "bytes");
  print("idle/per_circuit/quic", (quic_all - quic_first) / kMore, "bytes");
}

// ---- a node alone, and after a burst
// --------------------------------------------------------------

void burst_through(Pipe& orders, Pipe& answers) {
  const auto where = orders.get<Where>();
  const std::vector<PeerAddress> relay = {{.id = where.id, .at = where.at}};
  auto source = start(1, relay, false);
  auto destination = start(1, relay, false);
  destination->on_message([](Message&&) { return Accept::taken; });
  wait_for_nodes(*source, 3);
  wait_for_nodes(*destination, 3);
  answers.put(true);
  for (;;) {
    const bool to_relay = orders.get<bool>();
    const std::vector<std::byte> bulk(32 << 20);
    std::vector<std::future<Delivery>> sent;
    for (std::uint64_t i = 0; i < 8; ++i) {
      sent.push_back(source->send(to_relay ? where.id : destination->id(), bulk,
                                  {.cls = Class::low, .hops = to_relay ? 0u : 1u, .isolation = i}));
    }
    for (auto& one : sent) (void)one.get();
    answers.put(true);
  }
}

void node_alone(Pipe& orders, Pipe& answers) {
  auto node = start(1, {}, true);
  node->on_message([](Message&&) { return Accept::taken; });
  std::this_thread::sleep_for(2s);
  print("idle/rss_in_bench", static_cast<double>(Held().rss), "bytes");
  orders.put(Where{node->id(), node->address()});
  (void)answers.get<bool>();
  for (const bool to_us : {false, true}) {
    std::this_thread::sleep_for(2s);
    const double before = static_cast<double>(Held().rss);
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> peak{0};
    std::thread watch([&] {
      while (!over) {
        peak = std::max(peak.load(), resident());
        std::this_thread::sleep_for(1ms);
      }
    });
    orders.put(to_us);
    (void)answers.get<bool>();
    over = true;
    watch.join();
    const std::string name = to_us ? "trim/destination" : "trim/relay";
    print((name + "/before").c_str(), before, "bytes");
    print((name + "/peak").c_str(), static_cast<double>(peak.load()), "bytes");
    for (const int seconds : {10, 20}) {
      std::this_thread::sleep_for(std::chrono::seconds(seconds));
      print((name + (seconds == 10 ? "/after_10s" : "/after_30s")).c_str(),
            static_cast<double>(Held().rss), "bytes");
    }
  }
}

int run(const std::string& what) {
  Pipe orders;
  Pipe answers;
  using Part = void (*)(Pipe&, Pipe&);
  Part peers = nullptr;
  Part subject = nullptr;
  if (what == "node") peers = burst_through, subject = node_alone;
  if (what == "links") peers = dial_links, subject = links;
  if (what == "circuits") peers = build_circuits, subject = circuits;
  if (subject == nullptr) {
    std::fprintf(stderr, "bench_idle node | links | circuits\n");
    return 2;
  }
  const pid_t child = ::fork();
  if (child < 0) return 1;
  if (child == 0) {
    peers(orders, answers);
    return 0;
  }
  subject(orders, answers);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace qudag

int main(int argc, char** argv) { return qudag::run(argc > 1 ? argv[1] : ""); }
