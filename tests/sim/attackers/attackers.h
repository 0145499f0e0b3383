// Fifty honest nodes, twelve attackers of every kind at once, and the books that know what the
// attackers do not: who sent what, over which first hop. One seed, one result.
//
// Honest: 30 relays, 14 nodes that are no relay, 6 that nobody can address. Each sends one message
// after the other, most of them to attackers, some to each other; a few are signed. What comes out:
//
//   - for each rule of the attackers (ring.h): guesses, hits, and the hits that chance
//     would have given, apart for messages whose first hop was an attacker's (`both ends`, where
//     matching times wins: the threat model gives that up) and for all others (`one end`);
//   - the attackers' share of first and last hops, and the honest relays';
//   - how many first hops a sender used, and how many of those that are no relay the attackers saw;
//   - messages without an outcome.
#pragma once

#include "sim/attackers/ring.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace qudag::testing {

struct AttackersOptions {
  std::uint64_t seed = 1;
  std::size_t relays = 30, clients = 14, unknown = 6;
  Duration settling = std::chrono::seconds(60);
  Duration traffic = std::chrono::seconds(60);
  Duration after = std::chrono::seconds(25);  // for the last outcomes
  Duration gap = std::chrono::seconds(3);     // mean, of one sender after its last message ended
  std::vector<std::string> without = {};      // kinds that do nothing hostile: they are not there
};

/// Messages and what a rule made of them.
struct Guesses {
  std::uint64_t messages = 0;  // of which it named a sender
  std::uint64_t hits = 0;
  double chance = 0;    // hits by chance
  double variance = 0;  // of those
  void add(bool hit, double by_chance);
  void add(const Guesses& other);
  /// Share of hits beyond chance.
  double advantage() const;
  /// By how many standard deviations of pure chance.
  double sigmas() const;
};

/// Circuits by who stood at a place.
struct Places {
  std::vector<std::uint64_t> honest;  // by relay
  std::uint64_t attackers = 0;
  std::uint64_t all() const;
  void add(const Places& other);
};

struct AttackersResult {
  std::uint64_t sent = 0, delivered = 0, expired = 0, refused = 0, failed = 0, without_outcome = 0;
  std::uint64_t sent_to_honest = 0, delivered_to_honest = 0;
  std::uint64_t targets = 0, both_ends = 0;
  std::uint64_t circuits_killed = 0, came_again = 0;
  std::array<Guesses, kRules> one_end, two_ends;
  Places first, last;
  double attackers_even = 0;  // of a position, if all relays were alike
  double first_hops_mean = 0;
  std::size_t first_hops_max = 0;
  std::uint64_t clients = 0,
                clients_seen = 0;  // that are no relay; seen to open links to attackers
  std::uint64_t builds_began = 0, builds_failed = 0;
  std::uint64_t digest = 0;

  std::string summary() const;
};

AttackersResult run_attackers(const AttackersOptions& options);

/// Many seeds: sums, and the confidence interval of the advantage over seeds.
class AttackersSum {
 public:
  void add(const AttackersResult& one);
  std::string table() const;
  /// What must hold and does not, in words.
  std::vector<std::string> broken() const;
  const AttackersResult& sum() const { return sum_; }

 private:
  struct Interval {
    double mean = 0, half = 0;  // 95 %
  };
  Interval interval(Rule rule, bool both) const;

  std::uint64_t seeds_ = 0;
  AttackersResult sum_;
  std::vector<std::array<std::array<Guesses, 2>, kRules>> each_;  // by seed, rule; one end, both
};

}  // namespace qudag::testing
