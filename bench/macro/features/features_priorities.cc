// What priorities are for: small messages and bulk on the same links and relays, as two priorities
// and, for the off end, as one.
//   P3  p99 of small messages, one at a time, beside a flood of bulk
//   P8  what of bulk gets through beside a flood of small messages
#include "machine.h"
#include "net.h"
#include "scenarios.h"
#include "waits.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kSmall = 256;
constexpr std::size_t kBulk = 64 * 1'024;

/// Messages of one priority on a circuit of their own, as many as the window lets, until it ends.
class Flood {
 public:
  struct What {
    std::size_t bytes;
    Priority priority;
    std::size_t window;
    std::uint64_t isolation;
  };
  Flood(Net& net, const What& what) : net_(net), what_(what), payload_(what.bytes) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  ~Flood() {
    thread_.request_stop();
    thread_.join();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return under_way_ == 0; });
  }
  std::uint64_t delivered() const { return delivered_.load(); }

 private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        ended_.wait_for(lock, 10ms, [&] { return under_way_ < what_.window; });
        if (under_way_ >= what_.window) continue;
        ++under_way_;
      }
      const SendOptions options{
          .priority = what_.priority, .ttl = 60s, .relays = 3, .isolation = what_.isolation};
      const auto sent = net_.source().send(net_.destination(), payload_, options,
                                           [this](const Delivery& d) { told(d); });
      if (!sent) told({.outcome = Outcome::refused, .reason = sent.error()});
    }
  }
  void told(const Delivery& delivery) {
    if (delivery.outcome == Outcome::delivered) delivered_.fetch_add(1);
    const std::lock_guard lock(mutex_);
    --under_way_;
    ended_.notify_all();
  }

  Net& net_;
  const What what_;
  const std::vector<std::byte> payload_;
  std::atomic<std::uint64_t> delivered_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t under_way_ = 0;
  std::jthread thread_;
};

/// MB/s of a flood of bulk while something else goes on.
template <class F>
double rate_during(const Flood& bulk, F&& during) {
  const std::uint64_t before = bulk.delivered();
  const auto begin = Clock::now();
  during();
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  return static_cast<double>((bulk.delivered() - before) * kBulk) / 1e6 / took;
}

/// The p99 of small messages, one after the other, in microseconds.
Result<double> p99_of_small(Net& net, double seconds) {
  const std::vector<std::byte> payload(kSmall);
  Histogram took;
  const auto begin = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    const Delivery d =
        net.source()
            .send(net.destination(), payload, {.priority = Priority::normal, .relays = 3})
            .get();
    if (d.outcome != Outcome::delivered) return std::unexpected(d.reason);
    took.record(static_cast<std::uint64_t>(d.elapsed.count()));
    std::this_thread::sleep_for(1ms);  // an interactive user, not a second flood
  }
  return static_cast<double>(took.percentile(99)) / 1e3;
}

struct BesideBulk {
  double p99_us = 0;
  double bulk_mb_s = 0;
};
/// Everything that a small message may wait for.
std::vector<WaitOf> waits_of_small() {
  return {{"relay_socket", "qudag_socket_wait_seconds", ""},
          {"relay_turn", "qudag_loop_turn_seconds", ""},
          {"source_socket", "qudag_socket_wait_seconds", "", false},
          {"source_turn", "qudag_loop_turn_seconds", "", false},
          {"source_lag", "qudag_loop_lag_seconds", "", false},
          {"source_cell", "qudag_cell_wait_seconds", "priority=\"normal\"", false},
          {"source_cell_of_bulk", "qudag_cell_wait_seconds", "priority=\"low\"", false}};
}

Result<BesideBulk> beside_bulk(Net& net, double seconds, Priority bulk, Waits* waits = nullptr) {
  const Flood flood(net, {.bytes = kBulk, .priority = bulk, .window = 256, .isolation = 7});
  while (flood.delivered() < 256) std::this_thread::sleep_for(1ms);
  if (waits != nullptr) {
    if (auto ok = waits->begin(); !ok) return std::unexpected(ok.error());
  }
  Result<double> p99 = 0.0;
  const double rate = rate_during(flood, [&] { p99 = p99_of_small(net, seconds); });
  if (!p99) return std::unexpected(p99.error());
  if (waits != nullptr) {
    if (auto ok = waits->end(); !ok) return std::unexpected(ok.error());
  }
  return BesideBulk{*p99, rate};
}

/// MB/s of bulk with nobody beside it.
double bulk_alone(Net& net, double seconds) {
  const Flood flood(net,
                    {.bytes = kBulk, .priority = Priority::low, .window = 256, .isolation = 7});
  while (flood.delivered() < 256) std::this_thread::sleep_for(1ms);
  return rate_during(flood,
                     [&] { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); });
}

/// MB/s of bulk beside as many small messages as the network takes, three loops of them.
double bulk_beside_small(Net& net, double seconds, Priority small) {
  const Flood first(net, {.bytes = kSmall, .priority = small, .window = 4'096, .isolation = 8});
  const Flood second(net, {.bytes = kSmall, .priority = small, .window = 4'096, .isolation = 9});
  const Flood bulk(net, {.bytes = kBulk, .priority = Priority::low, .window = 64, .isolation = 7});
  std::this_thread::sleep_for(200ms);
  return rate_during(bulk,
                     [&] { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); });
}

}  // namespace

Status features_of_priorities(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  auto net = Net::start({.relays = 3, .shards = 1}, interrupt);
  if (!net) return std::unexpected(net.error());
  const double seconds = args.quick ? 0.2 : args.seconds;
  std::vector<double> alone, on, off, rate, rate_on, rate_off, with, without;
  Waits waits(**net, waits_of_small());
  for (unsigned i = 0; i <= args.runs; ++i) {
    const auto nothing = p99_of_small(**net, seconds);
    if (!nothing) return std::unexpected(nothing.error());
    const auto lower = beside_bulk(**net, seconds, Priority::low, &waits);
    if (!lower) return std::unexpected(lower.error());
    const auto equal = beside_bulk(**net, seconds, Priority::normal);
    if (!equal) return std::unexpected(equal.error());
    const double undisturbed = bulk_alone(**net, seconds);
    const double below = bulk_beside_small(**net, seconds, Priority::normal);
    const double same = bulk_beside_small(**net, seconds, Priority::low);
    if (i == 0 && !args.quick) continue;
    alone.push_back(*nothing), on.push_back(lower->p99_us), off.push_back(equal->p99_us);
    rate_on.push_back(lower->bulk_mb_s), rate_off.push_back(equal->bulk_mb_s);
    rate.push_back(undisturbed);
    with.push_back(below), without.push_back(same);
  }
  out.add("features/interactive_p99_alone", "us", false).runs = alone;
  out.add("features/bulk_alone", "MB/s", true).runs = rate;
  out.feature("P3", "interactive_p99_beside_bulk", "us", false, median_of(on), median_of(off));
  out.feature("P3", "bulk_beside_an_interactive_user", "MB/s", true, median_of(rate_on),
              median_of(rate_off));
  out.feature("P8", "bulk_beside_a_flood_of_small", "MB/s", true, median_of(with),
              median_of(without));
  waits.add_rows("features/beside_bulk", out);
  out.note(
      "P3: 256 B, one at a time, beside 64 KiB messages of low priority (on) or of the same "
      "priority "
      "(off); P8: 64 KiB of low priority beside 256 B of normal priority (on: below them, and not "
      "starved) or of low priority (off)");
  return {};
}

}  // namespace qudag::app::bench
