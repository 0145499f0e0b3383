// How much may wait in a queue: as much as drains within a delay target (Little's law).
//
//   bound = rate x target, between a floor and a ceiling
//
// step() is a pure function (options, state, sample, time) -> state; its caller looks at the queue
// in every turn, and now and then when nothing happens.
//   1. The rate is measured in rounds of a quarter of the target, and only in those in which
//      something waited all the time: a queue that runs empty says what came, not what drains. So
//      nothing is ever throttled to find the rate. Until it is known a queue may have what a burst
//      needs (kFirstQueue).
//   2. Each round counts a half: a tenfold fall has come through after five rounds.
//   3. A queue that ran empty while its bound kept somebody out was too short for how its senders
//      refill it: it is doubled, and goes back while it stands again. (Linux has the same rule for
//      the queues of network cards, lib/dynamic_queue_limits.c, with no target.)
//   4. A queue in which nothing waited for two seconds is forgotten: who begins anew may be another
//      one, over another way.
//
// A sample may drain nothing, for ever: the floor is left, and one more may always enter an empty
// queue. Time may stand, jump, or run backwards.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace qudag::overload {

struct QueueBoundOptions {
  std::uint64_t floor = 0;
  std::uint64_t ceiling = 0;
  Duration target{};
};

constexpr bool is_valid(const QueueBoundOptions& o) {
  return o.floor > 0 && o.floor <= o.ceiling && o.target > Duration{};
}

/// What was seen of the queue since the last step.
struct QueueBoundSample {
  std::uint64_t drained = 0;   // bytes that went on; not what was dropped
  std::uint64_t standing = 0;  // bytes that wait now
  bool kept_out = false;       // a sender waits for room
};

/// All zeros: nothing is known.
struct QueueBound {
  double rate = 0;            // bytes a second
  std::uint64_t bound = 0;    // 0: the rate is not known
  std::uint64_t drained = 0;  // in this round
  TimePoint since{};          // when the round began
  TimePoint stood_at{};       // when something waited last
  double spare = 0;           // beyond it, in parts of it
  bool stands = false;        // something waited at the last step

  constexpr std::uint64_t of(const QueueBoundOptions& options) const;
};

inline constexpr std::uint64_t kFirstQueue = std::uint64_t{16} << 20;

inline constexpr Duration kForgetQueueAfter = std::chrono::seconds(2);
inline constexpr double kSpareMax = 15;  // a bound is sixteen times rate x target at most

constexpr Duration queue_round(const QueueBoundOptions& options) {
  return std::max<Duration>(options.target / 4, std::chrono::milliseconds(5));
}

/// A sender that was kept out goes on when so much is left: early enough that the queue does not
/// run empty, late enough that not each message is told of alone.
constexpr std::uint64_t resume_at(std::uint64_t bound) { return bound - bound / 8; }

constexpr std::uint64_t held(const QueueBoundOptions& options, double bytes) {
  const auto ceiling = static_cast<double>(options.ceiling);
  return std::max(options.floor, static_cast<std::uint64_t>(std::min(bytes, ceiling)));
}

constexpr std::uint64_t QueueBound::of(const QueueBoundOptions& options) const {
  return bound > 0 ? bound : held(options, static_cast<double>(kFirstQueue) * (1 + spare));
}

constexpr void set_bound(const QueueBoundOptions& options, QueueBound& state) {
  const double seconds = std::chrono::duration<double>(options.target).count();
  state.bound = held(options, state.rate * seconds * (1 + state.spare));
}

constexpr QueueBound step(const QueueBoundOptions& options, QueueBound state,
                          const QueueBoundSample& sample, TimePoint now) {
  const bool stood = state.stands;
  state.stands = sample.standing > 0;
  if (!stood) {
    // It may have stood and drained since, within a turn: that says nothing.
    if (now - state.stood_at >= kForgetQueueAfter) state = {.stands = state.stands};
    if (state.stands || now < state.stood_at) state.stood_at = now;
    state.since = now;
    state.drained = 0;
    return state;
  }
  if (now < state.since) {  // the clock was set back
    state.since = state.stood_at = now;
    state.drained = 0;
    return state;
  }
  state.stood_at = now;
  state.drained += sample.drained;
  const Duration took = now - state.since;
  if (state.stands && took < queue_round(options)) return state;
  if (!state.stands) {
    if (sample.kept_out) {
      state.spare = std::min(2 * state.spare + 1, kSpareMax);
      if (state.bound > 0) set_bound(options, state);
    }
    state.drained = 0;
    return state;
  }
  const double rate =
      static_cast<double>(state.drained) / std::chrono::duration<double>(took).count();
  state.drained = 0;
  state.since = now;
  if (state.bound == 0) {
    if (rate == 0) return state;  // it has not begun
    state.rate = rate;
    state.spare = 0;
  } else {
    state.rate += (rate - state.rate) / 2;
    state.spare = state.spare * 3 / 4;
  }
  set_bound(options, state);
  return state;
}

}  // namespace qudag::overload
