// qudag bench: the work of the demo, repeated and measured, in separate processes through the local
// API. 1 start a network, 2 one warm-up, 3 each measurement --runs times, 4 medians as a table and
// as JSON with machine, commit and settings in it.
#include "demo.h"
#include "interrupt.h"
#include "json_text.h"

#include "crypto/random.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <algorithm>
#include <fstream>
#include <memory>
#include <thread>

namespace qudag::app {
namespace {

namespace json = boost::json;

struct Series {
  std::string name;
  std::string unit;
  bool higher = true;
  std::vector<double> runs;

  double median() const {
    std::vector<double> sorted = runs;
    std::ranges::sort(sorted);
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
};

class Bench {
 public:
  Bench(const BenchArgs& args, Network& network, Interrupt& interrupt)
      : args_(args),
        network_(network),
        interrupt_(interrupt),
        hops_(args.scenario == "onion" ? 3 : 0) {}

  Status measure();
  const std::vector<Series>& series() const { return series_; }

 private:
  const Network::Member& from() const {
    return network_.members()[network_.members().size() > 2 ? 1 : 0];
  }
  const Network::Member& to() const { return network_.members().back(); }
  Series& add(std::string_view what, std::string_view unit, bool higher) {
    return series_.emplace_back(
        Series{fmt::format("{}/{}", args_.scenario, what), std::string(unit), higher, {}});
  }
  Result<LoadResult> load(std::size_t bytes, std::size_t window, bool echo);
  Status rate(std::size_t bytes);
  Status round_trip(std::size_t bytes);
  Status bulk();

