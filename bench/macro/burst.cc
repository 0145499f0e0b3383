// What a burst leaves behind: bulk messages through a relay to a destination, both read from
// outside before, and 30 s after. The burst comes twice: the first one also runs code for the first
// time.
//   idle/burst_N_relay, idle/burst_N_destination     resident memory after by resident before, %
//   idle/burst_N_..._peak                            the most in between
#include "machine.h"
#include "net.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kCircuits = 8;

struct Subject {
  const char* name;
  pid_t pid;
  double rss = 0;
  double anonymous = 0;

  void read() {
    rss = static_cast<double>(rss_of(pid));
    anonymous = static_cast<double>(anonymous_of(pid));
  }
};

}  // namespace

Status burst_part(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  const std::size_t bytes = std::size_t{args.quick ? 1u : 32u} << 20;
  const std::chrono::milliseconds settle = args.quick ? 500ms : 30s;
  auto net = Net::start({.relays = 1, .shards = 1}, interrupt);
  if (!net) return std::unexpected(net.error());
  Subject subjects[] = {{"relay", (*net)->relay_pids()[0]},
                        {"destination", (*net)->destination_pid()}};
  if (interrupt.wait(std::min<std::chrono::milliseconds>(settle, 8s))) {
    return fail(Errc::shutting_down, "interrupted");
  }
  for (const char* which : {"first", "second"}) {
    for (Subject& subject : subjects) {
      subject.read();
      forget_peak_rss(subject.pid);
    }
    const Subject before[] = {subjects[0], subjects[1]};
    if (const auto sent = (*net)->bulk(bytes, 1, kCircuits); !sent) {
      return std::unexpected(sent.error());
    }
    if (interrupt.wait(settle)) return fail(Errc::shutting_down, "interrupted");
    for (std::size_t i = 0; i < std::size(subjects); ++i) {
      Subject& now = subjects[i];
      now.read();
      const std::string name = fmt::format("idle/burst_{}_{}", which, now.name);
      out.add(name, "% more", false).runs = {100 * (now.rss / before[i].rss - 1)};
      out.add(name + "_anonymous", "bytes", false).runs = {now.anonymous - before[i].anonymous};
      out.add(name + "_peak", "bytes", false).runs = {static_cast<double>(peak_rss_of(now.pid))};
    }
  }
  out.note(fmt::format("idle: burst of {} x {} MiB; resident memory {} ms after it against before",
                       kCircuits, bytes >> 20, settle.count()));
  return {};
}

}  // namespace qudag::app::bench
