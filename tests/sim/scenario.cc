#include "sim/scenario.h"

#include "base/bytes.h"
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace qudag::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBrokenMax = 20;  // enough to read
constexpr Duration kTtlMax = 60s;

struct Entry {  // one message in the books
  std::size_t from = 0, to = 0;
  int from_life = 0;
  std::size_t bytes = 0;
  std::optional<Outcome> outcome;
  int outcomes = 0;
  std::map<int, int> handed;  // by life of the destination
};

std::byte pattern(std::uint64_t number, std::size_t i) {
  return static_cast<std::byte>((number * 31 + i * 7 + (i >> 8)) & 0xff);
}

class Scenario {
 public:
  explicit Scenario(const ScenarioOptions& options)
      : options_(options), world_(options.seed, options.faults), net_(world_, options.nodes, {}) {}

  ScenarioResult run();

 private:
  void listen(std::size_t i);
  void schedule_message();
  void send_one();
  void schedule_crash();
  void check(const Message& message, std::size_t at);
  void balance();
  void broke(std::string what) {
    if (result_.broken.size() < kBrokenMax) result_.broken.push_back(std::move(what));
  }
  void digest(std::uint64_t value) {
    result_.digest = (result_.digest ^ value) * 0x100000001b3 + 0x9e37;
  }
  std::size_t pick(std::size_t bound) { return world_.rng().below(bound); }
  Duration around(Duration mean) {  // uniform in (0, 2 mean)
    return Duration(static_cast<Duration::rep>(
        world_.rng().below(2 * static_cast<std::uint64_t>(mean.count())) + 1));
  }

  const ScenarioOptions options_;
  World world_;
  SimNetwork net_;
  std::vector<Entry> books_;
  TimePoint traffic_end_{};
  ScenarioResult result_;
};

void Scenario::listen(std::size_t i) {
  net_[i].on_message_handler = [this, i](Message&& message) {
    check(message, i);
    return Accept::taken;
  };
}

void Scenario::check(const Message& message, std::size_t at) {
  const std::vector<std::byte> bytes = message.payload.to_vector();
  if (bytes.size() < 8) return broke(fmt::format("a message of {} bytes arrived", bytes.size()));
  const auto number = load_be<std::uint64_t>(bytes.data());
  if (number >= books_.size()) return broke("a message arrived that nobody sent");
  Entry& entry = books_[number];
  ++result_.handed;
  digest(number * 4 + at);
  if (entry.to != at) broke(fmt::format("message {} arrived at the wrong node", number));
  if (entry.bytes != bytes.size()) broke(fmt::format("message {} changed its size", number));
  for (std::size_t i = 8; i < bytes.size(); ++i) {
    if (bytes[i] != pattern(number, i)) {
      broke(fmt::format("message {} changed at byte {}", number, i));
      break;
    }
  }
  if (++entry.handed[net_[at].life()] > 1) broke(fmt::format("message {} arrived twice", number));
}

void Scenario::send_one() {
  const std::size_t from = pick(net_.size());
  std::size_t to = pick(net_.size());
  while (to == from) to = pick(net_.size());
  if (!net_[from].running()) return;

  const std::uint64_t number = books_.size();
  const std::uint64_t kind = world_.rng().below(100);
  std::size_t bytes = 8 + pick(600);
  if (kind >= 80) bytes = 8 + pick(20'000);
  if (kind >= 97) bytes = 8 + pick(options_.message_bytes_max);
  std::vector<std::byte> payload(bytes);
  store_be<std::uint64_t>(payload.data(), number);
  for (std::size_t i = 8; i < bytes; ++i) payload[i] = pattern(number, i);

  SendOptions send;
  send.cls = static_cast<Class>(pick(kClassCount));
  send.hops = kind < 60 ? kRelaysDefault : static_cast<unsigned>(pick(kRelaysMax + 1));
  send.ttl = std::chrono::milliseconds(5'000 + pick(kTtlMax / 1ms - 5'000));
  send.isolation = pick(2);
  Entry& entry = books_.emplace_back();
  entry.from = from;
  entry.to = to;
  entry.from_life = net_[from].life();
  entry.bytes = bytes;
  ++result_.sent;
  net_[from].send(net_[to].id(), payload, send, [this, number](const Delivery& delivery) {
    Entry& ended = books_[number];
    ended.outcome = delivery.outcome;
    digest(number * 8 + static_cast<std::uint64_t>(delivery.outcome));
    if (++ended.outcomes > 1) broke(fmt::format("message {} had two outcomes", number));
  });
}

