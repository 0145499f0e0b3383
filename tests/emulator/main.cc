// qudag_emulator: programs in network namespaces, over links that are slow, lossy and cut. See
// README.md; the lines of a scenario are in scenario.h.
//
//   qudag_emulator [-f FILE] [-e LINE]... [--json FILE] [--logs DIR] [--series TIME] [--trace FILE]
//                  [-- NODE PROGRAM ARGUMENTS...]...
//
// Exit code: that of the programs; 124 when the time ended first, 77 where namespaces are not
// allowed, 2 for a wrong scenario.
#include "isolation.h"
#include "run.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>

namespace qudag::emulator {
namespace {

constexpr int kExitUsage = 2;

int complain(const Error& error) {
  const bool skip = error.code == Errc::permission_denied;
  std::fprintf(stderr, "qudag_emulator: %s%s\n", skip ? "skipped, not allowed here: " : "",
               error.message().c_str());
  return skip ? kExitSkipped : error.code == Errc::malformed ? kExitUsage : 1;
}

Status read_file(Scenario& scenario, const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Errc::malformed, "cannot read " + path);
  for (std::string line; std::getline(file, line);) {
    if (auto ok = scenario.add(line); !ok) return ok;
  }
  return {};
}

/// `-- NODE PROGRAM ARGUMENTS...`, again and again; CLI11 sees what is before the first.
Status take_programs(Scenario& scenario, int argc, char** argv, int& own) {
  own = argc;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--") continue;
    own = std::min(own, i);
    Program program;
    for (++i; i < argc && std::string_view(argv[i]) != "--"; ++i) {
      (program.node.empty() ? program.node : program.arguments.emplace_back()) = argv[i];
    }
    --i;
    if (program.arguments.empty()) return fail(Errc::malformed, "-- NODE PROGRAM ...");
    scenario.programs.push_back(std::move(program));
  }
  return {};
}

int inside(const Scenario& scenario, const RunOptions& options, const std::string& json) {
  auto run = Run::create(scenario, options);
  if (!run) return complain(run.error());
  const int code = (*run)->go();
  if (json == "-") std::cout << (*run)->report() << std::endl;
  if (!json.empty() && json != "-") std::ofstream(json) << (*run)->report() << '\n';
  return code;
}

int main(int argc, char** argv) {
  Scenario scenario;
  int own = argc;
  const Status programs = take_programs(scenario, argc, argv, own);
  std::string file, json, series;
  std::vector<std::string> lines;
  RunOptions options;
  CLI::App app("Runs programs over emulated links");
  app.add_option("-f,--file", file, "scenario, a line each");
  app.add_option("-e,--line", lines, "one more line of it")->allow_extra_args(false);
  app.add_option("--json", json, "the report; - for standard output");
  app.add_option("--logs", options.logs, "directory for the programs' output");
  app.add_option("--series", series, "counters for every such time, too: 100ms");
  app.add_option("--trace", options.trace, "a line for each packet");
  CLI11_PARSE(app, own, argv);

  if (!programs) return complain(programs.error());
  if (!file.empty()) {
    if (auto ok = read_file(scenario, file); !ok) return complain(ok.error());
  }
  for (const std::string& line : lines) {
    if (auto ok = scenario.add(line); !ok) return complain(ok.error());
  }
  if (auto ok = scenario.check(); !ok) return complain(ok.error());
  if (!series.empty()) {
    const auto time = parse_time(series);
    if (!time || *time < std::chrono::milliseconds(1)) {
      return complain(Error(Errc::malformed, "--series TIME, at least 1ms"));
    }
    options.interval = *time;
  }
  const auto code = isolated([&] { return inside(scenario, options, json); });
  return code ? *code : complain(code.error());
}

}  // namespace
}  // namespace qudag::emulator

int main(int argc, char** argv) { return qudag::emulator::main(argc, argv); }
