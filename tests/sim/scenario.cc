#include "sim/scenario.h"

#include "base/bytes.h"
#include "sim/scenes/bounds.h"
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

namespace qudag::testing {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBrokenMax = 20;   // enough to read
constexpr std::size_t kKeptMax = 1;      // by a slow application, then it wants no more
constexpr Duration kKeptFor = 5s;        // at most
constexpr double kNarrowLine = 100'000;  // bytes a second
constexpr Duration kNarrowQueue = 200ms;
// After the last outcome: flows close their circuits (60 s), dead links are noticed (30 s).
constexpr Duration kQuietAfter = 130s;
constexpr Duration kGossipAtMost = 30s;

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

Options node_options(const ScenarioOptions& options) {
  Options out;
  out.limits = options.limits;
  return out;
}

class Scenario {
 public:
  explicit Scenario(const ScenarioOptions& options)
      : options_(options),
        world_(options.seed, options.faults),
        net_(world_, options.nodes, node_options(options), options.relays) {}

  ScenarioResult run();

 private:
  void listen(std::size_t i);
  void schedule_message();
  void send_one();
  void schedule_crash();
  Duration settle_within() const { return std::max<Duration>(120s, options_.nodes * 1s); }
  void make_some_slow();
  Accept take_slowly(Message&& message, std::size_t i);
  void schedule_checks();
  void quiet();
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
  std::set<std::size_t> slow_;
  std::map<std::size_t, std::deque<Message>> kept_;  // by slow applications; ends before the net
  TimePoint traffic_end_{};
  ScenarioResult result_;
};

void Scenario::listen(std::size_t i) {
  net_[i].on_message_handler = [this, i](Message&& message) {
    if (kept_.contains(i)) return take_slowly(std::move(message), i);
    check(message, i);
    return Accept::taken;
  };
}

/// So many of them are slow, whoever it is: every other by its application, every other by its
/// line.
void Scenario::make_some_slow() {
  const auto slow =
      static_cast<std::size_t>(options_.slow_share * static_cast<double>(net_.size()));
  for (std::size_t made = 0; made < slow; ++made) {
    std::size_t i = 1 + pick(net_.size() - 1);
    while (slow_.contains(i)) i = 1 + pick(net_.size() - 1);
    slow_.insert(i);
    if (made % 2 == 1) {
      world_.set_line(net_[i].address().at, kNarrowLine, kNarrowQueue);
    } else {
      kept_[i];
    }
  }
}

Accept Scenario::take_slowly(Message&& message, std::size_t i) {
  std::deque<Message>& kept = kept_[i];
  if (kept.size() >= kKeptMax) {
    ++result_.turned_away;
    return Accept::queue_full;
  }
  check(message, i);
  kept.push_back(std::move(message));
  world_.at(world_.now().mono + around(kKeptFor / 2), [this, i] { kept_[i].pop_front(); });
  return Accept::taken;
}

void Scenario::schedule_checks() {
  if (!options_.check_bounds) return;
  for (std::size_t i = 0; i < net_.size(); ++i) {
    if (!net_[i].running()) continue;
    ++result_.checks;
    check_caps(net_[i],
               [&](const std::string& what) { broke(fmt::format("node {}: {}", i, what)); });
  }
  world_.at(world_.now().mono + 500ms, [this] { schedule_checks(); });
}

void Scenario::quiet() {
  if (!options_.check_bounds) return;
  world_.run_until(world_.now().mono + kQuietAfter);
  for (std::size_t i = 0; i < net_.size(); ++i) {
    if (!net_[i].running()) continue;
    // Gossip goes on, and its frames lie in blocks until they are acknowledged: what belongs to
    // nobody never comes back.
    world_.run_until(world_.now().mono + kGossipAtMost, [&] { return holds_no_block(net_[i]); });
    check_quiet(net_[i],
                [&](const std::string& what) { broke(fmt::format("node {}: {}", i, what)); });
  }
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
  send.priority = static_cast<Priority>(pick(kPriorityCount));
  send.relays = kind < 60 ? kRelaysDefault : static_cast<unsigned>(pick(kRelaysMax + 1));
  send.ttl = std::chrono::milliseconds(
      5'000 + pick(static_cast<std::size_t>(options_.ttl_max / 1ms) - 5'000));
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
  if (!net_.settle(settle_within())) broke("the nodes did not all learn of each other in time");
  result_.settled = world_.now().mono.time_since_epoch();

  make_some_slow();
  schedule_checks();
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
  world_.run_until(traffic_end_ + options_.ttl_max + 10s);
  balance();
  quiet();
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
      case Outcome::stored:
        broke("a message to a node was stored");
        break;
    }
    if (*entry.outcome == Outcome::delivered && entry.handed.empty()) {
      broke(fmt::format("message {} was called delivered and never arrived", n));
    }
  }
  // quiet() looks at it later: a link to a crashed sender, and what came over it, lives 30 s.
  for (std::size_t i = 0; !options_.check_bounds && i < net_.size(); ++i) {
    if (net_[i].running() && net_[i].bound().claimed() != 0) {
      broke(
          fmt::format("node {} holds {} reserved bytes at the end", i, net_[i].bound().claimed()));
    }
  }
}

}  // namespace

ScenarioOptions crowd(std::uint64_t seed, std::size_t nodes) {
  ScenarioOptions out;
  out.seed = seed;
  out.nodes = nodes;
  out.traffic = 8s;
  out.message_gap = 20ms;
  out.message_bytes_max = 100'000;
  out.crash_every = std::chrono::milliseconds(100'000 / nodes);  // a hundred: one a second
  out.crash_lasts = 8s;
  out.slow_share = 0.2;
  out.ttl_max = 15s;
  out.check_bounds = true;
  out.limits = {.memory = std::uint64_t{64} << 20,
                .links = 200,
                .half_open = 64,
                .circuits = 40,
                .circuits_building = 16,
                .queue_high = 2,
                .queue_normal = 2,
                .queue_low = 2};
  out.faults = {.loss = 0.01, .duplicate = 0.005, .reorder = 0.02};
  return out;
}

ScenarioResult run_scenario(const ScenarioOptions& options) { return Scenario(options).run(); }

std::string ScenarioResult::summary() const {
  std::string out = fmt::format(
      "sent {} delivered {} expired {} refused {} failed {} sender_crashed {} handed {} "
      "turned_away {} crashes {} checks {} "
      "datagrams {} lost {} reordered {} duplicated {} digest {:016x}",
      sent, delivered, expired, refused, failed, sender_crashed, handed, turned_away, crashes,
      checks, world.sent, world.lost, world.reordered, world.duplicated, digest);
  for (const std::string& what : broken) out += "\n  broken: " + what;
  return out;
}

}  // namespace qudag::testing
