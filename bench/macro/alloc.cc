// Calls of malloc, calloc, realloc and the like in whole processes, API thread and all, counted by
// a library that is loaded before theirs (bench/alloc/), over steady traffic after a warm-up:
//   alloc/per_message   the destination's process, per message taken
//   alloc/per_cell      the relays' processes, per cell passed on
//   copy/per_byte       the relays' counter of copied bytes over the bytes of those cells
#include "machine.h"
#include "net.h"
#include "scenarios.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

namespace qudag::app::bench {
namespace {

constexpr const char* kFileVariable = "QUDAG_COUNT_ALLOC";

std::filesystem::path counts_prefix() {
  return std::filesystem::temp_directory_path() / fmt::format("qudag-alloc-{}", ::getpid());
}

double allocations_of(int pid) {
  std::ifstream in(fmt::format("{}.{}", counts_prefix().string(), pid), std::ios::binary);
  std::uint64_t count = 0;
  in.read(reinterpret_cast<char*>(&count), sizeof count);
  return static_cast<double>(count);
}

struct Sample {
  double destination = 0, relays = 0, cells = 0, copied = 0;
};

void read_allocations(const Net& net, Sample& out) {
  out.destination = allocations_of(net.destination_pid());
  for (const int pid : net.relay_pids()) out.relays += allocations_of(pid);
}

/// Serving a metrics page allocates: pages are read outside of the two counts.
Result<Sample> sample(const Net& net, bool at_begin) {
  Sample out;
  if (!at_begin) read_allocations(net, out);
  const auto cells = net.relay_metric("qudag_cells_total", "role=\"relay\"");
  if (!cells) return std::unexpected(cells.error());
  const auto copied = net.relay_metric("qudag_bytes_copied_total");
  if (!copied) return std::unexpected(copied.error());
  out.cells = *cells;
  out.copied = *copied;
  if (at_begin) read_allocations(net, out);
  return out;
}

}  // namespace

Status alloc_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  const auto library = build_directory() / "bench" / "alloc" / "libqudag_count_alloc.so";
  std::error_code no_throw;
  const bool counted = std::filesystem::exists(library, no_throw);
  if (counted) {
    ::setenv(kFileVariable, counts_prefix().c_str(), 1);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
  }
  auto net = Net::start({.relays = 3, .shards = args.shards}, interrupt);
  ::unsetenv("LD_PRELOAD");
  ::unsetenv(kFileVariable);
  if (!net) return std::unexpected(net.error());
  std::vector<int> pids = (*net)->relay_pids();
  pids.push_back((*net)->destination_pid());

  const auto measure = [&]() -> Status {
    std::vector<double> per_message, per_cell, per_byte;
    for (unsigned i = 0; i <= args.runs; ++i) {
      const auto before = sample(**net, true);
      if (!before) return std::unexpected(before.error());
      const auto load = (*net)->load({.bytes = 256, .window = 4'096, .seconds = args.seconds});
      if (!load) return std::unexpected(load.error());
      const auto after = sample(**net, false);
      if (!after) return std::unexpected(after.error());
      if (i == 0) continue;
      const double cells = after->cells - before->cells;
      per_message.push_back((after->destination - before->destination) /
                            static_cast<double>(load->delivered));
      per_cell.push_back((after->relays - before->relays) / cells);
      per_byte.push_back((after->copied - before->copied) / (cells * 1'024));
    }
    if (counted) {
      out.add("alloc/per_message", "calls", false).runs = per_message;
      out.add("alloc/per_cell", "calls", false).runs = per_cell;
    } else {
      out.note("alloc: not counted, " + library.string() + " was not built");
    }
    out.add("copy/per_byte", "x", false).runs = per_byte;
    return {};
  };
  const Status done = measure();
  net->reset();
  for (const int pid : pids) {
    std::filesystem::remove(fmt::format("{}.{}", counts_prefix().string(), pid), no_throw);
  }
  return done;
}

}  // namespace qudag::app::bench
