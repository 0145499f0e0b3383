// A hop's part of a circuit build (accept_build: one decapsulation, one encapsulation) in the turn
// of a loop, as a node does it, and on a worker: the figures behind that choice, in
// docs/design/handshakes.md.
//   hop/turn/RATE, hop/worker/RATE   builds arrive evenly, RATE in a second
// Counters: from arrival to its result, how late the loop served its 1 ms timer and tasks, how long
// its turns took together, and the CPU of the process for each build (the timer's and the pacing
// too: only the difference between the two counts).
// modules: onion runtime
#include "crypto/random.h"
#include "onion/build_detail.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/worker_pool.h"

#include <benchmark/benchmark.h>

#include <sys/resource.h>

#include <atomic>
#include <thread>

namespace qudag::onion {
namespace {

using namespace std::chrono_literals;

constexpr UnixSeconds kNow = 1'800'000'000;
constexpr Duration kRun = 1s;

/// A loop that has nothing to do but a timer.
class Ticking final : public runtime::Driven {
 public:
  bool on_readable(Now) override { return false; }
  void on_writable(Now) override {}
  void on_time(Now now) override { due_ = now.mono + 1ms; }
  void flush(Now) override {}
  TimePoint next_deadline() const override { return due_; }
  bool wants_writable() const override { return false; }

 private:
  TimePoint due_{};
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double microseconds(Duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

class Hop {
 public:
  Hop() {
    const RouteHop hop{.id = {}, .onion_key = public_};
    if (!start_build({&hop, 1}, Priority::normal, kNow, rng_, *message_)) std::abort();
  }
  /// One build from the message; the window is its own, so that the same one counts as fresh.
  void accept() const {
    ReplayWindow window(8);
    BuildMessage copy = *message_;
    const OnionKey key{pair_, 0, 2 * kNow};
    if (!accept_build({}, {&key, 1}, window, Priority::normal, kNow, copy)) std::abort();
  }

 private:
  crypto::SystemRng rng_;
  std::shared_ptr<const crypto::KemKeyPair> pair_ =
      std::make_shared<const crypto::KemKeyPair>(crypto::KemKeyPair::generate().value());
  std::shared_ptr<const crypto::KemPublicKey> public_ =
      std::make_shared<const crypto::KemPublicKey>(
          crypto::KemPublicKey::import(pair_->public_bytes()).value());
  std::unique_ptr<BuildMessage> message_ = std::make_unique<BuildMessage>();
};

void hop(benchmark::State& state, bool on_worker) {
  const Hop hop;
  const auto builds = static_cast<int>(state.range(0));
  for (auto _ : state) {
    Ticking ticking;
    runtime::Loop loop(-1);
    std::thread thread([&] { loop.run(ticking); });
    Histogram took_us;  // the loop's thread
    std::atomic<int> done{0};
    {
      runtime::ThreadWorkerPool workers(2);
      const double cpu = cpu_seconds();
      const TimePoint start = runtime::system_now().mono;
      for (int i = 0; i < builds; ++i) {
        std::this_thread::sleep_for(start + kRun * i / builds - runtime::system_now().mono);
        const auto finish = [&, at = runtime::system_now().mono](Now) {
          took_us.record(static_cast<std::uint64_t>(microseconds(runtime::system_now().mono - at)));
          ++done;
        };
        (void)loop.post([&, finish](Now now) {
          const auto back = [finish](WorkEnd, Now then) { finish(then); };
          if (on_worker && workers.submit([&hop] { hop.accept(); }, loop, back)) return;
          hop.accept();
          finish(now);
        });
      }
      while (done < builds) std::this_thread::sleep_for(1ms);
      state.counters["cpu_us"] = (cpu_seconds() - cpu) / builds * 1e6;
    }
    loop.stop();
    thread.join();
    state.counters["p50_us"] = static_cast<double>(took_us.percentile(50));
    state.counters["p99_us"] = static_cast<double>(took_us.percentile(99));
    state.counters["lag_p99_us"] = static_cast<double>(loop.stats().lag_us.percentile(99));
    state.counters["turns_ms"] = microseconds(loop.busy()) / 1e3;
  }
}
BENCHMARK_CAPTURE(hop, turn, false)->Arg(200)->Arg(1'000)->Iterations(1)->UseRealTime();
BENCHMARK_CAPTURE(hop, worker, true)->Arg(200)->Arg(1'000)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace qudag::onion
