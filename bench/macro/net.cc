// Start: relays, destination, source, in this order, each told of the first; then wait until the
// source knows all. A load: send while the window has room, sleep until half of it is free, count
// outcomes, and in the end ask the destination what it has counted.
#include "net.h"

#include "common/interrupt.h"
#include "end/end.h"
#include "machine.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace qudag::app::bench {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;
constexpr auto kPatience = 60s;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Outcomes of one load, told from the node's threads. The sender takes no lock for a message; it
/// is woken when the window is half free.
class Outcomes {
 public:
  void done(const Delivery& delivery) {
    const std::lock_guard lock(mutex_);  // to the end: a waiter may end this object then
    if (delivery.outcome == Outcome::delivered) {
      ++delivered_;
      latency_.record(static_cast<std::uint64_t>(delivery.elapsed.count()));
    } else if (!error_) {
      error_ = delivery.reason;
      failed_ = true;
    }
    const std::size_t left = under_way_.fetch_sub(1, std::memory_order_relaxed) - 1;
    if (left > wake_at_) return;
    last_ = Clock::now();
    changed_.notify_one();
  }
  void begin_one() { under_way_.fetch_add(1, std::memory_order_relaxed); }
  void take_back() { under_way_.fetch_sub(1, std::memory_order_relaxed); }
  std::size_t under_way() const { return under_way_.load(std::memory_order_relaxed); }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  bool wait_for_at_most(std::size_t n) {
    std::unique_lock lock(mutex_);
    wake_at_ = n;
    const bool in_time = changed_.wait_for(lock, kPatience, [&] { return under_way() <= n; });
    wake_at_ = 0;  // the last outcome's time is noted in any case
    return in_time;
  }
  std::optional<Error> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  /// Once nothing is under way.
  LoadResult result(Clock::time_point begin) {
    const std::lock_guard lock(mutex_);
    LoadResult out;
    out.delivered = delivered_;
    out.seconds = std::chrono::duration<double>(last_ - begin).count();
    out.latency_ns = latency_;
    return out;
  }

 private:
  std::atomic<std::size_t> under_way_{0};  // grows without the lock, and shrinks under it
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t wake_at_ = 0;
  std::uint64_t delivered_ = 0;
  std::optional<Error> error_;
  Clock::time_point last_ = Clock::now();
  Histogram latency_;
};

Priority priority_for(std::size_t bytes) {
  return bytes >= 16'384 ? Priority::low : Priority::normal;
}

}  // namespace

std::size_t window_for(std::size_t bytes) {
  return std::clamp<std::size_t>((std::size_t{8} << 20) / bytes, 8, 4'096);
}

Result<std::unique_ptr<Net>> Net::start(const NetSpec& spec, Interrupt& interrupt) {
  std::unique_ptr<Net> net(new Net());
  std::vector<PeerAddress> bootstrap;
  if (spec.relays > 0) {
    auto relays = Network::start({.program = node_program(),
                                  .nodes = spec.relays,
                                  .shards = spec.shards,
                                  .first_shards = spec.first_relay_shards,
                                  .memory = spec.memory,
                                  .arguments = spec.arguments},
                                 interrupt);
    if (!relays) return std::unexpected(relays.error());
    net->relays_ = std::move(*relays);
    const Network::Member& first = net->relays_->members()[0];
    const auto at = PeerAddress::parse(first.id.to_string() + "@" + first.address);
    if (!at) return std::unexpected(at.error());
    bootstrap = {*at};
  }
  net->log_ =
      std::filesystem::temp_directory_path() / fmt::format("qudag-bench-{}.log", ::getpid());
  std::vector<std::string> arguments{"end", "--shards", std::to_string(spec.shards)};
  if (spec.memory > 0) {
    arguments.insert(arguments.end(), {"--memory", std::to_string(spec.memory)});
  }
  if (!bootstrap.empty()) {
    const Network::Member& first = net->relays_->members()[0];
    arguments.insert(arguments.end(), {"--bootstrap", first.id.to_string() + "@" + first.address});
  }
  auto end = Child::start(kThisProgram, arguments, net->log_);
  if (!end) return std::unexpected(end.error());
  net->end_.emplace(std::move(*end));
  const auto line = net->end_->ready(30s, interrupt);
  if (!line) return std::unexpected(line.error());
  const auto at = PeerAddress::parse(line->substr(0, line->find('\n')));
  if (!at) return std::unexpected(at.error());
  net->destination_id_ = at->id;
  if (bootstrap.empty()) bootstrap = {*at};

  Options options = end_options(spec.shards, bootstrap);
  if (spec.memory > 0) {
    options.limits.memory = spec.memory;
    options.whole_process = true;  // what this program holds for the books counts too
  }
  if (spec.queue_delay_ms) options.limits.queue_delay_ms = *spec.queue_delay_ms;
  auto source = Node::start(options);
  if (!source) return std::unexpected(source.error());
  net->source_ = std::move(*source);
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const NodeStatus status = net->source_->status().get();
    if (status.nodes_known >= spec.relays + 2) break;
    if (Clock::now() > deadline) return fail(Errc::timed_out, "the source's netmap");
    if (interrupt.wait(20ms)) return fail(Errc::shutting_down, "interrupted");
  }
  if (net->relays_ != nullptr) {
    // Every relay must know the destination too, to extend a circuit to it.
    for (;;) {
      const auto known = net->relay_metric("qudag_descriptors");
      if (!known) return std::unexpected(known.error());
      if (*known >= spec.relays * (spec.relays + 2)) break;
      if (Clock::now() > deadline) return fail(Errc::timed_out, "the relays' netmaps");
      if (interrupt.wait(20ms)) return fail(Errc::shutting_down, "interrupted");
    }
  }
  return net;
}

