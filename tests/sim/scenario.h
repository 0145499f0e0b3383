// The main simulation: a network under faults, random messages, crashes; and the books that must
// balance at the end. One seed, one result. Used by the test suite and by `./dev sim SEED`.
#pragma once

#include "testing/world.h"

#include <qudag/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace qudag::testing {

struct ScenarioOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 50;
  Duration traffic = std::chrono::minutes(3);
  Duration message_gap = std::chrono::milliseconds(400);  // mean, over the whole network
  std::size_t message_bytes_max = 200'000;                // a few are this long, most are short
  Duration crash_every = std::chrono::minutes(1);         // zero: no crashes
  Duration crash_lasts = std::chrono::seconds(20);
  Duration partition_lasts = std::chrono::seconds(0);  // zero: none; starts after a minute
  double slow_share = 0;  // of the nodes: applications that keep what they get, or a narrow line
  std::chrono::seconds ttl_max{60};
  Limits limits{};                // of every node
  std::size_t relays = SIZE_MAX;  // the first of them; the others are clients
  /// Caps are looked at twice a second, and in the end nothing of traffic may be left anywhere.
  bool check_bounds = false;
  Faults faults{.loss = 0.05, .duplicate = 0.01, .reorder = 0.05};
};

/// A hundred nodes, one in five slow, crashes, small limits that are reached.
ScenarioOptions crowd(std::uint64_t seed, std::size_t nodes = 100);

struct ScenarioResult {
  std::uint64_t sent = 0, delivered = 0, expired = 0, refused = 0, failed = 0;
  std::uint64_t sender_crashed = 0;  // their outcome died with the sender
  std::uint64_t handed = 0;          // to applications
  std::uint64_t crashes = 0;
  std::uint64_t turned_away = 0;  // by slow applications
  std::uint64_t checks = 0;       // of a node's caps
  Duration settled{};             // when all knew all, in virtual time
  std::uint64_t digest = 0;       // over every event the applications saw: equal for equal seeds
  WorldStats world;
  /// Every broken promise, in words; empty is what a run must give.
  std::vector<std::string> broken;

  std::string summary() const;
};

ScenarioResult run_scenario(const ScenarioOptions& options);

}  // namespace qudag::testing
