// The commands of qudag-bench: what main has parsed goes in, the exit code comes out.
#pragma once

#include "common/report.h"

#include <cstdint>
#include <filesystem>
#include <string>

namespace qudag::app::bench {

struct BenchArgs {
  std::string scenario = "all";
  unsigned runs = 3;
  unsigned shards = 1;
  double seconds = 2;          ///< of each measured rate
  bool quick = false;          ///< as short as can be, for tests of the form
  std::filesystem::path json;  ///< "-": standard output
};
Exit run_bench(const BenchArgs& args);

/// The destination of a benchmark, a process of its own.
struct EndArgs {
  std::string bootstrap;
  unsigned shards = 1;
  std::uint64_t memory = 0;  ///< limits.memory; 0: end_options()
  int ready_fd = -1;
};
Exit run_end(const EndArgs& args);

}  // namespace qudag::app::bench
