// What a queue must say before it can exist: its name, and for each level how many items, how many
// bytes, how old, and what happens when that is reached. None of it has a default.
#pragma once

#include "base/assert.h"
#include "base/bounded.h"
#include "base/time.h"

#include <qudag/message.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qudag::sync {

/// What a level does when an item does not fit. Under every policy an item whose time is over goes
/// without being served.
enum class WhenFull : std::uint8_t {
  refuse_new,    ///< the pusher hears it and keeps the item: backpressure
  drop_oldest,   ///< what has waited longest is worth least: live data
  drop_expired,  ///< first what has expired and was not yet looked at, then refuse: deadlines
  drop_waited,   ///< items that waited too long go while the queue stands (CoDel), and new ones are
                 ///< refused: a standing queue
};
constexpr std::string_view name_of(WhenFull policy) {
  switch (policy) {
    case WhenFull::refuse_new:
      return "refuse new";
    case WhenFull::drop_oldest:
      return "drop oldest";
    case WhenFull::drop_expired:
      return "drop expired, refuse new";
    case WhenFull::drop_waited:
      return "drop by waiting time, refuse new";
  }
  return "";
}

struct LevelBounds {
  constexpr LevelBounds(std::size_t items, std::size_t bytes, Duration age, WhenFull policy)
      : items_max(items), bytes_max(bytes), age_max(age), when_full(policy) {
    QUDAG_ASSERT(items > 0 && items < UINT32_MAX && bytes > 0 && age > Duration{0});
  }
  /// The same with a guaranteed share: while it has items, the level is served at least once in
  /// this many pops (one later if both lower levels come due at once). 0: none. The shares of all
  /// levels must add up to less than one. Has no meaning for the highest.
  constexpr LevelBounds sharing(std::uint32_t one_in) const {
    LevelBounds out = *this;
    out.serve_every = one_in;
    return out;
  }

  std::size_t items_max;
  std::size_t bytes_max;
  Duration age_max;
  WhenFull when_full;
  std::uint32_t serve_every = 0;
  // For drop_waited (RFC 8289): what a good wait is, and for how long a bad one is borne.
  Duration wait_target = std::chrono::milliseconds(5);
  Duration wait_interval = std::chrono::milliseconds(100);
};

/// Highest level first.
template <std::size_t kLevels>
struct Bounds {
  std::string_view name;  // static text
  std::array<LevelBounds, kLevels> levels;
};

/// An eighth for normal and a sixteenth for low, however much high there is.
inline constexpr std::uint32_t kNormalServedOneIn = 8;
inline constexpr std::uint32_t kLowServedOneIn = 16;

/// The levels of the message priorities, with their guaranteed shares.
constexpr Bounds<kPriorityCount> priority_bounds(std::string_view name, const LevelBounds& high,
                                                 const LevelBounds& normal,
                                                 const LevelBounds& low) {
  return {name, {high, normal.sharing(kNormalServedOneIn), low.sharing(kLowServedOneIn)}};
}

}  // namespace qudag::sync
