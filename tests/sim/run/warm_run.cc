// What warm links bring on a workload whose demand shifts half way (sim/scenes/shift.h), as JSON:
// the share of circuits that find their link ready, against the places for warm links.
//   --seeds N   so many runs of each, added up       --minutes N   of virtual time, each
#include "sim/scenes/shift.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  std::uint64_t seeds = 3;
  std::uint64_t minutes = 60;
  CLI::App app("Hit ratio of links against warm_links, as JSON");
  app.add_option("--seeds", seeds, "runs of each kind")->check(CLI::Range(1, 1000));
  app.add_option("--minutes", minutes, "virtual minutes of each")->check(CLI::Range(20, 6000));
  CLI11_PARSE(app, argc, argv);

  fmt::print("[\n");
  const char* separator = "";
  for (const unsigned relays : {0u, 3u}) {
    for (const std::size_t warm_links : {0u, 4u, 16u}) {
      qudag::testing::ShiftResult sum;
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        sum += qudag::testing::run_shift({.seed = seed,
                                          .warm_links = warm_links,
                                          .relays = relays,
                                          .lasts = std::chrono::minutes(minutes)});
      }
      fmt::print(
          "{}{{\"relays\": {}, \"warm_links\": {}, \"requests\": {}, \"hit_ratio\": {:.3f}, "
          "\"hit_ratio_after_shift\": {:.3f}, \"links_mean\": {:.1f}, \"opened\": {}, \"used\": "
          "{}, "
          "\"unused\": {}, \"evicted\": {}, \"message_ms_mean\": {:.0f}, \"delivered\": {}, "
          "\"messages\": {}}}",
          separator, relays, warm_links, sum.requests, sum.hit_ratio(), sum.shift_hit_ratio(),
          sum.links_mean, sum.opened, sum.used, sum.unused, sum.evicted, sum.message_ms_mean,
          sum.delivered, sum.messages);
      std::fflush(stdout);
      separator = ",\n";
    }
  }
  fmt::print("\n]\n");
  return 0;
}
