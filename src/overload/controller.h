// One adaptive controller for sizes that a node finds out by itself: batches, buffers, pools.
//
// step() is a pure function (options, state, sample, time) -> state. A sample is smoothed; while it
// lies in the band [sample_low, sample_high] the setting stays. Outside, the setting moves: up by a
// fixed step, down by a factor (additive increase, multiplicative decrease, RFC 5681, 3.1, for the
// same reason: what is too large hurts at once, what is too small only costs). Between two moves
// passes at least `hold`, and a change of direction waits `turn_hold`, so it does not swing.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <cstdint>

namespace qudag::overload {

/// What a sample above the band means for the setting.
enum class Response : std::uint8_t {
  lower,  // the sample is a cost that grows with the setting: a delay, a lag
  raise,  // the sample is a need that the setting serves: a fill level, a miss rate
};

struct ControllerOptions {
  double floor = 1;
  double ceiling = 1;
  double start = 1;
  double sample_low = 0;
  double sample_high = 0;
  Response above = Response::lower;
  double raise_step = 1;      // added
  double lower_factor = 0.5;  // multiplied
  double smoothing = 0.25;    // weight of a new sample in (0, 1]; 1: no smoothing
  Duration hold = std::chrono::milliseconds(100);
  Duration turn_hold = std::chrono::seconds(1);
};

constexpr bool is_valid(const ControllerOptions& o) {
  return o.floor <= o.start && o.start <= o.ceiling && o.sample_low <= o.sample_high &&
         o.floor >= 0 && o.raise_step > 0 && o.lower_factor > 0 && o.lower_factor < 1 &&
         o.smoothing > 0 && o.smoothing <= 1 && o.hold >= Duration{} && o.turn_hold >= o.hold;
}

struct ControllerState {
  double setting = 0;
  double smoothed = 0;
  bool sampled = false;       // `smoothed` means something
  std::int8_t direction = 0;  // of the last move: -1, 1; 0: none yet
  TimePoint moved_at{};
};

constexpr ControllerState start(const ControllerOptions& options) {
  ControllerState state;
  state.setting = options.start;
  return state;
}

constexpr ControllerState step(const ControllerOptions& options, ControllerState state,
                               double sample, TimePoint now) {
  state.smoothed =
      state.sampled ? state.smoothed + options.smoothing * (sample - state.smoothed) : sample;
  state.sampled = true;

  int direction = 0;
  if (state.smoothed > options.sample_high) direction = 1;
  if (state.smoothed < options.sample_low) direction = -1;
  if (options.above == Response::lower) direction = -direction;
  if (direction == 0) return state;

  const Duration wait = direction == state.direction ? options.hold : options.turn_hold;
  if (state.direction != 0 && now - state.moved_at < wait) return state;
  const double moved =
      direction > 0 ? state.setting + options.raise_step : state.setting * options.lower_factor;
  const double setting = std::clamp(moved, options.floor, options.ceiling);
  if (setting == state.setting) return state;  // at an end: that was no move
  state.setting = setting;
  state.direction = static_cast<std::int8_t>(direction);
  state.moved_at = now;
  return state;
}

}  // namespace qudag::overload
