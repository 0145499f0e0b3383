// ./dev sim SEED: one run of the main simulation, told in one line; exit code 1 if a promise broke.
//   --seed N   the first seed          --count N   so many seeds from there on
//   --nodes N  --minutes N             size and length of the run (virtual)
//   --crowd                            100 nodes, slow receivers, crashes, small limits; caps
//   checked
#include "sim/scenario.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  qudag::sim::ScenarioOptions options;
  std::uint64_t count = 1;
  std::uint64_t minutes = 3;
  std::uint64_t partition_seconds = 0;
  CLI::App app("Runs the main simulation from a seed");
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--count", count, "how many seeds, one after the other");
  app.add_option("--nodes", options.nodes, "nodes in the network")->check(CLI::Range(7, 250));
  app.add_option("--minutes", minutes, "virtual minutes of traffic")->check(CLI::Range(1, 600));
  app.add_option("--partition", partition_seconds, "cut the network in half for so many seconds");
  bool crowded = false;
  std::size_t crowd_nodes = 100;
  app.add_option("--crowd-nodes", crowd_nodes, "so many of them")->check(CLI::Range(7, 250));
  app.add_flag("--crowd", crowded, "100 nodes with slow receivers; every cap is checked");
  CLI11_PARSE(app, argc, argv);

  options.traffic = std::chrono::minutes(minutes);
  options.partition_lasts = std::chrono::seconds(partition_seconds);
  if (crowded) options = qudag::sim::crowd(options.seed, crowd_nodes);
  int broken = 0;
  for (std::uint64_t i = 0; i < count; ++i, ++options.seed) {
    const auto result = qudag::sim::run_scenario(options);
    fmt::print("seed {}: {}\n", options.seed, result.summary());
    std::fflush(stdout);
    broken += result.broken.empty() ? 0 : 1;
  }
  if (count > 1) fmt::print("{} seeds, {} broken\n", count, broken);
  return broken == 0 ? 0 : 1;
}
