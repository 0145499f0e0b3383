// qudag-bench: arguments to a command, and its exit code.
#include "args.h"

#include <qudag/node.h>

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

namespace qudag::app::bench {
namespace {

using Command = std::function<Exit()>;

void add_scenarios(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<BenchArgs>();
  app.add_option("scenario", args->scenario,
                 "What to measure; docs/internals/measuring.md describes each")
      ->check(CLI::IsMember({"all", "limit", "direct", "onion", "pipes", "api", "circuit", "relay",
                             "idle", "alloc", "features", "priorities", "shards", "paths",
                             "keepers", "letters", "queues", "overload", "soak"}))
      ->capture_default_str();
  app.add_option("--runs", args->runs, "Runs after one warm-up")
      ->check(CLI::Range(1u, 100u))
      ->capture_default_str();
  app.add_option("--seconds", args->seconds, "Length of each measured rate")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--shards", args->shards, "Threads of each node")
      ->check(CLI::Range(0u, 64u))
      ->capture_default_str();
  app.add_option("--json", args->json, "Write JSON to this file; -: standard output");
  app.add_flag("--quick", args->quick, "Once and short: shows that it works, not how well");
  app.callback([&chosen, args] {
    if (!chosen) chosen = [args] { return run_bench(*args); };
  });
}

void add_end(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<EndArgs>();
  CLI::App* sub = app.add_subcommand("end", "The destination of a benchmark")->group("");
  sub->add_option("--bootstrap", args->bootstrap);
  sub->add_option("--shards", args->shards);
  sub->add_option("--memory", args->memory);
  sub->add_option("--ready-fd", args->ready_fd)->required();
  sub->callback([&chosen, args] { chosen = [args] { return run_end(*args); }; });
}

int run(int argc, char** argv) {
  CLI::App app("Measures QuDAG Net in separate processes, beside what the machine allows",
               "qudag-bench");
  app.footer("\n" + std::string(exit_codes_help()));
  app.set_version_flag("--version", std::string(version()));
  Command chosen;
  add_end(app, chosen);
  add_scenarios(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  return static_cast<int>(chosen());
}

}  // namespace
}  // namespace qudag::app::bench

int main(int argc, char** argv) {
  return qudag::app::guarded([&] { return qudag::app::bench::run(argc, argv); });
}
