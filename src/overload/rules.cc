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

double level_of(Action action, Pressure by, double pressure) {
  const double on = threshold(action, by);
  return on == kNotDriven ? 0 : (in_range(pressure) - on) / (1 - on);
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
