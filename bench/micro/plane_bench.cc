// The data plane inside one process: nodes on loopback, one sender, one receiver, the rest relays.
//
//   bench_plane bulk   HOPS SHARDS FLOWS SECONDS   8 MiB messages of low priority, and a probe
//   beside bench_plane rate   HOPS SHARDS FLOWS SECONDS BYTES bench_plane rtt    HOPS SHARDS FLOWS
//   SECONDS BYTES
//
// A seventh word is `packet_bytes_max`.
// For profiles and paired comparisons: no copies between processes blur the picture, and the CPU of
// all hops is one number. Every flow has a circuit of its own. One line of JSON. On a machine that
// others use too, run it with real-time priority (chrt -f 10) for a second, and alternate variants.
// modules: node
#include <qudag/node.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr std::size_t kBulkBytes = std::size_t{8} << 20;
constexpr long kWindow = 4000;   // small messages under way
constexpr long kBulkWindow = 3;  // bulk messages under way, each flow

struct Setup {
  std::string mode;
  unsigned relays = 3, shards = 1, flows = 1;
  double seconds = 1;
  std::size_t bytes = kBulkBytes;
  std::size_t packet = Options{}.packet_bytes_max;
  bool bulk() const { return mode == "bulk"; }
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Plane {
 public:
  explicit Plane(const Setup& setup) : setup_(setup), payload_(setup.bytes) {}

  void start();
  void rate();
  void round_trips();

 private:
  SendOptions options(unsigned flow) const {
    return {.priority = setup_.bulk() ? Priority::low : Priority::normal,
            .relays = setup_.relays,
            .isolation = flow + 1};
  }
  void one(std::size_t bytes, const SendOptions& how);
  std::vector<double> probe(const std::function<bool()>& go_on, std::size_t bytes,
                            std::chrono::nanoseconds pause);

  const Setup setup_;
  std::vector<std::byte> payload_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

void Plane::start() {
  const std::size_t count = setup_.relays + 2;
  for (std::size_t i = 0; i < count; ++i) {
    Options how;
    how.shards = setup_.shards;
    how.packet_bytes_max = setup_.packet;
    how.log_level = LogLevel::warn;
    if (i > 0) how.bootstrap = {{nodes_[0]->id(), nodes_[0]->address()}};
    auto node = Node::start(how);
    if (!node) std::abort();
    nodes_.push_back(std::move(*node));
  }
  const auto knows_all = [count](const auto& node) {
    return node->status().get().nodes_known >= count;
  };
  while (!std::ranges::all_of(nodes_, knows_all)) std::this_thread::sleep_for(10ms);
  nodes_.back()->on_message([](Message&&) { return Accept::taken; });
  for (unsigned flow = 0; flow < setup_.flows; ++flow) one(setup_.bytes, options(flow));
  one(256, {.relays = setup_.relays, .isolation = 1});
}

void Plane::one(std::size_t bytes, const SendOptions& how) {
  const Delivery end = nodes_.front()
                           ->send(nodes_.back()->id(),
                                  std::span(payload_).first(std::min(bytes, payload_.size())), how)
                           .get();
  if (end.outcome == Outcome::delivered) return;
  std::fprintf(stderr, "%s\n", end.reason.message().c_str());
  std::exit(1);
}

/// Round trips in microseconds, sorted: from send() to the end-to-end acknowledgement.
std::vector<double> Plane::probe(const std::function<bool()>& go_on, std::size_t bytes,
                                 std::chrono::nanoseconds pause) {
  std::vector<double> out;
  while (go_on()) {
    const auto begin = Clock::now();
    one(bytes, {.relays = setup_.relays, .isolation = 1});
    out.push_back(seconds_since(begin) * 1e6);
    if (pause > 0ns) std::this_thread::sleep_for(pause);
  }
  std::ranges::sort(out);
  return out;
}

double at(const std::vector<double>& sorted, std::size_t percent) {
  return sorted.empty() ? 0 : sorted[sorted.size() * percent / 100];
}

void Plane::rate() {
  std::atomic<long> done{0};
  std::atomic<long> bad{0};
  long sent = 0;
  const long window = setup_.bulk() ? kBulkWindow * static_cast<long>(setup_.flows) : kWindow;
  const auto pause = setup_.bulk() ? 1ms : 0ms;
  std::atomic<bool> over{false};
  std::vector<double> beside;
  std::thread prober;
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  if (setup_.bulk()) {
    prober = std::thread([&] { beside = probe([&] { return !over.load(); }, 256, 5ms); });
  }
  while (seconds_since(begin) < setup_.seconds) {
    if (sent - done.load() >= window) {
      std::this_thread::sleep_for(pause + 20us);
      continue;
    }
    const auto ended = [&](const Delivery& end) {
      if (end.outcome != Outcome::delivered) ++bad;
      ++done;
    };
    const auto flow = static_cast<unsigned>(static_cast<unsigned long>(sent) % setup_.flows);
    if (nodes_.front()->send(nodes_.back()->id(), payload_, options(flow), ended)) {
      ++sent;
    } else {
      std::this_thread::sleep_for(50us);
    }
  }
  while (done.load() < sent) std::this_thread::sleep_for(100us);
  const double took = seconds_since(begin);
  over = true;
  if (prober.joinable()) prober.join();
  const double used = cpu_seconds() - cpu;
  const double bytes = static_cast<double>(sent) * static_cast<double>(setup_.bytes);
  std::printf(
      "{\"per_s\":%.0f,\"mb_per_s\":%.1f,\"cpu_s_per_gb\":%.2f,\"cpu_us_per_message\":%.2f,"
      "\"failed\":%ld,\"beside_p50_us\":%.0f,\"beside_p99_us\":%.0f}\n",
      static_cast<double>(sent) / took, bytes / 1e6 / took, used / (bytes / 1e9),
      used / static_cast<double>(sent) * 1e6, bad.load(), at(beside, 50), at(beside, 99));
}

void Plane::round_trips() {
  const auto begin = Clock::now();
  const double cpu = cpu_seconds();
  const auto sorted =
      probe([&] { return seconds_since(begin) < setup_.seconds; }, setup_.bytes, {});
  std::printf("{\"rtt_p50_us\":%.0f,\"rtt_p99_us\":%.0f,\"cores\":%.2f}\n", at(sorted, 50),
              at(sorted, 99), (cpu_seconds() - cpu) / seconds_since(begin));
}

int run(int count, char** words) {
  Setup setup;
  if (count < 6) {
    std::fprintf(stderr, "bench_plane bulk|rate|rtt HOPS SHARDS FLOWS SECONDS [BYTES [PACKET]]\n");
    return 2;
  }
  const auto number = [&](int i) { return static_cast<unsigned>(std::atoi(words[i])); };
  setup.mode = words[1];
  setup.relays = number(2);
  setup.shards = number(3);
  setup.flows = std::max(1u, number(4));
  setup.seconds = std::atof(words[5]);
  if (!setup.bulk()) setup.bytes = count > 6 ? number(6) : 256;
  if (count > 7) setup.packet = number(7);
  Plane plane(setup);
  plane.start();
  if (setup.mode == "rtt") {
    plane.round_trips();
  } else {
    plane.rate();
  }
  return 0;
}

}  // namespace
}  // namespace qudag

int main(int count, char** words) { return qudag::run(count, words); }