void Scenario::schedule_message() {
  const TimePoint when = world_.now().mono + around(options_.message_gap);
  if (when > traffic_end_) return;
  world_.at(when, [this] {
    send_one();
    schedule_message();
  });
}

void Scenario::schedule_crash() {
  if (options_.crash_every == Duration::zero()) return;
  const TimePoint when = world_.now().mono + options_.crash_every;
  if (when > traffic_end_) return;
  world_.at(when, [this] {
    const std::size_t victim = pick(net_.size());
    if (net_[victim].running()) {
      ++result_.crashes;
      net_[victim].crash();
      world_.at(world_.now().mono + options_.crash_lasts, [this, victim] {
        if (!net_[victim].running()) net_[victim].start();
      });
    }
    schedule_crash();
  });
}

ScenarioResult Scenario::run() {
  for (std::size_t i = 0; i < net_.size(); ++i) listen(i);
  net_.start();
  if (!net_.settle(120s)) broke("the nodes did not all learn of each other in two minutes");

  traffic_end_ = world_.now().mono + options_.traffic;
  schedule_message();
  schedule_crash();
  if (options_.partition_lasts > Duration::zero()) {
    world_.at(world_.now().mono + 60s, [this] {
      for (std::size_t i = 0; i < net_.size() / 2; ++i) {
        world_.set_group(net_[i].address().at, 1);
      }
    });
    world_.at(world_.now().mono + 60s + options_.partition_lasts, [this] { world_.heal(); });
  }
  world_.run_until(traffic_end_ + kTtlMax + 10s);
  balance();
  result_.world = world_.stats();
  return result_;
}

void Scenario::balance() {
  for (std::size_t n = 0; n < books_.size(); ++n) {
    const Entry& entry = books_[n];
    if (!entry.outcome) {
      const bool crashed =
          net_[entry.from].life() != entry.from_life || !net_[entry.from].running();
      if (crashed) {
        ++result_.sender_crashed;
      } else {
        broke(fmt::format("message {} of {} bytes from {} to {} has no outcome", n, entry.bytes,
                          entry.from, entry.to));
      }
      continue;
    }
    switch (*entry.outcome) {
      case Outcome::delivered:
        ++result_.delivered;
        break;
      case Outcome::expired:
        ++result_.expired;
        break;
      case Outcome::refused:
        ++result_.refused;
        break;
      case Outcome::failed:
        ++result_.failed;
        break;
    }
    if (*entry.outcome == Outcome::delivered && entry.handed.empty()) {
      broke(fmt::format("message {} was called delivered and never arrived", n));
    }
  }
  for (std::size_t i = 0; i < net_.size(); ++i) {
    if (net_[i].running() && net_[i].bound().claimed() != 0) {
      broke(
          fmt::format("node {} holds {} reserved bytes at the end", i, net_[i].bound().claimed()));
    }
  }
}

}  // namespace

ScenarioResult run_scenario(const ScenarioOptions& options) {
  const SeededOpenssl seeded(options.seed);
  return Scenario(options).run();
}

std::string ScenarioResult::summary() const {
  std::string out = fmt::format(
      "sent {} delivered {} expired {} refused {} failed {} sender_crashed {} handed {} crashes {} "
      "datagrams {} lost {} reordered {} duplicated {} digest {:016x}",
      sent, delivered, expired, refused, failed, sender_crashed, handed, crashes, world.sent,
      world.lost, world.reordered, world.duplicated, digest);
  for (const std::string& what : broken) out += "\n  broken: " + what;
  return out;
}

}  // namespace qudag::sim
