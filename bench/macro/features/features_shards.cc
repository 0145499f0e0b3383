// What shards are for, and what they cost: four bulk circuits through three relays, of which one
// has two shards (on) or one (off). Processes of five nodes share this machine's cores, so more
// threads find no more time: what counts here is that the work for a byte stays the same.
//   P11  rate, CPU time of all relays, datagrams in a system call
#include "machine.h"
#include "net.h"
#include "scenarios.h"

#include <string>

namespace qudag::app::bench {
namespace {

struct WithShards {
  std::vector<double> mb_s, cpu_s_per_gb, datagrams_per_call;
};

Result<double> datagrams_per_call(const Net& net, double& datagrams, double& calls) {
  const auto all = net.relay_metric("qudag_datagrams_total");
  const auto called = net.relay_metric("qudag_syscalls_total");
  if (!all) return all;
  if (!called) return called;
  const double out = (*all - datagrams) / (*called - calls);
  datagrams = *all, calls = *called;
  return out;
}

Status measure(const BenchArgs& args, unsigned shards, WithShards& out, Interrupt& interrupt) {
  auto net = Net::start({.relays = 3, .shards = 1, .first_relay_shards = shards}, interrupt);
  if (!net) return std::unexpected(net.error());
  const std::size_t bytes = args.quick ? 4'000'000 : 64'000'000;
  double datagrams = 0, calls = 0;
  for (unsigned i = 0; i < 2; ++i) {  // the first one fills caches and opens links
    if (const auto ok = datagrams_per_call(**net, datagrams, calls); !ok) {
      return std::unexpected(ok.error());
    }
    const double cpu = (*net)->cpu_relays();
    const auto result = (*net)->bulk(bytes, 3, 4);
    if (!result) return std::unexpected(result.error());
    if (i == 0) continue;
    const auto per_call = datagrams_per_call(**net, datagrams, calls);
    if (!per_call) return std::unexpected(per_call.error());
    const double gb = 4 * static_cast<double>(bytes) / 1e9;
    out.mb_s.push_back(gb * 1e3 / result->seconds);
    out.cpu_s_per_gb.push_back(((*net)->cpu_relays() - cpu) / gb);
    out.datagrams_per_call.push_back(*per_call);
  }
  return {};
}

}  // namespace

Status features_of_shards(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  WithShards one, two;
  for (unsigned i = 0; i < args.runs; ++i) {  // networks of both kinds in turn
    if (Status done = measure(args, 1, one, interrupt); !done) return done;
    if (Status done = measure(args, 2, two, interrupt); !done) return done;
  }
  out.feature("P11", "bulk_one_relay_of_2_shards", "MB/s", true, median_of(two.mb_s),
              median_of(one.mb_s));
  out.feature("P11", "relays_cpu_one_of_2_shards", "s/GB", false, median_of(two.cpu_s_per_gb),
              median_of(one.cpu_s_per_gb));
  out.feature("P11", "datagrams_per_call_one_of_2_shards", "datagrams", true,
              median_of(two.datagrams_per_call), median_of(one.datagrams_per_call));
  return {};
}

}  // namespace qudag::app::bench
