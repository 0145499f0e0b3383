// direct and onion. For each size: warm-up, then --runs times our rate, and for `direct` the peers'
// in turn with it, so that both meet the same moments of the machine; then round trips; then bulk.
#include "net.h"
#include "peer.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include <fmt/format.h>

#include <map>

namespace qudag::app::bench {
namespace {

constexpr std::size_t kBulkBytes = 64'000'000;

class Messages {
 public:
  Messages(const BenchArgs& args, bool onion, const Limit& limit, Results& out, Net& net,
           Interrupt& interrupt)
      : args_(args),
        name_(onion ? "onion" : "direct"),
        relays_(onion ? 3 : 0),
        limit_(limit),
        out_(out),
        net_(net),
        interrupt_(interrupt) {}

  Status rates(std::size_t bytes, unsigned circuits);
  Status round_trips(std::size_t bytes);
  Status bulk(unsigned circuits);

 private:
  Status cancelled() {
    if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
    return {};
  }
  void peers(std::size_t bytes);
  std::string row(std::size_t bytes, std::string_view what) const {
    return fmt::format("{}/{}/{}", name_, bytes, what);
  }

  const BenchArgs& args_;
  const std::string name_;
  const unsigned relays_;
  const Limit& limit_;
  Results& out_;
  Net& net_;
  Interrupt& interrupt_;
  std::map<std::size_t, std::vector<PeerResult>> zmq_, nng_;
};

void Messages::peers(std::size_t bytes) {
  if (relays_ > 0) return;
  if (const auto result = run_peer("zmq", bytes, args_.seconds)) zmq_[bytes].push_back(*result);
  if (const auto result = run_peer("nng", bytes, args_.seconds)) nng_[bytes].push_back(*result);
}

std::vector<double> each(const std::vector<PeerResult>& all, double PeerResult::*what) {
  std::vector<double> out;
  for (const PeerResult& one : all) out.push_back(one.*what);
  return out;
}

Status Messages::rates(std::size_t bytes, unsigned circuits) {
  const LoadSpec spec{.bytes = bytes,
                      .window = window_for(bytes),
                      .relays = relays_,
                      .circuits = circuits,
                      .seconds = args_.seconds};
  std::vector<double> rate, mb, p50, p99, cpu;
  for (unsigned i = 0; i <= args_.runs; ++i) {  // the first is the warm-up
    if (Status go = cancelled(); !go) return go;
    const auto result = net_.load(spec);
    if (!result) return std::unexpected(result.error());
    if (i == 0) continue;
    const double bytes_moved = static_cast<double>(result->delivered) * static_cast<double>(bytes);
    rate.push_back(result->per_second());
    mb.push_back(bytes_moved / 1e6 / result->seconds);
    p50.push_back(static_cast<double>(result->latency_ns.percentile(50)) / 1e3);
    p99.push_back(static_cast<double>(result->latency_ns.percentile(99)) / 1e3);
    cpu.push_back(result->cpu_seconds / (bytes_moved / 1e9));
    if (circuits == 1) peers(bytes);
  }
  const double limit = limit_.mb_per_s(relays_, bytes);
  const auto per_circuits = [&](std::string_view what) {
    return row(bytes, circuits == 1 ? std::string(what) : fmt::format("{}/{}", what, circuits));
  };
  {
    Row& r = out_.add(per_circuits("rate"), "messages/s", true);
    r.runs = rate;
    r.limit = limit * 1e6 / static_cast<double>(bytes);
    if (circuits == 1 && !zmq_[bytes].empty()) {
      r.peer = median_of(each(zmq_[bytes], &PeerResult::rate));
    }
  }
  Row& m = out_.add(per_circuits("mb_per_s"), "MB/s", true);
  m.runs = mb;
  m.limit = limit;
  if (circuits > 1) return {};
  out_.add(row(bytes, "loaded_p50"), "us", false).runs = p50;
  out_.add(row(bytes, "loaded_p99"), "us", false).runs = p99;
  Row& c = out_.add(row(bytes, "cpu_s_per_gb"), "s/GB", false);
  c.runs = cpu;
  c.limit = limit_.cpu_s_per_gb(relays_, bytes);
  if (!zmq_[bytes].empty()) c.peer = median_of(each(zmq_[bytes], &PeerResult::cpu_s_per_gb));
  for (const auto& [peer, results] :
       {std::pair{"zmq_curve", &zmq_[bytes]}, {"nng", &nng_[bytes]}}) {
    if (results->empty()) continue;
    out_.add(fmt::format("peer/{}/{}/rate", peer, bytes), "messages/s", true).runs =
        each(*results, &PeerResult::rate);
    out_.add(fmt::format("peer/{}/{}/rtt_p50", peer, bytes), "us", false).runs =
        each(*results, &PeerResult::rtt_p50_us);
  }
  return {};
}

Status Messages::round_trips(std::size_t bytes) {
  std::vector<double> p50, p99;
  for (unsigned i = 0; i <= args_.runs; ++i) {
    if (Status go = cancelled(); !go) return go;
    const auto result = net_.round_trips(bytes, relays_, args_.seconds / 2);
    if (!result) return std::unexpected(result.error());
    if (i == 0) continue;
    p50.push_back(static_cast<double>(result->latency_ns.percentile(50)) / 1e3);
    p99.push_back(static_cast<double>(result->latency_ns.percentile(99)) / 1e3);
  }
  Row& median = out_.add(row(bytes, "rtt_p50"), "us", false);
  median.runs = p50;
  if (!zmq_[bytes].empty()) median.peer = median_of(each(zmq_[bytes], &PeerResult::rtt_p50_us));
  Row& tail = out_.add(row(bytes, "rtt_p99"), "us", false);
  tail.runs = p99;
  if (!zmq_[bytes].empty()) tail.peer = median_of(each(zmq_[bytes], &PeerResult::rtt_p99_us));
  return {};
}

Status Messages::bulk(unsigned circuits) {
  const std::size_t bytes = args_.quick     ? kBulkBytes / 16
                            : circuits == 1 ? kBulkBytes
                                            : kBulkBytes / 2;
  std::vector<double> rate, cpu, limits;
  for (unsigned i = 0; i <= args_.runs; ++i) {
    if (Status go = cancelled(); !go) return go;
    const auto limit = measure_limit(0.4);  // beside every run: the machine changes
    if (!limit) return std::unexpected(limit.error());
    const auto result = net_.bulk(bytes, relays_, circuits);
    if (!result) return std::unexpected(result.error());
    if (i == 0) continue;
    const double moved = static_cast<double>(bytes) * circuits;
    rate.push_back(moved / 1e6 / result->seconds);
    cpu.push_back(result->cpu_seconds / (moved / 1e9));
    limits.push_back(limit->mb_per_s(relays_, bytes));
  }
  Row& r = out_.add(fmt::format("{}/bulk/{}", name_, circuits), "MB/s", true);
  r.runs = rate;
  r.limit = median_of(limits);
  if (circuits > 1) return {};
  Row& c = out_.add(name_ + "/cpu_s_per_gb", "s/GB", false);
  c.runs = cpu;
  c.limit = limit_.cpu_s_per_gb(relays_, bytes);
  return {};
}

}  // namespace

Status messages_scenario(const BenchArgs& args, bool onion, const Limit& limit, Results& out,
                         Interrupt& interrupt) {
  auto net = Net::start({.relays = onion ? 3u : 0u, .shards = args.shards}, interrupt);
  if (!net) return std::unexpected(net.error());
  Messages messages(args, onion, limit, out, **net, interrupt);
  for (const unsigned circuits : {1u, 4u}) {
    if (circuits > 1 && !onion) break;
    if (Status done = messages.bulk(circuits); !done) return done;
  }
  const std::vector<std::size_t> sizes =
      args.quick ? std::vector<std::size_t>{256, 1'024}
                 : std::vector<std::size_t>{64, 256, 1'024, 16'384, 1'048'576};
  for (const std::size_t bytes : sizes) {
    if (Status done = messages.rates(bytes, 1); !done) return done;
    if (onion && !args.quick) {
      if (Status done = messages.rates(bytes, 4); !done) return done;
    }
    if (Status done = messages.round_trips(bytes); !done) return done;
  }
  return {};
}

}  // namespace qudag::app::bench