Net::~Net() {
  if (source_ != nullptr) source_->stop(100ms);
  if (end_) {
    end_->ask_to_end();
    end_->reap(5s);
  }
  std::error_code no_throw;
  if (!log_.empty()) std::filesystem::remove(log_, no_throw);
}

Result<LoadResult> Net::load(const LoadSpec& spec) {
  const auto before = counted();
  if (!before) return std::unexpected(before.error());
  std::vector<std::byte> payload(spec.bytes);
  Outcomes outcomes;
  const std::uint64_t first_isolation = isolation_;
  std::uint64_t sent = 0;
  const double cpu = cpu_all();
  const auto begin = Clock::now();
  auto offering = [&, over = false]() mutable {
    if (spec.count > 0) return sent < spec.count;
    // A look at the clock costs a tenth of sending a small message.
    constexpr std::uint64_t kLookEvery = 16;
    if (spec.bytes > 1'024 || sent % kLookEvery == 0) over = since(begin) >= spec.seconds;
    return !over;
  };
  bool late = false;
  while (offering() && !late) {
    if (outcomes.failed()) break;
    while (outcomes.under_way() < spec.window && offering()) {
      SendOptions options{.priority = priority_for(spec.bytes), .ttl = 60s, .relays = spec.relays};
      options.isolation = spec.isolate ? ++isolation_ : sent % spec.circuits;
      outcomes.begin_one();
      const auto accepted = source_->send(destination_id_, payload, options,
                                          [&outcomes](const Delivery& d) { outcomes.done(d); });
      if (!accepted) {
        outcomes.take_back();
        if (sent == 0) return std::unexpected(accepted.error());
        break;  // a limit of ours: go on when some have ended
      }
      ++sent;
    }
    late = !outcomes.wait_for_at_most(spec.window / 2);
  }
  late = !outcomes.wait_for_at_most(0) || late;
  if (late) {
    source_->stop(0s);  // runs every completion: nothing refers to `outcomes` after it
    return fail(Errc::timed_out, "outcomes did not come");
  }
  LoadResult result = outcomes.result(begin);
  result.cpu_seconds = cpu_all() - cpu;
  if (const auto error = outcomes.error()) return std::unexpected(*error);
  const auto after = counted();
  if (!after) return std::unexpected(after.error());
  if (*after - *before != sent || result.delivered != sent) {
    return fail(Errc::internal, fmt::format("{} sent, {} delivered, {} counted ({})", sent,
                                            result.delivered, *after - *before, first_isolation));
  }
  return result;
}

Result<LoadResult> Net::bulk(std::size_t bytes, unsigned relays, unsigned circuits) {
  std::vector<std::byte> payload(bytes);
  Outcomes outcomes;
  const double cpu = cpu_all();
  const auto begin = Clock::now();
  for (unsigned i = 0; i < circuits; ++i) {
    outcomes.begin_one();
    const auto accepted = source_->send_wait(
        destination_id_, payload,
        {.priority = Priority::low, .ttl = 120s, .relays = relays, .isolation = i}, 120s,
        [&outcomes](const Delivery& d) { outcomes.done(d); });
    if (!accepted) {
      outcomes.take_back();
      outcomes.wait_for_at_most(0);
      return std::unexpected(accepted.error());
    }
  }
  if (!outcomes.wait_for_at_most(0)) {
    source_->stop(0s);
    return fail(Errc::timed_out, "a bulk message");
  }
  if (const auto error = outcomes.error()) return std::unexpected(*error);
  LoadResult result = outcomes.result(begin);
  result.cpu_seconds = cpu_all() - cpu;
  return result;
}

Result<std::vector<std::byte>> Net::ask(std::span<const std::byte> payload, unsigned relays) {
  struct Answer {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::vector<std::byte>> reply;
    std::optional<Error> error;
  };
  const auto answer = std::make_shared<Answer>();  // owners: this call and the node's callbacks
  source_->on_message([answer](Message&& message) {
    auto bytes = message.payload.to_vector();
    {
      const std::lock_guard lock(answer->mutex);
      answer->reply = std::move(bytes);
    }
    answer->changed.notify_one();  // not under the lock, which the waiter takes first
    return Accept::taken;
  });
  const auto accepted =
      source_->send(destination_id_, payload,
                    {.priority = priority_for(payload.size()), .ttl = 30s, .relays = relays},
                    [answer](const Delivery& delivery) {
                      if (delivery.outcome == Outcome::delivered) return;
                      const std::lock_guard lock(answer->mutex);
                      answer->error = delivery.reason;
                      answer->changed.notify_one();
                    });
  if (!accepted) return std::unexpected(accepted.error());
  std::unique_lock lock(answer->mutex);
  answer->changed.wait_for(lock, kPatience, [&] { return answer->reply || answer->error; });
  if (answer->reply) return std::move(*answer->reply);
  return std::unexpected(answer->error.value_or(Error(Errc::timed_out, "a reply")));
}

Result<LoadResult> Net::round_trips(std::size_t bytes, unsigned relays, double seconds) {
  std::vector<std::byte> payload(bytes);
  payload[0] = kEcho;
  LoadResult result;
  const double cpu = cpu_all();
  const auto begin = Clock::now();
  while (since(begin) < seconds) {
    const auto sent = Clock::now();
    const auto reply = ask(payload, relays);
    if (!reply) return std::unexpected(reply.error());
    if (reply->size() != bytes) return fail(Errc::internal, "a reply of another size");
    result.latency_ns.record(static_cast<std::uint64_t>((Clock::now() - sent).count()));
    ++result.delivered;
  }
  result.seconds = since(begin);
  result.cpu_seconds = cpu_all() - cpu;
  return result;
}

Result<std::uint64_t> Net::counted() {
  const std::byte question[] = {kCount};
  const auto reply = ask(question, relays_ == nullptr ? 0 : 1);
  if (!reply) return std::unexpected(reply.error());
  if (reply->size() != 8) return fail(Errc::internal, "the destination's count");
  ByteReader in(*reply);
  return in.u64();
}

double Net::cpu_source() const { return cpu_of(0); }
double Net::cpu_destination() const { return cpu_of(end_->pid()); }
double Net::cpu_relays() const {
  double sum = 0;
  for (const int pid : relay_pids()) sum += cpu_of(pid);
  return sum;
}

std::vector<int> Net::relay_pids() const {
  std::vector<int> out;
  if (relays_ == nullptr) return out;
  for (const Network::Member& member : relays_->members()) out.push_back(member.child.pid());
  return out;
}

double Net::source_metric(std::string_view name, std::string_view label) const {
  double sum = 0;
  for (const MetricSample& sample : source_->metrics().get()) {
    if (sample.name == name && sample.labels.find(label) != std::string::npos) sum += sample.value;
  }
  return sum;
}

Result<std::vector<std::string>> Net::relay_pages() const {
  std::vector<std::string> out;
  if (relays_ == nullptr) return out;
  for (const Network::Member& member : relays_->members()) {
    auto page = api::Client(member.socket).get("/metrics");
    if (!page) return std::unexpected(page.error());
    out.push_back(std::move(*page));
  }
  return out;
}

Result<double> Net::relay_metric(std::string_view name, std::string_view label) const {
  const auto pages = relay_pages();
  if (!pages) return std::unexpected(pages.error());
  double sum = 0;
  for (const std::string& page : *pages) sum += api::metric_in(page, name, label);
  return sum;
}

}  // namespace qudag::app::bench
