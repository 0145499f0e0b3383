// Whose turn comes first on a link: the control stream, then the priorities.
#pragma once

#include <qudag/message.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace qudag::link {

inline constexpr std::size_t kLevelCount = 1 + kPriorityCount;
inline constexpr std::uint8_t kControlLevel = 0;
inline std::uint8_t level_of(Priority priority) {
  return static_cast<std::uint8_t>(1 + static_cast<std::uint8_t>(priority));
}
inline constexpr std::string_view kLevelNames[] = {"control", "high", "normal", "low"};
static_assert(std::size(kLevelNames) == kLevelCount);
using ByLevel = std::array<std::uint64_t, kLevelCount>;

}  // namespace qudag::link
