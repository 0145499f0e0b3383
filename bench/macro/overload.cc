// What happens above capacity. In a network of five processes, each with limits.memory at 64 MB:
//   1 the capacity: as much of the mix as a closed loop gets served
//   2 a half, once, twice and four times that is offered in an open loop, one after the other
//   3 after each: the books (every message delivered or told why not), latency and shares by
//   priority,
//     and the most that any process had resident meanwhile
// Better to run it in a process of its own: the source is this process, and its memory counts.
#include "machine.h"
#include "net.h"
#include "offered.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <map>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;
constexpr auto kTtl = 5s;
constexpr unsigned kHops = 3;

struct Load {
  std::string_view name;
  double factor;
};
constexpr std::array<Load, 4> kLoads{{{"0.5x", 0.5}, {"1x", 1}, {"2x", 2}, {"4x", 4}}};

/// One load, measured.
struct Measured {
  Books books;
  std::map<std::string, double> rss;  // the peak of each process
  std::uint64_t arrived = 0;          // by the destination's own count
};

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

class Overload {
 public:
  Overload(const BenchArgs& args, Results& out, Interrupt& interrupt)
      : args_(args), out_(out), interrupt_(interrupt) {}

  Status run();

 private:
  Status load(Net& net, Offered& offered, const Load& what, double capacity);
  std::map<std::string, int> processes(const Net& net) const;
  void rows(const Load& what, const Measured& measured);
  void tell(const Load& what, const Measured& measured);
  void add(const Load& what, std::string_view row, std::string_view unit, bool higher,
           double value);

  const BenchArgs& args_;
  Results& out_;
  Interrupt& interrupt_;
  double p99_at_half_ = 0;
  double goodput_best_ = 0;
  std::vector<std::pair<std::size_t, double>> goodputs_;  // of this run, by load
};

std::map<std::string, int> Overload::processes(const Net& net) const {
  std::map<std::string, int> out{{"source", ::getpid()}, {"destination", net.destination_pid()}};
  const std::vector<int> relays = net.relay_pids();
  for (std::size_t i = 0; i < relays.size(); ++i) out[fmt::format("relay {}", i + 1)] = relays[i];
  return out;
}

/// A row per name: further runs add to it.
void Overload::add(const Load& what, std::string_view row, std::string_view unit, bool higher,
                   double value) {
  const std::string name = fmt::format("overload/{}/{}", what.name, row);
  for (Row& one : out_.rows()) {
    if (one.name == name) return one.runs.push_back(value);
  }
  out_.add(name, std::string(unit), higher).runs = {value};
}

void Overload::rows(const Load& what, const Measured& measured) {
  const Books& books = measured.books;
  const Tally& high = books.classes[0];
  const double p99 = static_cast<double>(high.latency_ns.percentile(99)) / 1e3;
  if (what.factor == 0.5) p99_at_half_ = p99;
  add(what, "high/p99", "us", false, p99);
  add(what, "high/p99_ratio", "x", false, ratio(p99, p99_at_half_));
  for (const Priority priority : {Priority::normal, Priority::low}) {
    const Histogram& latency = books.classes[static_cast<std::size_t>(priority)].latency_ns;
    add(what, fmt::format("{}/p99", name_of(priority)), "us", false,
        static_cast<double>(latency.percentile(99)) / 1e3);
  }
  for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
    const Tally& tally = books.classes[static_cast<std::size_t>(priority)];
    add(what, fmt::format("{}/delivered_ratio", name_of(priority)), "x", true,
        ratio(static_cast<double>(tally.delivered), static_cast<double>(tally.offered)));
  }
  add(what, "low/share", "x", true, ratio(books.goodput(Priority::low), books.goodput()));
  add(what, "goodput", "MB/s", true, books.goodput() / 1e6);
  double most = 0;
  for (const auto& [name, rss] : measured.rss) most = std::max(most, rss);
  add(what, "rss_ratio", "x", false, most / static_cast<double>(kMemory));

  double unaccounted = 0;
  for (const Tally& tally : books.classes) {
    unaccounted +=
        std::abs(static_cast<double>(tally.offered) - static_cast<double>(tally.accounted())) +
        static_cast<double>(tally.without_reason);
  }
  // Called delivered, and the destination's application has not had it.
  if (books.delivered() > measured.arrived) {
    unaccounted += static_cast<double>(books.delivered() - measured.arrived);
  }
  add(what, "unaccounted", "messages", false, unaccounted);
}

