// What a queue must say before it can exist: how many items, how many bytes, how old, and what
// happens when that is reached. None of it has a default.
#pragma once

#include "base/assert.h"
#include "base/bounded.h"
#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qudag::sync {

/// What happens when an item does not fit. Under every policy an item whose time is over goes
/// without being served.
enum class WhenFull : std::uint8_t {
  refuse_new,    ///< the pusher hears it and keeps the item: backpressure
  drop_oldest,   ///< what has waited longest is worth least: live data
  drop_expired,  ///< first what has expired and was not yet looked at, then refuse: deadlines
};
constexpr std::string_view name_of(WhenFull policy) {
  switch (policy) {
    case WhenFull::refuse_new:
      return "refuse new";
    case WhenFull::drop_oldest:
      return "drop oldest";
    case WhenFull::drop_expired:
      return "drop expired, refuse new";
  }
  return "";
}

struct Bounds {
  constexpr Bounds(std::size_t items, std::size_t bytes, Duration age, WhenFull policy)
      : items_max(items), bytes_max(bytes), age_max(age), when_full(policy) {
    QUDAG_ASSERT(items > 0 && items < UINT32_MAX && bytes > 0 && age > Duration{0});
  }

  std::size_t items_max;
  std::size_t bytes_max;
  Duration age_max;
  WhenFull when_full;
};

}  // namespace qudag::sync