  const BenchArgs& args_;
  Network& network_;
  Interrupt& interrupt_;
  unsigned hops_;
  std::vector<Series> series_;
};

Result<LoadResult> Bench::load(std::size_t bytes, std::size_t window, bool echo) {
  LoadSpec spec;
  spec.destination = to().id;
  spec.options.hops = hops_;
  spec.bytes = bytes;
  spec.window = window;
  spec.echo = echo;
  spec.lasts = std::chrono::milliseconds(static_cast<std::int64_t>(args_.seconds * 1000));
  auto result = run_load(from().socket, to().socket, spec, [&] { return interrupt_.raised(); });
  if (!result) return result;
  if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
  if (result->wrong > 0 || result->delivered != result->sent) {
    return fail(
        Errc::internal,
        fmt::format("{} of {} messages delivered, {} wrong; first error: {}", result->delivered,
                    result->sent, result->wrong, result->first_other.message()));
  }
  return result;
}

Status Bench::rate(std::size_t bytes) {
  // Enough under way to fill a pipe, and not more than 8 MB.
  const std::size_t window = std::clamp<std::size_t>((std::size_t{8} << 20) / bytes, 16, 2'048);
  if (auto warm_up = load(bytes, window, false); !warm_up) return std::unexpected(warm_up.error());
  Series rate = {fmt::format("{}/{}/rate", args_.scenario, bytes), "messages/s", true, {}};
  Series mb = {fmt::format("{}/{}/mb_per_s", args_.scenario, bytes), "MB/s", true, {}};
  Series p50 = {fmt::format("{}/{}/one_way_p50", args_.scenario, bytes), "us", false, {}};
  Series p99 = {fmt::format("{}/{}/one_way_p99", args_.scenario, bytes), "us", false, {}};
  for (unsigned i = 0; i < args_.runs; ++i) {
    const auto result = load(bytes, window, false);
    if (!result) return std::unexpected(result.error());
    rate.runs.push_back(result->per_second());
    mb.runs.push_back(result->per_second() * static_cast<double>(bytes) / 1e6);
    p50.runs.push_back(static_cast<double>(result->latency_ns.percentile(50)) / 1e3);
    p99.runs.push_back(static_cast<double>(result->latency_ns.percentile(99)) / 1e3);
  }
  for (Series* one : {&rate, &mb, &p50, &p99}) series_.push_back(std::move(*one));
  return {};
}

/// A message and its reply, one at a time.
Status Bench::round_trip(std::size_t bytes) {
  Series p50 = {fmt::format("{}/{}/rtt_p50", args_.scenario, bytes), "us", false, {}};
  Series p99 = {fmt::format("{}/{}/rtt_p99", args_.scenario, bytes), "us", false, {}};
  for (unsigned i = 0; i < args_.runs; ++i) {
    const auto result = load(bytes, 1, true);
    if (!result) return std::unexpected(result.error());
    p50.runs.push_back(static_cast<double>(result->latency_ns.percentile(50)) / 1e3);
    p99.runs.push_back(static_cast<double>(result->latency_ns.percentile(99)) / 1e3);
  }
  series_.push_back(std::move(p50));
  series_.push_back(std::move(p99));
  return {};
}

Status Bench::bulk() {
  constexpr std::size_t kFileBytes = 64'000'000;
  const auto path = network_.directory() / "bulk.bin";
  {
    std::ofstream out(path, std::ios::binary);
    crypto::SystemRng rng;
    std::vector<std::byte> piece(1'000'000);
    for (std::size_t at = 0; at < kFileBytes; at += piece.size()) {
      rng.fill(piece);
      out.write(reinterpret_cast<const char*>(piece.data()),
                static_cast<std::streamsize>(piece.size()));
    }
    if (!out) return fail(Errc::io_error, path.string());
  }
  Series rate = {args_.scenario + "/bulk/1", "MB/s", true, {}};
  Series cpu = {args_.scenario + "/cpu_s_per_gb", "s/GB", false, {}};
  for (unsigned i = 0; i <= args_.runs; ++i) {  // the first is the warm-up
    const auto result = send_file(network_, from(), to(), path, hops_, interrupt_);
    if (!result) return std::unexpected(result.error());
    if (result->delivery.outcome != Outcome::delivered) {
      return fail(result->delivery.reason.code,
                  fmt::format("file {}: {}", i, result->delivery.reason.detail));
    }
    if (!result->sha256_match) return fail(Errc::internal, "a file did not arrive whole");
    if (i == 0) continue;
    rate.runs.push_back(result->mb_per_s);
    cpu.runs.push_back(result->cpu_seconds / (static_cast<double>(kFileBytes) / 1e9));
  }
  series_.push_back(std::move(rate));
  series_.push_back(std::move(cpu));
  return {};
}

Status Bench::measure() {
  if (Status done = bulk(); !done) return done;
  const std::vector<std::size_t> sizes =
      hops_ == 0 ? std::vector<std::size_t>{64, 256, 1'024, 16'384, 1'000'000}
                 : std::vector<std::size_t>{256, 1'024, 16'384};
  for (const std::size_t bytes : sizes) {
    if (Status done = rate(bytes); !done) return done;
  }
  if (Status done = round_trip(1'024); !done) return done;
  const auto build = metric_of(from(), "qudag_circuit_build_seconds_p50");
  if (!build) return std::unexpected(build.error());
  add("circuit_build_p50", "ms", false).runs.push_back(*build * 1e3);
  return {};
}

// ---- What the figures belong to
// -------------------------------------------------------------------

std::string first_line(const char* command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command, "r"), ::pclose);
  char text[128] = {};
  if (pipe == nullptr || std::fgets(text, sizeof text, pipe.get()) == nullptr) return "unknown";
  std::string line(text);
  while (line.ends_with('\n')) line.pop_back();
  return line.empty() ? "unknown" : line;
}

/// Of the tree that this program was built in, which is usually above it.
std::string commit() {
  std::error_code no_throw;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", no_throw).parent_path();
  const std::string command =
      fmt::format("git -C '{}' rev-parse --short=12 HEAD 2>/dev/null", self.string());
  return first_line(command.c_str());
}

json::object machine() {
  std::ifstream in("/proc/cpuinfo");
  std::string cpu = "unknown";
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) {
      cpu = line.substr(line.find(':') + 2);
      break;
    }
  }
  utsname name{};
  ::uname(&name);
  return {{"cpu", cpu},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_bytes", static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                               static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE))},
          {"kernel", std::string(name.release)}};
}

std::string to_json(const BenchArgs& args, unsigned nodes, const std::vector<Series>& all) {
  json::array results;
  for (const Series& one : all) {
    const auto [low, high] = std::ranges::minmax(one.runs);
    results.push_back(json::object{{"name", one.name},
                                   {"unit", one.unit},
                                   {"better", one.higher ? "higher" : "lower"},
                                   {"runs", json::array(one.runs.begin(), one.runs.end())},
                                   {"median", one.median()},
                                   {"min", low},
                                   {"max", high}});
  }
  return json_text(json::object{
             {"scenario", args.scenario},
             {"commit", commit()},
             {"machine", machine()},
             {"settings", json::object{{"processes", nodes},
                                       {"shards", args.shards},
                                       {"runs", args.runs},
                                       {"seconds_per_rate", args.seconds},
                                       {"pattern",
                                        "closed loop, bounded window, through the local "
                                        "API (WebSocket) of both ends"}}},
             {"results", std::move(results)}}) +
         "\n";
}

std::string to_table(const std::vector<Series>& all) {
  std::string out =
      fmt::format("{:<28}{:>14}{:>14}{:>14}  {}\n", "", "median", "min", "max", "unit");
  for (const Series& one : all) {
    const auto [low, high] = std::ranges::minmax(one.runs);
    out += fmt::format("{:<28}{:>14.1f}{:>14.1f}{:>14.1f}  {}\n", one.name, one.median(), low, high,
                       one.unit);
  }
  return out;
}

Status write_json(const std::filesystem::path& file, const std::string& text) {
  if (file == "-") return print(text);
  std::ofstream out(file, std::ios::binary);
  out << text << std::flush;
  if (!out) return fail(errno == ENOSPC ? Errc::disk_full : Errc::io_error, file.string());
  return {};
}

}  // namespace

Exit bench(const BenchArgs& args) {
  const bool json = args.json == "-";
  const unsigned nodes = args.scenario == "onion" ? 5 : 2;
  Interrupt interrupt;
  auto network = Network::start({.nodes = nodes, .shards = args.shards}, interrupt);
  if (!network) return report(network.error(), json);
  if (Status ready = (*network)->wait_for_netmaps(std::chrono::seconds(60), interrupt); !ready) {
    return report(ready.error(), json);
  }
  Bench bench(args, **network, interrupt);
  if (Status measured = bench.measure(); !measured) return report(measured.error(), json);
  (*network)->stop();
  if (!args.json.empty()) {
    if (Status written = write_json(args.json, to_json(args, nodes, bench.series())); !written) {
      return report(written.error(), false);
    }
  }
  if (json) return Exit::ok;
  const Status printed = print(to_table(bench.series()));
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace qudag::app
