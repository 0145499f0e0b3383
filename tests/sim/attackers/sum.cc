// Figures of many seeds of the attackers' simulation, and what must hold.
#include "sim/attackers/attackers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qudag::testing {
namespace {

constexpr double k95 = 1.96;
/// Beyond so many standard deviations of pure chance a rule knows something: 1 in 30,000 if not.
constexpr double kSigmasMax = 4;
/// A relay may have so many times its even share of a position (docs/threat-model.md).
constexpr double kShareMax = 2;
constexpr double kShareLeast = 0.4;
/// Shares are judged once so many circuits are expected for a relay: 4 sigma of chance are then
/// less than what is judged.
constexpr double kCircuitsForShares = 60;

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

std::string told(const Guesses& g) {
  if (g.messages == 0) return "none";
  return fmt::format("{} of {} right, {:.1f} by chance, advantage {:+.4f} ({:+.1f} sigma)", g.hits,
                     g.messages, g.chance, g.advantage(), g.sigmas());
}

}  // namespace

void Guesses::add(bool hit, double by_chance) {
  ++messages;
  hits += hit ? 1 : 0;
  chance += by_chance;
  variance += by_chance * (1 - by_chance);
}

void Guesses::add(const Guesses& other) {
  messages += other.messages;
  hits += other.hits;
  chance += other.chance;
  variance += other.variance;
}

double Guesses::advantage() const {
  return messages == 0 ? 0 : (static_cast<double>(hits) - chance) / static_cast<double>(messages);
}

double Guesses::sigmas() const {
  return variance == 0 ? 0 : (static_cast<double>(hits) - chance) / std::sqrt(variance);
}

std::uint64_t Places::all() const {
  std::uint64_t out = attackers;
  for (const std::uint64_t one : honest) out += one;
  return out;
}

void Places::add(const Places& other) {
  honest.resize(std::max(honest.size(), other.honest.size()));
  for (std::size_t i = 0; i < other.honest.size(); ++i) honest[i] += other.honest[i];
  attackers += other.attackers;
}

std::string AttackersResult::summary() const {
  const auto best = static_cast<std::size_t>(Rule::best);
  return fmt::format(
      "sent {} delivered {} expired {} refused {} failed {} without outcome {}; to honest nodes {} "
      "of {} delivered; builds {} failed {}; targets {} both ends {}; killed {} came again {}; "
      "best rule, one end: {}; "
      "attackers' share of first hops {:.3f} of last {:.3f} (even {:.3f}); first hops of a sender "
      "{:.1f}, at most {}; clients seen {} of {}; digest {:016x}",
      sent, delivered, expired, refused, failed, without_outcome, delivered_to_honest,
      sent_to_honest, builds_began, builds_failed, targets, both_ends, circuits_killed, came_again,
      told(one_end[best]), share(first.attackers, first.all()), share(last.attackers, last.all()),
      attackers_even, first_hops_mean, first_hops_max, clients_seen, clients, digest);
}

void AttackersSum::add(const AttackersResult& one) {
  ++seeds_;
  AttackersResult& s = sum_;
  s.sent += one.sent, s.delivered += one.delivered, s.expired += one.expired;
  s.refused += one.refused, s.failed += one.failed, s.without_outcome += one.without_outcome;
  s.sent_to_honest += one.sent_to_honest, s.delivered_to_honest += one.delivered_to_honest;
  s.targets += one.targets, s.both_ends += one.both_ends;
  s.circuits_killed += one.circuits_killed, s.came_again += one.came_again;
  s.builds_began += one.builds_began, s.builds_failed += one.builds_failed;
  s.clients += one.clients, s.clients_seen += one.clients_seen;
  s.first.add(one.first);
  s.last.add(one.last);
  s.attackers_even = one.attackers_even;
  s.first_hops_max = std::max(s.first_hops_max, one.first_hops_max);
  s.first_hops_mean += (one.first_hops_mean - s.first_hops_mean) / static_cast<double>(seeds_);
  auto& each = each_.emplace_back();
  for (std::size_t rule = 0; rule < kRules; ++rule) {
    s.one_end[rule].add(one.one_end[rule]);
    s.two_ends[rule].add(one.two_ends[rule]);
    each[rule] = {one.one_end[rule], one.two_ends[rule]};
  }
}

