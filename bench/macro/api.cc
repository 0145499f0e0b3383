// api: two `qudag node` processes, and one client at the local API of each, both here: one sends
// over its WebSocket, the other one receives over its own. The receiver acknowledges each message,
// or leaves that to its queue; the two take turns, so that both meet the same moments of the
// machine.
#include "machine.h"
#include "scenarios.h"

#include "common/load.h"
#include "common/network.h"

#include <fmt/format.h>

namespace qudag::app::bench {
namespace {

constexpr std::size_t kBytes = 256;
constexpr std::size_t kWindow = 4'096;

struct Once {
  LoadResult load;
  double cpu_us = 0;  // for each message, of all processes
};

double cpu_of_all(const Network& network) {
  double sum = cpu_of(0);
  for (const Network::Member& member : network.members()) sum += cpu_of(member.child.pid());
  return sum;
}

Result<Once> load_once(const Network& network, const BenchArgs& args, bool explicit_acks,
                       Interrupt& interrupt) {
  LoadSpec spec{.destination = network.members()[1].id,
                .options = {.relays = 0},
                .lasts = std::chrono::milliseconds(static_cast<int>(args.seconds * 1'000)),
                .bytes = kBytes,
                .window = kWindow,
                .explicit_acks = explicit_acks};
  const double cpu = cpu_of_all(network);
  auto result = run_load(network.members()[0].socket, network.members()[1].socket, spec,
                         [&] { return interrupt.raised(); });
  if (!result) return std::unexpected(result.error());
  if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
  if (!result->perfect()) {
    return fail(Errc::internal, fmt::format("{} sent, {} delivered, {} received, {} wrong: {}",
                                            result->sent, result->delivered, result->received,
                                            result->wrong, result->first_other.message()));
  }
  const double used = cpu_of_all(network) - cpu;
  return Once{std::move(*result), used * 1e6 / static_cast<double>(result->delivered)};
}

}  // namespace

Status api_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  auto network =
      Network::start({.program = node_program(), .nodes = 2, .shards = args.shards}, interrupt);
  if (!network) return std::unexpected(network.error());
  if (Status known = (*network)->wait_for_netmaps(std::chrono::seconds(60), interrupt); !known) {
    return known;
  }
  std::vector<double> rates[2], p99[2], cpu[2], rate_ratios, cpu_ratios;
  for (unsigned i = 0; i <= args.runs; ++i) {  // the first is the warm-up
    for (const bool explicit_acks : {false, true}) {
      const auto once = load_once(**network, args, explicit_acks, interrupt);
      if (!once) return std::unexpected(once.error());
      if (i == 0) continue;
      rates[explicit_acks].push_back(once->load.per_second());
      p99[explicit_acks].push_back(static_cast<double>(once->load.latency_ns.percentile(99)) / 1e3);
      cpu[explicit_acks].push_back(once->cpu_us);
    }
    if (i == 0) continue;
    rate_ratios.push_back(rates[1].back() / rates[0].back());
    cpu_ratios.push_back(cpu[1].back() / cpu[0].back());
  }
  for (const bool explicit_acks : {false, true}) {
    const std::string name = fmt::format("api/{}/{}/", kBytes, explicit_acks ? "explicit" : "auto");
    out.add(name + "rate", "messages/s", true).runs = rates[explicit_acks];
    out.add(name + "loaded_p99", "us", false).runs = p99[explicit_acks];
    out.add(name + "cpu", "us/message", false).runs = cpu[explicit_acks];
  }
  out.add(fmt::format("api/{}/explicit_ratio", kBytes), "x", true).runs = rate_ratios;
  out.add(fmt::format("api/{}/explicit_cpu_ratio", kBytes), "x", false).runs = cpu_ratios;
  return {};
}

}  // namespace qudag::app::bench
