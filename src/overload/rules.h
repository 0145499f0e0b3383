// The overload manager: pressures in, graded actions out, by one table.
//
//   1. every pressure is compared with its threshold in each row of kOverloadRules;
//   2. an action starts when any pressure reaches its threshold;
//   3. its level is how far the worst pressure is on the way from the threshold to 1;
//   4. it ends when all have been kHysteresis below their thresholds for kHoldTime.
//
// The rows stand in the order in which a node gives things up: first what costs nobody anything,
// last what applications notice. Messages of high priority and control are never given up.
// Pure: the caller measures, and does what the actions say. One for each shard; its
// owner's thread.
#pragma once

#include "base/time.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace qudag::overload {

/// What can run short. 0: idle, 1: the bound is reached.
enum class Pressure : std::uint8_t {
  memory,       // used / bound of the root budget
  queue_delay,  // waiting time of the oldest in a queue / its target
  loop_lag,     // how late timers run / what is tolerated
  descriptors,  // file descriptors open / allowed
  handshakes,   // handshakes half open / allowed
  circuits,     // circuits held / allowed
  builds,       // circuits that others begin and that are not ready / allowed
};
inline constexpr std::size_t kPressureCount = 7;
using Pressures = std::array<double, kPressureCount>;

/// What a node does about it, in this order.
enum class Action : std::uint8_t {
  shrink,              // trim pools, shorten idle timeouts
  stop_opening_ahead,  // no circuits and links before they are needed
  refuse_circuits,     // new ones, with a probability that rises with the level
  require_retry,       // new links must prove their address first
  pause_low,           // do not read streams of low priority
  drop_low,     // drop waiting messages of low priority, and circuits that hold its data back
  drop_normal,  // and of normal priority
};
inline constexpr std::size_t kActionCount = 7;

/// In their order, as metrics and logs show them.
inline constexpr std::string_view kPressureNames[kPressureCount] = {
    "memory", "queue_delay", "loop_lag", "descriptors", "handshakes", "circuits", "builds"};
inline constexpr std::string_view kActionNames[kActionCount] = {
    "shrink",    "stop_opening_ahead", "refuse_circuits", "require_retry",
    "pause_low", "drop_low",           "drop_normal"};
constexpr std::string_view name_of(Pressure pressure) {
  return kPressureNames[static_cast<std::size_t>(pressure)];
}
constexpr std::string_view name_of(Action action) {
  return kActionNames[static_cast<std::size_t>(action)];
}

/// A threshold that is never reached: this pressure is not relieved by that action.
inline constexpr double kNotDriven = std::numeric_limits<double>::infinity();

struct OverloadRule {
  Action action;
  Pressures on;  // thresholds, in the order of Pressure
};

// clang-format off
inline constexpr std::array<OverloadRule, kActionCount> kOverloadRules{{
    // action                     memory       queue_delay  loop_lag     descriptors  handshakes   circuits     builds
    {Action::shrink,             {0.70,        0.60,        0.60,        0.70,        0.40,        0.70,        kNotDriven}},
    {Action::stop_opening_ahead, {0.75,        0.70,        0.70,        0.75,        0.45,        0.75,        0.50}},
    {Action::refuse_circuits,    {0.80,        0.80,        0.80,        0.80,        kNotDriven,  kNotDriven,  kNotDriven}},
    {Action::require_retry,      {0.85,        kNotDriven,  0.85,        0.85,        0.50,        0.85,        0.75}},
    {Action::pause_low,          {0.90,        0.85,        0.90,        kNotDriven,  kNotDriven,  kNotDriven,  kNotDriven}},
    {Action::drop_low,           {0.93,        0.90,        0.95,        kNotDriven,  kNotDriven,  kNotDriven,  kNotDriven}},
    {Action::drop_normal,        {0.96,        0.97,        kNotDriven,  kNotDriven,  kNotDriven,  kNotDriven,  kNotDriven}},
}};
// clang-format on

inline constexpr double kHysteresis = 0.05;
inline constexpr Duration kHoldTime = std::chrono::seconds(1);

/// The pressure at which an action starts.
constexpr double threshold(Action action, Pressure pressure) {
  return kOverloadRules[static_cast<std::size_t>(action)].on[static_cast<std::size_t>(pressure)];
}

/// How far a pressure is on the way from there to 1: below 0 if it has not come so far.
double level_of(Action action, Pressure by, double pressure);

/// For static_assert: rows in the order of Action, thresholds in (hysteresis, 1), and for every
/// pressure rising from row to row, so that a milder action always comes first.
constexpr bool rules_are_graded(const std::array<OverloadRule, kActionCount>& rules) {
  Pressures last{};
  for (std::size_t row = 0; row < kActionCount; ++row) {
    if (static_cast<std::size_t>(rules[row].action) != row) return false;
    for (std::size_t p = 0; p < kPressureCount; ++p) {
      const double on = rules[row].on[p];
      if (on == kNotDriven) continue;
      if (on <= kHysteresis || on >= 1 || on <= last[p]) return false;
      last[p] = on;
    }
  }
  return true;
}
static_assert(rules_are_graded(kOverloadRules));

class Overload {
 public:
  /// Values outside [0, 1] count as the nearer end, what is not a number as 1.
  void update(const Pressures& pressures, TimePoint now);

  bool active(Action action) const { return of(action).active; }
  /// 0 at the threshold (or not active), 1 when a pressure is at its bound.
  double level(Action action) const { return of(action).level; }
  /// How often the action has started.
  std::uint64_t started(Action action) const { return of(action).started; }

  /// Whether to refuse a new circuit; `unit` is a random number in [0, 1).
  bool refuses_circuit(double unit) const { return unit < level(Action::refuse_circuits); }

 private:
  struct State {
    bool active = false;
    double level = 0;
    TimePoint last_needed{};  // when a pressure was last above its lower threshold
    std::uint64_t started = 0;
  };
  const State& of(Action action) const { return states_[static_cast<std::size_t>(action)]; }

  std::array<State, kActionCount> states_{};
};

}  // namespace qudag::overload