/// Messages of one seed hang together (guards, reused circuits): seeds are what is independent.
AttackersSum::Interval AttackersSum::interval(Rule rule, bool both) const {
  std::vector<double> advantages;
  for (const auto& one : each_) {
    const Guesses& g = one[static_cast<std::size_t>(rule)][both ? 1 : 0];
    if (g.messages > 0) advantages.push_back(g.advantage());
  }
  const auto n = static_cast<double>(advantages.size());
  if (n < 2) return {};
  double mean = 0, square = 0;
  for (const double one : advantages) mean += one / n;
  for (const double one : advantages) square += (one - mean) * (one - mean);
  return {mean, k95 * std::sqrt(square / (n - 1) / n)};
}

std::string AttackersSum::table() const {
  const AttackersResult& s = sum_;
  std::string out = fmt::format(
      "{} seeds: {} messages, {} without an outcome; to honest nodes {} of {} delivered ({:.1f} "
      "%); "
      "{} of {} builds failed\n{} messages came to attackers, {} of them with an attacker's relay "
      "as first hop; {} circuits were ended by attackers, {} messages came again\n",
      seeds_, s.sent, s.without_outcome, s.delivered_to_honest, s.sent_to_honest,
      100 * share(s.delivered_to_honest, s.sent_to_honest), s.builds_failed, s.builds_began,
      s.targets, s.both_ends, s.circuits_killed, s.came_again);
  for (const bool both : {false, true}) {
    out += both ? "both ends:\n" : "one end (first hop honest):\n";
    for (std::size_t i = 0; i < kRules; ++i) {
      const auto rule = static_cast<Rule>(i);
      const Interval interval = this->interval(rule, both);
      out += fmt::format("  {:8} {}; by seeds {:+.4f} +- {:.4f}\n", name_of(rule),
                         told((both ? s.two_ends : s.one_end)[i]), interval.mean, interval.half);
    }
  }
  for (const auto& [name, places] : {std::pair{"first", &s.first}, std::pair{"last", &s.last}}) {
    const auto all = static_cast<double>(std::max<std::uint64_t>(places->all(), 1));
    const double even = (1 - s.attackers_even) / static_cast<double>(places->honest.size());
    const auto [least, most] = std::ranges::minmax(places->honest);
    out += fmt::format(
        "{} hops: {} circuits, attackers' share {:.3f} (even {:.3f}); an honest relay has {:.2f} "
        "to "
        "{:.2f} of its even share\n",
        name, places->all(), share(places->attackers, places->all()), s.attackers_even,
        static_cast<double>(least) / all / even, static_cast<double>(most) / all / even);
  }
  return out + fmt::format(
                   "first hops of a sender: {:.2f}, at most {}; seen by attackers, of those that "
                   "are no relay: {} of {}\n",
                   s.first_hops_mean, s.first_hops_max, s.clients_seen, s.clients);
}

std::vector<std::string> AttackersSum::broken() const {
  const AttackersResult& s = sum_;
  std::vector<std::string> out;
  if (s.without_outcome > 0) {
    out.push_back(fmt::format("{} messages have no outcome", s.without_outcome));
  }
  for (std::size_t i = 0; i < kRules; ++i) {
    if (s.one_end[i].sigmas() <= kSigmasMax) continue;
    out.push_back(fmt::format("the rule '{}' finds senders: {}", name_of(static_cast<Rule>(i)),
                              told(s.one_end[i])));
  }
  for (const auto& [name, places] : {std::pair{"first", &s.first}, std::pair{"last", &s.last}}) {
    const std::uint64_t all = places->all();
    const double mine = share(places->attackers, all);
    if (mine > kShareMax * s.attackers_even) {
      out.push_back(fmt::format("attackers are {:.3f} of the {} hops; even is {:.3f}", mine, name,
                                s.attackers_even));
    }
    const double even = (1 - s.attackers_even) / static_cast<double>(places->honest.size());
    if (even * static_cast<double>(all) < kCircuitsForShares) continue;
    for (std::size_t i = 0; i < places->honest.size(); ++i) {
      const double one = share(places->honest[i], all) / even;
      if (one >= kShareLeast && one <= kShareMax) continue;
      out.push_back(
          fmt::format("honest relay {} has {:.2f} of its even share of {} hops", i, one, name));
    }
  }
  return out;
}

}  // namespace qudag::testing
