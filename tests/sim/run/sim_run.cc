// ./dev sim SEED: one run of the main simulation, told in one line; exit code 1 if a promise broke.
//   --seed N   the first seed          --count N   so many seeds from there on
//   --nodes N  --minutes N             size and length of the run (virtual); 1,000 nodes take some
//                                      minutes: of more than 250 the first --relays are relays
//   --crowd                            100 nodes, slow receivers, crashes, small limits; caps
//   checked
//   --attackers                        fifty honest nodes and twelve attackers of every kind;
//                                      --without KIND leaves one out, --short sends for 30 s
#include "sim/attackers/attackers.h"
#include "sim/scenario.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>

namespace {

int run_with_attackers(std::uint64_t seed, std::uint64_t count, bool short_run,
                       std::vector<std::string> without) {
  qudag::testing::AttackersSum sum;
  qudag::testing::AttackersOptions options;
  options.without = std::move(without);
  if (short_run) options.traffic = std::chrono::seconds(30);
  for (options.seed = seed; options.seed < seed + count; ++options.seed) {
    const auto result = qudag::testing::run_attackers(options);
    fmt::print("seed {}: {}\n", options.seed, result.summary());
    std::fflush(stdout);
    sum.add(result);
  }
  fmt::print("{}", sum.table());
  const auto broken = sum.broken();
  for (const std::string& what : broken) fmt::print("broken: {}\n", what);
  return broken.empty() ? 0 : 1;
}

long peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  qudag::testing::ScenarioOptions options;
  std::uint64_t count = 1;
  std::uint64_t minutes = 3;
  std::uint64_t partition_seconds = 0;
  CLI::App app("Runs the main simulation from a seed");
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--count", count, "how many seeds, one after the other");
  app.add_option("--nodes", options.nodes, "nodes in the network")->check(CLI::Range(7, 1000));
  app.add_option("--relays", options.relays,
                 "so many of them are relays; all, or 100 of more than 250");
  app.add_option("--minutes", minutes, "virtual minutes of traffic")->check(CLI::Range(1, 600));
  app.add_option("--partition", partition_seconds, "cut the network in half for so many seconds");
  bool crowded = false, attackers = false, short_run = false;
  std::size_t crowd_nodes = 100;
  app.add_option("--crowd-nodes", crowd_nodes, "so many of them")->check(CLI::Range(7, 250));
  app.add_flag("--crowd", crowded, "100 nodes with slow receivers; every cap is checked");
  app.add_flag("--attackers", attackers, "fifty honest nodes, twelve attackers of every kind");
  app.add_flag("--short", short_run, "with --attackers: half a minute of traffic");
  std::vector<std::string> without;
  app.add_option("--without", without, "with --attackers: kinds that stay away");
  CLI11_PARSE(app, argc, argv);
  if (attackers) return run_with_attackers(options.seed, count, short_run, std::move(without));

  if (options.nodes > 250) options.relays = std::min<std::size_t>(options.relays, 100);
  options.traffic = std::chrono::minutes(minutes);
  options.partition_lasts = std::chrono::seconds(partition_seconds);
  if (crowded) options = qudag::testing::crowd(options.seed, crowd_nodes);
  int broken = 0;
  for (std::uint64_t i = 0; i < count; ++i, ++options.seed) {
    const auto began = std::chrono::steady_clock::now();
    const auto result = qudag::testing::run_scenario(options);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    fmt::print("seed {}: {}\n", options.seed, result.summary());
    fmt::print("took {:.1f} s, {} MiB at most; all knew all after {} virtual seconds\n",
               took.count(), peak_mib(), result.settled / std::chrono::seconds(1));
    std::fflush(stdout);
    broken += result.broken.empty() ? 0 : 1;
  }
  if (count > 1) fmt::print("{} seeds, {} broken\n", count, broken);
  return broken == 0 ? 0 : 1;
}
