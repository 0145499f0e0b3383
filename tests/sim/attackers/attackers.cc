#include "sim/attackers/attackers.h"

#include "base/bytes.h"
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 250ms;  // how often sources are asked for their circuits
constexpr auto kTtl = 20s;
constexpr auto kTtlChurner = 8s;  // nothing gets there
constexpr std::size_t kTextMax = 600;
constexpr unsigned kToAttackers = 70;  // of a hundred messages
constexpr unsigned kSigned = 40;       // of a hundred to the one who looks at signatures

SocketAddress attacker_address(std::size_t i) {
  return SocketAddress::v4(10, static_cast<std::uint8_t>(60 + i), 0, 1, 4433);
}

Options node_options() {
  Options out;
  out.gossip_interval = 20s;
  out.limits.circuits = 150;
  out.limits.circuits_building = 24;
  out.limits.links = 100;
  out.limits.memory = std::uint64_t{64} << 20;
  return out;
}

struct Sent {
  std::size_t from = 0;
  bool to_attacker = false;
  TimePoint at{}, ended{kNever};
  std::optional<Outcome> outcome;
  std::set<NodeId> first_hops;
  bool arrived = false;
};

class Attack {
 public:
  explicit Attack(const AttackersOptions& options)
      : options_(options),
        world_(options.seed, {.loss = 0.005}),
        net_(world_, options.relays + options.clients + options.unknown, node_options()),
        ring_(world_, places()) {}

  AttackersResult run();

 private:
  bool is_relay(std::size_t i) const { return i < options_.relays; }
  bool is_unknown(std::size_t i) const { return i >= options_.relays + options_.clients; }
  std::map<SocketAddress, std::size_t> places() const {
    std::map<SocketAddress, std::size_t> out;
    const std::size_t honest = options_.relays + options_.clients + options_.unknown;
    for (std::size_t i = 0; i < honest; ++i) {
      out[SocketAddress::v4(10, static_cast<std::uint8_t>(i), 0, 1, 4433)] = i;
    }
    return out;
  }
  void set_up();
  void schedule(std::size_t from);
  void send_one(std::size_t from);
  void look();
  void note_first_hops(std::size_t from);
  std::optional<NodeId> newest_first_hop(std::size_t from, Duration age_max);
  void arrived_at_attacker(const Hostile& at, std::uint64_t number, const Arrival& arrival);
  void arrived_at_honest(std::size_t at, std::uint64_t number);
  void count(Places& places, const NodeId& hop);
  void score();
  std::size_t pick(std::size_t bound) { return world_.rng().below(bound); }

  const AttackersOptions options_;
  World world_;
  SimNetwork net_;
  Ring ring_;
  std::vector<std::unique_ptr<Hostile>> attackers_;
  std::vector<std::pair<Kind, NodeId>> destinations_;
  std::map<NodeId, std::size_t> place_of_;
  std::vector<Sent> books_;
  struct Known {  // a circuit that came to an attacker
    NodeId first;
  };
  std::map<std::pair<NodeId, circuit::CircuitId>, Known> circuits_;
  std::vector<std::map<std::uint64_t, std::pair<TimePoint, NodeId>>> first_hops_;  // by source
  std::vector<std::set<std::uint64_t>> counted_;  // circuits of a source, in `result_.first`
  TimePoint end_{};
  AttackersResult result_;
};

void Attack::set_up() {
  for (std::size_t i = 0; i < net_.size(); ++i) {
    SimNode& node = net_[i];
    node.set_relay(is_relay(i));
    node.set_known(!is_unknown(i));
    place_of_[node.id()] = i;
    ring_.place(node.id(), i);
    node.on_message_handler = [this, i](Message&& message) {
      const std::vector<std::byte> bytes = message.payload.to_vector();
      if (bytes.size() >= 8) arrived_at_honest(i, load_be<std::uint64_t>(bytes.data()));
      return Accept::taken;
    };
  }
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto kind = static_cast<Kind>(i);
    if (std::ranges::count(options_.without, name_of(kind)) > 0) continue;
    attackers_.push_back(
        make_attacker(kind, world_, attacker_address(i), net_[0].address(), ring_));
    if (is_destination(kind)) destinations_.emplace_back(kind, attackers_.back()->id());
  }
  ring_.on_arrival = [this](const Hostile& at, std::uint64_t number, const Arrival& arrival) {
    arrived_at_attacker(at, number, arrival);
  };
  first_hops_.resize(net_.size());
  counted_.resize(net_.size());
  result_.first.honest.resize(options_.relays);
  result_.last.honest.resize(options_.relays);
}

