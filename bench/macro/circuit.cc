// Each build is a small message on a circuit of its own, through three relays. First one at a time,
// for the time of a build; then 32 at a time, for rates and CPU. CPU includes the message itself
// and its acknowledgement, one cell each way.
#include "net.h"
#include "scenarios.h"

namespace qudag::app::bench {

Status circuit_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  std::vector<double> p50, p99, first_p50, rate, source, relay, destination;
  for (unsigned i = 0; i < args.runs; ++i) {
    // A network for each run: percentiles are the node's own.
    auto net = Net::start({.relays = 3, .shards = args.shards}, interrupt);
    if (!net) return std::unexpected(net.error());
    Net& n = **net;
    LoadSpec spec{.bytes = 64, .window = 1, .count = args.quick ? 20u : 200u, .isolate = true};
    const auto alone = n.load(spec);
    if (!alone) return std::unexpected(alone.error());
    const Times build = n.source().status().get().circuit_build;
    p50.push_back(static_cast<double>(build.p50.count()) / 1e3);
    p99.push_back(static_cast<double>(build.p99.count()) / 1e3);
    first_p50.push_back(static_cast<double>(alone->latency_ns.percentile(50)) / 1e6);

    spec.window = 32;
    spec.count = args.quick ? 50 : 1'000;
    const double cpu[] = {n.cpu_source(), n.cpu_relays(), n.cpu_destination()};
    const auto many = n.load(spec);
    if (!many) return std::unexpected(many.error());
    const double builds = static_cast<double>(many->delivered);
    rate.push_back(many->per_second());
    source.push_back((n.cpu_source() - cpu[0]) * 1e6 / builds);
    relay.push_back((n.cpu_relays() - cpu[1]) * 1e6 / builds / 3);
    destination.push_back((n.cpu_destination() - cpu[2]) * 1e6 / builds);
  }
  std::vector<double> all;
  for (std::size_t i = 0; i < relay.size(); ++i) {
    all.push_back(source[i] + 3 * relay[i] + destination[i]);
  }
  out.add("circuit/builds", "builds/s", true).runs = rate;
  out.add("circuit/build_p50", "ms", false).runs = p50;
  out.add("circuit/build_p99", "ms", false).runs = p99;
  out.add("circuit/first_message_p50", "ms", false).runs = first_p50;
  out.add("circuit/cpu_per_build", "us", false).runs = all;
  out.add("circuit/cpu_per_source", "us", false).runs = source;
  out.add("circuit/cpu_per_relay", "us", false).runs = relay;
  out.add("circuit/cpu_per_destination", "us", false).runs = destination;
  return {};
}

}  // namespace qudag::app::bench