void Overload::tell(const Load& what, const Measured& measured) {
  std::string text =
      fmt::format("overload {}: {} offered in {:.2f} s, {} delivered, {} arrived;", what.name,
                  measured.books.offered(), measured.books.offered_seconds,
                  measured.books.delivered(), measured.arrived);
  for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
    const Tally& tally = measured.books.classes[static_cast<std::size_t>(priority)];
    text += fmt::format(" {} {} of {}", name_of(priority), tally.delivered, tally.offered);
    for (const auto& [reason, count] : tally.told) text += fmt::format(", {} {}", count, reason);
    text += ";";
  }
  text += " peak MB:";
  for (const auto& [name, rss] : measured.rss) text += fmt::format(" {} {:.1f}", name, rss / 1e6);
  out_.note(std::move(text));
}

Status Overload::load(Net& net, Offered& offered, const Load& what, double capacity) {
  const auto before = net.counted();
  if (!before) return std::unexpected(before.error());
  const auto pids = processes(net);
  for (const auto& [name, pid] : pids) forget_peak_rss(pid);
  offered.open_loop(args_.quick ? 0.4 : std::max(4.0, args_.seconds), capacity * what.factor);
  if (!offered.settle(60s)) return fail(Errc::timed_out, "outcomes did not come");
  Measured measured{.books = offered.books(), .rss = {}};
  for (const auto& [name, pid] : pids) {
    measured.rss[name] = static_cast<double>(peak_rss_of(pid));
  }
  const auto after = net.counted();
  if (!after) return std::unexpected(after.error());
  measured.arrived = *after - *before;
  rows(what, measured);
  tell(what, measured);
  goodputs_.emplace_back(&what - kLoads.data(), measured.books.goodput());
  goodput_best_ = std::max(goodput_best_, measured.books.goodput());
  if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
  return {};
}

Status Overload::run() {
  auto started = Net::start({.relays = 3, .shards = args_.shards, .memory = kMemory}, interrupt_);
  if (!started) return std::unexpected(started.error());
  Net& net = **started;
  Offered offered(net.source(), net.destination(), kHops, kTtl);
  const auto end = [&](const Status& how) {
    net.source().stop(0s);  // runs every completion: nothing refers to `offered` after it
    return how;
  };
  goodputs_.clear();
  goodput_best_ = 0;
  double capacity = 0;
  for (int warm = 0; warm < 2; ++warm) {
    offered.closed_loop(args_.quick ? 0.3 : warm == 0 ? 1.0 : 3.0, 1'024);
    if (!offered.settle(60s)) return end(fail(Errc::timed_out, "outcomes did not come"));
    const Books books = offered.books();
    double messages = 0;
    for (const Tally& t : books.classes) messages += static_cast<double>(t.delivered_in_window);
    capacity = messages / books.window_seconds;
  }
  if (capacity <= 0) return end(fail(Errc::internal, "nothing was delivered at capacity"));
  add({"capacity", 1}, "rate", "messages/s", true, capacity);
  for (const Load& what : kLoads) {
    if (Status done = load(net, offered, what, capacity); !done) return end(done);
  }
  for (const auto& [i, goodput] : goodputs_) {
    add(kLoads[i], "goodput_ratio", "x", true, ratio(goodput, goodput_best_));
  }
  return end({});
}

}  // namespace

Status overload_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  Overload overload(args, out, interrupt);
  for (unsigned i = 0; i < args.runs; ++i) {
    if (Status done = overload.run(); !done) return done;
  }
  out.note(
      "overload: open loop, 5 % high of 256 B, 25 % normal of 1 KiB, 70 % low of 4 KiB, three "
      "relays, time to live 5 s; capacity by a closed loop of 1,024 messages in the same run; "
      "goodput and shares in bytes, while load was offered, after its first quarter; rss_ratio is "
      "the largest of the five processes' peaks over 64 MiB");
  return {};
}

}  // namespace qudag::app::bench