// ---- traffic ------------------------------------------------------------------------------------

void Attack::schedule(std::size_t from) {
  const auto gap = Duration(static_cast<Duration::rep>(
      world_.rng().below(2 * static_cast<std::uint64_t>(options_.gap.count())) + 1));
  const TimePoint when = world_.now().mono + gap;
  if (when < end_) world_.at(when, [this, from] { send_one(from); });
}

/// One at a time, so that the books can tell which circuit a message took.
void Attack::send_one(std::size_t from) {
  const std::uint64_t number = books_.size();
  std::vector<std::byte> text(8 + pick(kTextMax));
  store_be<std::uint64_t>(text.data(), number);
  SendOptions send{
      .priority = Priority::normal, .ttl = kTtl, .isolation = pick(2) == 0 ? 0 : number};
  NodeId to;
  const bool to_attacker = pick(100) < kToAttackers;
  if (to_attacker) {
    const auto& [kind, id] = destinations_[pick(destinations_.size())];
    to = id;
    if (kind == Kind::churner) send.ttl = kTtlChurner;
    if (kind == Kind::signing) {  // as an application that signs some of its messages
      send.priority = Priority::low;
      send.isolation = 0;
      send.sign = pick(100) < kSigned;
    }
  } else {
    std::size_t other = pick(options_.relays + options_.clients);
    while (other == from) other = pick(options_.relays + options_.clients);
    to = net_[other].id();
  }
  Sent& entry = books_.emplace_back();
  entry.from = from;
  entry.to_attacker = to_attacker;
  entry.at = world_.now().mono;
  net_[from].send(to, text, send, [this, number](const Delivery& delivery) {
    Sent& sent = books_[number];
    sent.outcome = delivery.outcome;
    sent.ended = world_.now().mono;
    note_first_hops(sent.from);
    schedule(sent.from);
  });
}

void Attack::look() {
  for (std::size_t i = 0; i < net_.size(); ++i) note_first_hops(i);
  if (world_.now().mono < end_ + options_.after)
    world_.at(world_.now().mono + kLook, [this] { look(); });
}

void Attack::note_first_hops(std::size_t from) {
  for (const CircuitStatus& circuit : net_[from].shard().circuits()) {
    if (circuit.role != CircuitRole::source || !circuit.next) continue;
    first_hops_[from].try_emplace(circuit.id, world_.now().mono - circuit.age, *circuit.next);
  }
}

/// Of the youngest circuit of that source, if it is no older.
std::optional<NodeId> Attack::newest_first_hop(std::size_t from, Duration age_max) {
  std::optional<CircuitStatus> newest;
  for (CircuitStatus& circuit : net_[from].shard().circuits()) {
    if (circuit.role != CircuitRole::source || !circuit.ready || !circuit.next) continue;
    if (circuit.age > age_max || (newest && newest->age <= circuit.age)) continue;
    newest = std::move(circuit);
  }
  if (!newest) return std::nullopt;
  if (counted_[from].insert(newest->id).second) count(result_.first, *newest->next);
  return newest->next;
}

void Attack::count(Places& places, const NodeId& hop) {
  const auto at = place_of_.find(hop);
  if (at == place_of_.end()) {
    ++places.attackers;
  } else if (is_relay(at->second)) {
    ++places.honest[at->second];
  }
}

void Attack::arrived_at_attacker(const Hostile& at, std::uint64_t number, const Arrival& arrival) {
  Sent& sent = books_[number];
  sent.arrived = true;
  const auto key = std::pair(at.id(), arrival.circuit);
  if (!circuits_.contains(key)) {
    const auto first = newest_first_hop(sent.from, world_.now().mono - sent.at);
    if (!first) return;
    circuits_[key] = {*first};
    const auto last = ring_.place_at(arrival.last_relay);
    if (!last) {
      ++result_.last.attackers;
    } else if (is_relay(*last)) {
      ++result_.last.honest[*last];
    }
  }
  sent.first_hops.insert(circuits_[key].first);
}

