// Queues and buffers that follow what is needed, in a running network, against fixed ones.
//   N11  a sender that sends whatever it is let, over relays that pass on 10 MB a second: how long
//        its messages take, and what gets through
//   N10  bulk as fast as the machine takes it, and what the sockets' buffers of the relays take
// `qudag-bench priorities` and `overload` have what becomes of others meanwhile.
#include "machine.h"
#include "net.h"
#include "node/process/usage.h"
#include "scenarios.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kSlow = "10MB";

/// 64 MB, or what a node needs in this process after other scenarios.
std::uint64_t memory() { return std::max(std::uint64_t{64} << 20, 4 * node::resident_bytes()); }

struct Flooded {
  double mb_s = 0, p50_ms = 0, p99_ms = 0;
};

/// Waits for room and sends, until the time is over. What was sent in the first half fills queues
/// and is not counted.
Result<Flooded> flood(Net& net, Priority priority, std::size_t bytes, double seconds) {
  const std::vector<std::byte> payload(bytes);
  std::mutex mutex;
  std::condition_variable ended;
  std::uint64_t under_way = 0, counted = 0;
  Histogram took;
  std::optional<Error> failed;
  const auto begin = Clock::now();
  const auto half = begin + std::chrono::duration<double>(seconds / 2);
  const auto end = begin + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    {
      const std::lock_guard lock(mutex);
      ++under_way;
    }
    const auto done = [&](const Delivery& d) {
      const auto now = Clock::now();
      const std::lock_guard lock(mutex);
      if (d.outcome != Outcome::delivered) failed = d.reason;
      if (now >= half && now < end) {
        ++counted;
        took.record(static_cast<std::uint64_t>(d.elapsed.count()));
      }
      --under_way;
      ended.notify_all();
    };
    const auto sent =
        net.source().send_wait(net.destination(), std::span(payload),
                               {.priority = priority, .ttl = 120s, .relays = 3}, 60s, done);
    if (!sent) done({.outcome = Outcome::refused, .reason = sent.error()});
  }
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return under_way == 0; });
  if (failed) return std::unexpected(*failed);
  return Flooded{.mb_s = static_cast<double>(counted * bytes) / 1e6 / (seconds / 2),
                 .p50_ms = static_cast<double>(took.percentile(50)) / 1e6,
                 .p99_ms = static_cast<double>(took.percentile(99)) / 1e6};
}

struct Runs {
  std::vector<double> mb_s, p50_ms, p99_ms;
};

Status queues_of(const BenchArgs& args, unsigned delay_ms, std::array<Runs, kPriorityCount>& out,
                 Interrupt& interrupt) {
  auto net = Net::start({.relays = 3,
                         .memory = memory(),
                         .queue_delay_ms = delay_ms,
                         .arguments = {"--limits.bandwidth", kSlow}},
                        interrupt);
  if (!net) return std::unexpected(net.error());
  for (const auto& [priority, bytes] :
       {std::pair{Priority::normal, std::size_t{1'000}}, {Priority::low, std::size_t{4'096}}}) {
    const auto one = flood(**net, priority, bytes, args.quick ? 0.4 : 3 * args.seconds);
    if (!one) return std::unexpected(one.error());
    Runs& runs = out[static_cast<std::size_t>(priority)];
    runs.mb_s.push_back(one->mb_s);
    runs.p50_ms.push_back(one->p50_ms);
    runs.p99_ms.push_back(one->p99_ms);
  }
  return {};
}

Status buffers_of(const BenchArgs& args, unsigned one_in, std::vector<double>& mb_s,
                  std::vector<double>& buffers, Interrupt& interrupt) {
  auto net = Net::start(
      {.relays = 3, .arguments = {"--limits.windows_one_in", std::to_string(one_in)}}, interrupt);
  if (!net) return std::unexpected(net.error());
  const std::size_t bytes = args.quick ? 4'000'000 : 64'000'000;
  for (unsigned i = 0; i < 2; ++i) {
    const auto result = (*net)->bulk(bytes, 3, 4);
    if (!result) return std::unexpected(result.error());
    if (i > 0) mb_s.push_back(4 * static_cast<double>(bytes) / 1e6 / result->seconds);
  }
  const auto held = (*net)->relay_metric("qudag_socket_buffer_bytes");
  if (!held) return std::unexpected(held.error());
  buffers.push_back(*held / 3 / (1 << 20));
  return {};
}

}  // namespace

Status features_of_queues(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  std::array<Runs, kPriorityCount> on, off;
  std::vector<double> follow, fixed, follow_bytes, fixed_bytes;
  for (unsigned i = 0; i < args.runs; ++i) {
    if (Status done = queues_of(args, 100, on, interrupt); !done) return done;
    if (Status done = queues_of(args, 0, off, interrupt); !done) return done;
    if (Status done = buffers_of(args, 8, follow, follow_bytes, interrupt); !done) return done;
    if (Status done = buffers_of(args, 0, fixed, fixed_bytes, interrupt); !done) return done;
  }
  for (const Priority priority : {Priority::normal, Priority::low}) {
    const std::string name(name_of(priority));
    const Runs& with = on[static_cast<std::size_t>(priority)];
    const Runs& without = off[static_cast<std::size_t>(priority)];
    out.feature("N11", "queued_" + name + "_p50", "ms", false, median_of(with.p50_ms),
                median_of(without.p50_ms));
    out.feature("N11", "queued_" + name + "_p99", "ms", false, median_of(with.p99_ms),
                median_of(without.p99_ms));
    out.feature("N11", "queued_" + name + "_rate", "MB/s", true, median_of(with.mb_s),
                median_of(without.mb_s));
  }
  out.feature("N10", "bulk_buffers_follow", "MB/s", true, median_of(follow), median_of(fixed));
  out.feature("N10", "buffers_of_a_relays_socket", "MiB", false, median_of(follow_bytes),
              median_of(fixed_bytes));
  out.note(
      "N11: a sender that waits for room and sends, three relays with limits.bandwidth 10 MB, "
      "limits.memory 64 MB at all five (more after other scenarios); from the acceptance of a "
      "message to its acknowledgement; off: limits.queue_delay_ms 0. N10: four bulk circuits; off: "
      "limits.windows_one_in 0 at the relays");
  return {};
}

}  // namespace qudag::app::bench
