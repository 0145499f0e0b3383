// Time is an argument. Protocol code receives `now` and returns deadlines; only runtime/ and
// testing/ know where time comes from.
#pragma once

#include <chrono>
#include <cstdint>

namespace qudag {

using Duration = std::chrono::nanoseconds;

/// The clock that nobody sets and that goes on while the machine sleeps: CLOCK_BOOTTIME, or the
/// simulator's queue of events. There is no `now()` here on purpose.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};

using TimePoint = MonotonicClock::time_point;
inline constexpr TimePoint kNever = TimePoint::max();

/// Seconds since 1970-01-01 UTC, for validity periods of descriptors and onion keys.
using UnixSeconds = std::uint64_t;

/// Both clocks, read once per loop turn.
struct Now {
  TimePoint mono{};
  UnixSeconds unix_seconds = 0;
};

}  // namespace qudag