void Attack::arrived_at_honest(std::size_t at, std::uint64_t number) {
  if (number >= books_.size()) return;  // an attacker's
  Sent& sent = books_[number];
  sent.arrived = true;
  const auto first = newest_first_hop(sent.from, world_.now().mono - sent.at);
  if (!first) return;
  std::optional<CircuitStatus> newest;
  for (CircuitStatus& circuit : net_[at].shard().circuits()) {
    if (circuit.role != CircuitRole::destination || !circuit.previous_address) continue;
    if (newest && newest->age <= circuit.age) continue;
    newest = std::move(circuit);
  }
  if (!newest) return;
  const auto last = ring_.place_at(*newest->previous_address);
  if (!last) {
    ++result_.last.attackers;
  } else if (is_relay(*last)) {
    ++result_.last.honest[*last];
  }
}

// ---- what came out ------------------------------------------------------------------------------

void Attack::score() {
  std::set<NodeId> bad;
  std::size_t bad_relays = 0;
  for (const auto& node : attackers_) {
    bad.insert(node->id());
    bad_relays += node->is_relay() ? 1 : 0;
  }
  for (auto& [number, target] : ring_.targets()) {
    Sent& sent = books_[number];
    for (const auto& [id, one] : first_hops_[sent.from]) {
      if (one.first >= sent.at && one.first <= sent.ended) sent.first_hops.insert(one.second);
    }
    if (sent.first_hops.empty()) continue;  // the books do not know
    const bool both = std::ranges::any_of(sent.first_hops, [&](const NodeId& hop) {
      return bad.contains(hop) || ring_.invented().contains(hop);
    });
    // Who passed the message on is known to every destination, and did not send it.
    const auto last = ring_.place_at(target.first.last_relay);
    const std::size_t senders = net_.size() - (last ? 1 : 0);
    const double chance = 1 / static_cast<double>(senders);
    std::optional<std::size_t>& best = target.guess[static_cast<std::size_t>(Rule::best)];
    for (const Rule rule : {Rule::ids, Rule::partial, Rule::signing, Rule::killed, Rule::time}) {
      if (!best) best = target.guess[static_cast<std::size_t>(rule)];
    }
    while (!best || (last && *best == *last)) best = pick(net_.size());
    ++result_.targets;
    result_.both_ends += both ? 1 : 0;
    for (std::size_t rule = 0; rule < kRules; ++rule) {
      if (!target.guess[rule]) continue;
      auto& guesses = (both ? result_.two_ends : result_.one_end)[rule];
      guesses.add(*target.guess[rule] == sent.from, chance);
    }
    result_.digest = (result_.digest ^ (number * 64 + *best)) * 0x100000001b3;
  }
  result_.circuits_killed = ring_.circuits_killed();
  result_.came_again = ring_.came_again();
  result_.attackers_even =
      static_cast<double>(bad_relays) / static_cast<double>(bad_relays + options_.relays);
  for (const Sent& sent : books_) {
    ++result_.sent;
    if (!sent.to_attacker) ++result_.sent_to_honest;
    if (!sent.outcome) {
      ++result_.without_outcome;
      continue;
    }
    switch (*sent.outcome) {
      case Outcome::delivered:
        ++result_.delivered;
        if (!sent.to_attacker) ++result_.delivered_to_honest;
        break;
      case Outcome::expired:
        ++result_.expired;
        break;
      case Outcome::refused:
        ++result_.refused;
        break;
      default:
        ++result_.failed;
        break;
    }
  }
  std::size_t all = 0;
  for (std::size_t i = 0; i < net_.size(); ++i) {
    std::set<NodeId> used;
    for (const auto& [id, one] : first_hops_[i]) used.insert(one.second);
    all += used.size();
    result_.first_hops_max = std::max(result_.first_hops_max, used.size());
    if (!is_relay(i)) {
      ++result_.clients;
      result_.clients_seen += ring_.dialers().contains(net_[i].address().at) ? 1 : 0;
    }
    const circuit::CircuitsStats stats = net_[i].shard().report().circuit;
    result_.builds_began += stats.builds_started;
    result_.builds_failed += stats.builds_failed;
  }
  result_.first_hops_mean = static_cast<double>(all) / static_cast<double>(net_.size());
}

AttackersResult Attack::run() {
  set_up();
  net_.start();
  for (const auto& node : attackers_) node->start();
  world_.run_until(world_.now().mono + options_.settling);
  end_ = world_.now().mono + options_.traffic;
  for (std::size_t i = 0; i < net_.size(); ++i) schedule(i);
  look();
  world_.run_until(end_ + options_.after);
  score();
  return result_;
}

}  // namespace

AttackersResult run_attackers(const AttackersOptions& options) { return Attack(options).run(); }

}  // namespace qudag::testing
