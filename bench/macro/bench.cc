// qudag-bench: scenarios in turn, the limit first, so that all others can be held against it.
#include "base/posix.h"
#include "common/interrupt.h"
#include "scenarios.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <set>

namespace qudag::app::bench {
namespace {

Status write_json(const std::filesystem::path& file, const std::string& text) {
  if (file == "-") return print(text);
  std::ofstream out(file, std::ios::binary);
  out << text << std::flush;
  if (!out) return system_failure(file.string());
  return {};
}

/// These watch the memory of processes, this one included: they start from a fresh one.
const std::set<std::string_view> kApart{"overload", "soak"};

Status run_apart(const BenchArgs& args, std::string_view scenario, Results& out) {
  fmt::print(stderr, "bench: {}, in a process of its own\n", scenario);
  const std::string command =
      fmt::format("'{}' {} --json - --runs {} --seconds {} --shards {}{}",
                  std::filesystem::read_symlink("/proc/self/exe").string(), scenario, args.runs,
                  args.seconds, args.shards, args.quick ? " --quick" : "");
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  char piece[4'096];
  while (pipe != nullptr) {
    const std::size_t n = std::fread(piece, 1, sizeof piece, pipe.get());
    if (n == 0) break;
    text.append(piece, n);
  }
  return out.add_json(text);
}

Status measure(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  Limit limit;
  struct Scenario {
    std::string_view name;
    std::function<Status()> run;
  };
  const std::array<Scenario, 18> all{{
      {"limit", [&] { return limit_scenario(args, out, limit); }},
      {"direct", [&] { return messages_scenario(args, false, limit, out, interrupt); }},
      {"onion", [&] { return messages_scenario(args, true, limit, out, interrupt); }},
      {"pipes", [&] { return pipes_scenario(args, out, interrupt); }},
      {"api", [&] { return api_scenario(args, out, interrupt); }},
      {"circuit", [&] { return circuit_scenario(args, out, interrupt); }},
      {"relay", [&] { return relay_scenario(args, out); }},
      {"idle", [&] { return idle_scenario(args, out, interrupt); }},
      {"alloc", [&] { return alloc_scenario(args, out, interrupt); }},
      {"features", [&] { return features_scenario(args, out, interrupt); }},
      {"priorities",
       [&] {
         return args.scenario == "all" ? Status{} : features_of_priorities(args, out, interrupt);
       }},
      {"queues",
       [&] {
         return args.scenario == "all" ? Status{} : features_of_queues(args, out, interrupt);
       }},
      {"shards",
       [&] {
         return args.scenario == "all" ? Status{} : features_of_shards(args, out, interrupt);
       }},
      {"paths", [&] { return paths_scenario(args, out); }},
      {"keepers",
       [&] { return args.scenario == "all" ? Status{} : keepers_scenario(args, out, interrupt); }},
      {"letters", [&] { return args.scenario == "all" ? Status{} : letters_scenario(args, out); }},
      {"overload", [&] { return overload_scenario(args, out, interrupt); }},
      {"soak", [&] { return soak_scenario(args, out, interrupt); }},
  }};
  for (const Scenario& scenario : all) {
    const bool wanted = args.scenario == "all" || args.scenario == scenario.name;
    if (args.scenario == "all" && kApart.contains(scenario.name)) {
      if (scenario.name == "soak" && !args.quick) continue;  // minutes: when it is asked for
      if (Status done = run_apart(args, scenario.name, out); !done) return done;
      continue;
    }
    const bool compares = args.scenario == "direct" || args.scenario == "onion";
    if (!wanted && !(scenario.name == "limit" && compares)) continue;
    fmt::print(stderr, "bench: {}\n", scenario.name);
    if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
    if (Status done = scenario.run(); !done) {
      return fail(done.error().code, fmt::format("{}: {}", scenario.name, done.error().message()));
    }
  }
  return {};
}

}  // namespace

Exit run_bench(const BenchArgs& given) {
  BenchArgs args = given;
  if (args.quick) {
    args.runs = 1;
    args.seconds = 0.2;
  }
  const bool json = args.json == "-";
  Interrupt interrupt;
  Results results;
  const Status measured = measure(args, results, interrupt);
  // What was measured before an error is shown too.
  if (!json && !results.rows().empty()) {
    if (Status printed = print(results.table()); !printed) return report(printed.error(), false);
  }
  if (!measured) return report(measured.error(), json);
  if (!args.json.empty()) {
    if (Status written = write_json(args.json, results.json(args)); !written) {
      return report(written.error(), false);
    }
  }
  return Exit::ok;
}

}  // namespace qudag::app::bench
