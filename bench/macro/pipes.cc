// Pipes beside messages: one large message, and as many bytes over one pipe, in turns over the same
// relays; bytes that travel with the question and come back, one pipe after the other; and many
// pipes at once, one of which may be to a program that does not read.
#include "end/end_pipes.h"
#include "net.h"
#include "result.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 60s;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Pipes that write so many bytes each, end, and wait until the other end has ended, too.
class Writers {
 public:
  explicit Writers(std::span<const std::byte> piece) : piece_(piece) {}

  Result<std::unique_ptr<Pipe>> open(Node& node, const NodeId& to, std::uint64_t bytes) {
    auto left = std::make_shared<std::uint64_t>(bytes);  // owners: the events of the pipe
    const auto write = [this, left](Pipe& pipe) {
      while (*left > 0) {
        const auto taken = pipe.write(piece_.first(std::min<std::uint64_t>(piece_.size(), *left)));
        if (!taken) return;  // on_room comes
        *left -= *taken;
      }
      pipe.end();
    };
    PipeEvents events;
    events.on_open = write;
    events.on_room = write;
    events.on_closed = [this, bytes](const PipeEnd& end) { ended(end, bytes); };
    {
      const std::lock_guard lock(mutex_);
      ++open_;
    }
    auto pipe = node.open(to, kSink, {.priority = Priority::low}, std::move(events));
    if (!pipe) {
      const std::lock_guard lock(mutex_);
      --open_;
    }
    return pipe;
  }

  Status wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return open_ == 0; })) {
      return fail(Errc::timed_out, "a pipe did not end");
    }
    if (wrong_) return std::unexpected(*wrong_);
    return {};
  }

 private:
  void ended(const PipeEnd& end, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (end.how != PipeEnd::How::finished || end.taken_by_peer != bytes) {
      wrong_ = Error(Errc::internal,
                     fmt::format("a pipe ended as {} ({}), {} of {} bytes taken", name_of(end.how),
                                 name_of(end.code), end.taken_by_peer, bytes));
    }
    --open_;
    changed_.notify_one();
  }

  const std::span<const std::byte> piece_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t open_ = 0;
  std::optional<Error> wrong_;
};

class PipesBench {
 public:
  PipesBench(const BenchArgs& args, Results& out, Net& net, Interrupt& interrupt)
      : args_(args), out_(out), net_(net), interrupt_(interrupt), piece_(kPipeRoomMin) {}

  Status run() {
    if (Status done = bulk(); !done) return done;
    if (Status done = first_bytes(); !done) return done;
    return many();
  }

 private:
  struct Moved {
    double seconds = 0, cpu_seconds = 0;
  };

  Result<Moved> over_pipes(std::size_t count, std::uint64_t bytes) {
    Writers writers(piece_);
    std::vector<std::unique_ptr<Pipe>> pipes;
    const double cpu = net_.cpu_all();
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      auto pipe = writers.open(net_.source(), net_.destination(), bytes);
      if (!pipe) return std::unexpected(pipe.error());
      pipes.push_back(std::move(*pipe));
    }
    const Status done = writers.wait();
    const Moved moved{.seconds = since(begin), .cpu_seconds = net_.cpu_all() - cpu};
    pipes.clear();  // on_closed has run, or runs before this returns
    if (!done) return std::unexpected(done.error());
    return moved;
  }

  Status bulk() {
    const std::uint64_t bytes = args_.quick ? 4'000'000 : 64'000'000;
    const double mb = static_cast<double>(bytes) / 1e6;
    std::vector<double> pipe, message, share, pipe_cpu, message_cpu;
    for (unsigned i = 0; i <= args_.runs; ++i) {  // the first is the warm-up
      if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
      const auto one = over_pipes(1, bytes);
      if (!one) return std::unexpected(one.error());
      const auto other = net_.bulk(bytes, 3, 1);
      if (!other) return std::unexpected(other.error());
      if (i == 0) continue;
      pipe.push_back(mb / one->seconds);
      message.push_back(mb / other->seconds);
      share.push_back(other->seconds / one->seconds);
      pipe_cpu.push_back(one->cpu_seconds / (mb / 1e3));
      message_cpu.push_back(other->cpu_seconds / (mb / 1e3));
    }
    out_.add("pipes/bulk/pipe", "MB/s", true).runs = pipe;
    out_.add("pipes/bulk/message", "MB/s", true).runs = message;
    out_.add("pipes/bulk/of_message", "x", true).runs = share;
    out_.add("pipes/cpu/pipe", "s/GB", false).runs = pipe_cpu;
    out_.add("pipes/cpu/message", "s/GB", false).runs = message_cpu;
    return {};
  }

  /// From open() until the bytes that went with it are back.
  Result<double> there_and_back() {
    struct Answer {
      std::mutex mutex;
      std::condition_variable changed;
      bool back = false, closed = false;
    };
    const auto answer = std::make_shared<Answer>();  // owners: this call and the pipe's events
    const auto note = [answer](bool Answer::*what) {
      const std::lock_guard lock(answer->mutex);
      (*answer).*what = true;
      answer->changed.notify_one();
    };
    PipeEvents events;
    events.on_bytes = [note](Pipe& pipe, Buffer&& bytes) {
      pipe.take(bytes.size());
      pipe.end();
      note(&Answer::back);
    };
    events.on_closed = [note](const PipeEnd&) { note(&Answer::closed); };
    const auto begin = Clock::now();
    auto pipe = net_.source().open(net_.destination(), kEchoes, {}, std::move(events),
                                   std::span(piece_).first(256));
    if (!pipe) return std::unexpected(pipe.error());
    std::unique_lock lock(answer->mutex);
    const auto seen = [&] { return answer->back || answer->closed; };
    if (!answer->changed.wait_for(lock, kPatience, seen) || !answer->back) {
      return fail(Errc::timed_out, "an echo");
    }
    const double took = since(begin);
    answer->changed.wait_for(lock, kPatience, [&] { return answer->closed; });
    return took;
  }

  Status first_bytes() {
    // So many may be opened at once on a circuit; then 80 a second, and that would be measured.
    const unsigned count = args_.quick ? 20 : 200;
    Histogram ns;
    for (unsigned i = 0; i < count; ++i) {
      if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
      const auto took = there_and_back();
      if (!took) return std::unexpected(took.error());
      ns.record(static_cast<std::uint64_t>(*took * 1e9));
    }
    out_.add("pipes/echo/p50", "us", false).runs = {static_cast<double>(ns.percentile(50)) / 1e3};
    out_.add("pipes/echo/p99", "us", false).runs = {static_cast<double>(ns.percentile(99)) / 1e3};
    return {};
  }

  Status many() {
    const std::size_t count = args_.quick ? 50 : 1'000;
    const std::uint64_t bytes = args_.quick ? 10'000 : 64'000;
    std::vector<double> rate;
    for (unsigned i = 0; i < args_.runs; ++i) {
      if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
      const auto moved = over_pipes(count, bytes);
      if (!moved) return std::unexpected(moved.error());
      rate.push_back(static_cast<double>(count * bytes) / 1e6 / moved->seconds);
    }
    out_.add(fmt::format("pipes/at_once/{}", count), "MB/s", true).runs = rate;
    return {};
  }

  const BenchArgs& args_;
  Results& out_;
  Net& net_;
  Interrupt& interrupt_;
  const std::vector<std::byte> piece_;
};

}  // namespace

Status pipes_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  auto net = Net::start({.shards = args.shards}, interrupt);
  if (!net) return std::unexpected(net.error());
  return PipesBench(args, out, **net, interrupt).run();
}

}  // namespace qudag::app::bench
