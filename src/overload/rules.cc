// The table is read row by row; nothing here knows what an action means.
#include "overload/rules.h"

#include <algorithm>

namespace qudag::overload {
namespace {

double in_range(double pressure) {
  if (!(pressure <= 1)) return 1;  // not a number is no reason to feel safe
  return std::max(0.0, pressure);
}

}  // namespace

std::string_view name_of(Pressure pressure) {
  switch (pressure) {
    case Pressure::memory:
      return "memory";
    case Pressure::queue_delay:
      return "queue_delay";
    case Pressure::loop_lag:
      return "loop_lag";
    case Pressure::descriptors:
      return "descriptors";
    case Pressure::handshakes:
      return "handshakes";
    case Pressure::circuits:
      return "circuits";
    case Pressure::builds:
      return "builds";
  }
  return "unknown";
}

std::string_view name_of(Action action) {
  switch (action) {
    case Action::shrink:
      return "shrink";
    case Action::stop_opening_ahead:
      return "stop_opening_ahead";
    case Action::refuse_circuits:
      return "refuse_circuits";
    case Action::require_retry:
      return "require_retry";
    case Action::pause_low:
      return "pause_low";
    case Action::drop_low:
      return "drop_low";
    case Action::drop_normal:
      return "drop_normal";
  }
  return "unknown";
}

void Overload::update(const Pressures& pressures, TimePoint now) {
  for (const OverloadRule& rule : kOverloadRules) {
    State& state = states_[static_cast<std::size_t>(rule.action)];
    bool reached = false;
    bool needed = false;
    double level = 0;
    for (std::size_t p = 0; p < kPressureCount; ++p) {
      const double pressure = in_range(pressures[p]);
      const double on = rule.on[p];
      if (on == kNotDriven) continue;
      reached = reached || pressure >= on;
      needed = needed || pressure >= on - kHysteresis;
      level = std::max(level, (pressure - on) / (1 - on));
    }
    if (needed) state.last_needed = now;
    if (reached && !state.active) {
      state.active = true;
      ++state.started;
    } else if (state.active && !needed && now - state.last_needed >= kHoldTime) {
      state.active = false;
    }
    state.level = level;
  }
}

}  // namespace qudag::overload
