#include "attack/arena.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define QUDAG_SANITIZED true
#else
#define QUDAG_SANITIZED false
#endif

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Honest traffic alone. The full size is also for figures: a p99 wants hundreds of builds.
constexpr auto kBefore = 700ms;
constexpr auto kBeforeFull = 5s;

std::string field(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return {};
  return json.substr(at + key.size(), json.find('"', at + key.size()) - at - key.size());
}

std::unique_ptr<Node> honest_node(const PeerAddress& victim) {
  Options options;
  options.shards = 1;
  options.relay = false;
  options.bootstrap = {victim};
  options.gossip_interval = 1s;
  options.log_level = LogLevel::off;
  auto node = Node::start(options);
  EXPECT_TRUE(node.has_value());
  return node ? std::move(*node) : nullptr;
}

bool is_full() { return std::getenv("QUDAG_ATTACK_FULL") != nullptr; }

double p99_us(const Histogram& h) { return static_cast<double>(h.percentile(99)) / 1e3; }

}  // namespace

bool sanitized() { return QUDAG_SANITIZED; }

std::size_t scaled(std::size_t full) {
  if (is_full()) return full;
  return std::max<std::size_t>(1, full / (sanitized() ? 50 : 10));
}

TimePoint end_of_attack(std::chrono::milliseconds least) {
  return Rogue::now().mono + std::max(std::chrono::milliseconds(scaled(20'000)), least);
}

// ---- honest traffic -----------------------------------------------------------------------------

Honest::Honest(Node& from, const NodeId& to) : from_(from), to_(to), thread_([this] { run(); }) {}

Honest::~Honest() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Honest::run() {
  const std::vector<std::byte> payload(256);
  while (!stop_) {
    {
      const std::lock_guard lock(mutex_);
      ++figures_.sent;
      ++under_way_;
    }
    const auto accepted =
        from_.send(to_, payload, {.ttl = 30s, .relays = 1}, [this](const Delivery& d) { told(d); });
    if (!accepted) told({.outcome = Outcome::refused, .reason = accepted.error()});
    std::this_thread::sleep_for(2ms);  // the pace of the traffic
  }
}

void Honest::told(const Delivery& delivery) {
  const std::lock_guard lock(mutex_);
  if (delivery.outcome == Outcome::delivered) {
    ++figures_.delivered;
    figures_.latency_ns.record(static_cast<std::uint64_t>(delivery.elapsed.count()));
  } else {
    ++figures_.otherwise[delivery.reason.message()];
  }
  if (--under_way_ == 0) changed_.notify_all();
}

Honest::Figures Honest::mark() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, 40s, [this] { return under_way_ == 0; });
  return std::exchange(figures_, {});
}

Honest::Figures Honest::finish() {
  stop_ = true;
  thread_.join();
  return mark();
}

// ---- the scene ----------------------------------------------------------------------------------

Arena::Arena(const std::vector<std::string>& more) : socket_(directory_ / "victim") {
  // What a sanitizer keeps beside is more than the bound that is tested otherwise.
  const char* const memory = sanitized() ? "1GiB" : "64MiB";
  std::vector<std::string> arguments{"node", "--api.socket",    socket_, "--shards",
                                     "1",    "--log.level",     "off",   "--gossip_interval",
                                     "1s",   "--limits.memory", memory};
  arguments.insert(arguments.end(), more.begin(), more.end());
  process_ = std::make_unique<app::test::Process>(arguments);
  const std::string ready = process_->line();
  victim_ = PeerAddress::parse(field(ready, "id") + "@" + field(ready, "address")).value();
  source_ = honest_node(victim_);
  destination_ = honest_node(victim_);
  destination_->on_message([](Message&&) { return Accept::taken; });
  // Each hears of the other from the victim, which then knows both.
  EXPECT_TRUE(source_->wait_until_known(victim_.id, 30s) &&
              source_->wait_until_known(destination_->id(), 30s) &&
              destination_->wait_until_known(source_->id(), 30s))
      << "the honest nodes did not find each other";
  honest_ = std::make_unique<Honest>(*source_, destination_->id());
  builder_ = std::make_unique<Builder>(victim_, destination_->id());
  EXPECT_TRUE(builder_->wait_ready()) << "the honest builder gets no circuits";
}

Arena::~Arena() {
  builder_.reset();
  honest_.reset();
  source_->stop(0s);
  destination_->stop(0s);
}

/// Attackers have machines of their own. Here theirs works with what the others leave, so that what
/// is measured is the victim and not who has the cores.
void Arena::step_back(bool attacks) {
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), attacks ? 10 : 0));
}

