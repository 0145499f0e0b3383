// qudag top: 1 ask the node, 2 figures from this answer, the last one and one of a minute ago,
// 3 draw, 4 a key or the next second. --once: two answers, and text.
#include "commands.h"
#include "query.h"

#include "common/interrupt.h"
#include "top/figures.h"
#include "top/terminal.h"
#include "top/view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <optional>

namespace qudag::app {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kPatience{5'000};
/// What percentiles are about, and how far apart the samples that are kept for it are.
constexpr std::chrono::seconds kEarlier{60}, kKeptEvery{5};
/// A signal is noticed so soon.
constexpr Milliseconds kTick{200};

/// Links and circuits may be thousands of rows: they are asked for only while they are shown.
struct Wanted {
  bool links = false;
  bool circuits = false;
};

Result<Sample> ask(const api::Client& client, Wanted wanted) {
  Sample out;
  std::optional<Error> failed;
  const auto page = [&](std::string_view target) -> std::string {
    Result<std::string> text = client.get(target, kPatience);
    if (text) return std::move(*text);
    failed = text.error();
    return {};
  };
  out.status = read_json(page("/v1/status"));
  if (!failed) out.queues = read_json(page("/v1/queues"));
  out.at = Clock::now().time_since_epoch();
  if (!failed) out.metrics = MetricPage(page("/metrics"));
  if (failed) return std::unexpected(*failed);
  if (out.status.is_null()) return fail(Errc::malformed, "the node's status is no JSON");
  // A socket for watchers does not have these.
  if (wanted.links) out.peers = read_json(client.get("/v1/peers", kPatience).value_or(""));
  if (wanted.circuits) out.circuits = read_json(client.get("/v1/circuits", kPatience).value_or(""));
  return out;
}

/// The samples that figures need.
class Samples {
 public:
  void add(Sample sample) {
    if (kept_.empty() || sample.at - kept_.back().at >= kKeptEvery) {
      kept_.push_back({sample.at, sample.metrics, {}, {}, {}, {}});
    }
    while (kept_.size() > 1 && sample.at - kept_[1].at >= kEarlier) kept_.pop_front();
    before_ = std::move(now_);
    now_ = std::move(sample);
  }
  Figures figures() const {
    return app::figures(*now_, before_ ? *before_ : *now_,
                        kept_.size() > 1 ? &kept_.front() : nullptr);
  }

 private:
  std::optional<Sample> now_, before_;
  std::deque<Sample> kept_;  // metrics only, the oldest first
};

std::size_t columns_of_output() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const long wanted = columns ? std::strtol(columns, nullptr, 10) : 0;
  return wanted > 0 && wanted < 10'000 ? static_cast<std::size_t>(wanted) : Size().columns;
}

Exit once(const TopArgs& args, const api::Client& client, Sample before) {
  Interrupt interrupt;
  if (interrupt.wait(args.interval)) return Exit::ok;
  Result<Sample> now = ask(client, {true, true});
  if (!now) return report(now.error(), false);
  const Figures all = figures(*now, before, nullptr);
  const Status printed = print(text_of(draw_all(all, {columns_of_output(), 0})));
  return printed ? Exit::ok : report(printed.error(), false);
}

Exit live(const TopArgs& args, const api::Client& client, Sample first) {
  Interrupt interrupt;
  Result<Terminal> terminal = Terminal::open();
  if (!terminal) return report(terminal.error(), false);
  View view;
  view.interval = args.interval;
  Samples samples;
  samples.add(std::move(first));
  Figures shown = samples.figures();
  Clock::time_point asked = Clock::now();
  while (!view.quit && !interrupt.raised()) {
    terminal->show(draw(shown, view, terminal->size()));
    const auto rest = std::chrono::ceil<Milliseconds>(asked + view.interval - Clock::now());
    const auto panel = view.panel;
    if (const auto key = terminal->key(std::clamp(rest, Milliseconds(0), kTick))) {
      press(view, *key, shown);
    }
    const bool other =
        view.panel != panel && (view.shows(Panel::links) || view.shows(Panel::circuits));
    if ((Clock::now() < asked + view.interval || view.paused) && !other) continue;
    Result<Sample> now = ask(client, {view.shows(Panel::links), view.shows(Panel::circuits)});
    asked = Clock::now();
    view.trouble = now ? std::string() : "the figures are old: " + now.error().message();
    if (!now) continue;
    samples.add(std::move(*now));
    shown = samples.figures();
  }
  return Exit::ok;
}

}  // namespace

Exit top(const TopArgs& args) {
  const api::Client client = client_of(args.socket);
  Result<Sample> first = ask(client, {args.once, args.once});
  if (!first) return report(first.error(), false);
  return args.once ? once(args, client, std::move(*first)) : live(args, client, std::move(*first));
}

}  // namespace qudag::app