void Arena::begin(const std::function<void()>& besides) {
  (void)builder_->mark();
  if (besides && is_full()) besides();
  std::this_thread::sleep_for(is_full() ? Clock::duration(kBeforeFull) : kBefore);
  builds_before_ = builder_->mark();
  EXPECT_EQ(builds_before_.answered, builds_before_.asked)
      << "before any attack:" << builds_before_.reasons();
  const Honest::Figures before = honest_->mark();
  EXPECT_EQ(before.delivered, before.sent);
  p99_before_ = p99_us(before.latency_ns);
  if (is_full()) measure_beside_busy_thread();
  step_back(true);
}

/// An attacker has a machine of its own; here it has a part of two cores, which alone makes builds
/// late. How late is measured with a thread that takes as much and sends nothing.
void Arena::measure_beside_busy_thread() {
  std::atomic<bool> stop{false};
  std::thread busy([&stop] {
    step_back(true);
    while (!stop.load(std::memory_order_relaxed)) {
    }
  });
  (void)builder_->mark();
  std::this_thread::sleep_for(kBeforeFull);
  builds_beside_ = builder_->mark();
  stop = true;
  busy.join();
  (void)honest_->mark();
}

void Arena::end(const std::string& attack, const std::string& told, double over) {
  step_back(false);
  const Honest::Figures during = honest_->finish();
  for (const auto& [why, count] : during.otherwise) {
    ADD_FAILURE() << attack << ": " << count << " honest messages: " << why;
  }
  EXPECT_EQ(during.delivered, during.sent);
  EXPECT_GT(during.sent, 0u);
  judge_builds(attack);
  const double rss = peak_rss();
  EXPECT_GT(rss, 0) << "the victim is gone";
  if (!sanitized()) {
    EXPECT_LE(rss, over * static_cast<double>(kMemory)) << attack;
  }
  fmt::print(
      "attack {}: {}; honest {} of {} delivered, p99 {:.0f} us, before {:.0f} us ({:.2f} x); "
      "victim's peak {:.1f} MB\n",
      attack, told, during.delivered, during.sent, p99_us(during.latency_ns), p99_before_,
      p99_us(during.latency_ns) / p99_before_, rss / 1e6);
  process_->signal(15);
  EXPECT_EQ(process_->wait().exit, 0) << "the victim did not end in order";
}

/// How many is judged; how long they took is a figure.
void Arena::judge_builds(const std::string& attack) {
  const Builder::Figures during = builder_->finish();
  const std::string why = during.reasons();
  EXPECT_GT(during.asked, 0u);
  EXPECT_GE(during.built_share(), built_share_least) << attack << ": new circuits failed:" << why;
  const double build = p99_us(during.build_ns), before = p99_us(builds_before_.build_ns);
  std::string beside;
  if (is_full()) {
    const double busy = p99_us(builds_beside_.build_ns);
    beside = fmt::format("; beside a busy thread {:.0f} us ({:.2f} x{})", busy, build / busy,
                         build <= 2 * busy ? ", held" : ", missed: 2 x is wanted");
  }
  fmt::print(
      "attack {}: {} of {} new circuits built, p99 {:.0f} us, before {:.0f} us ({:.2f} x){}; first "
      "message p99 {:.0f} us, before {:.0f} us;{}\n",
      attack, during.built, during.asked, build, before, build / before, beside,
      p99_us(during.message_ns), p99_us(builds_before_.message_ns), why);
}

double Arena::metric(const std::string& name, const std::string& label) const {
  const auto value = api::Client(socket_).metric(name, label, 30s);
  EXPECT_TRUE(value.has_value()) << "the victim does not answer";
  return value.value_or(-1);
}

double Arena::peak_rss() const {
  std::ifstream in(fmt::format("/proc/{}/status", process_->pid()));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) * 1'024;
  }
  return 0;
}

}  // namespace qudag::attack
