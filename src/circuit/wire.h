// The two bytes in front of a build message (docs/reference/protocol.md, section 5).
#pragma once

#include <qudag/message.h>

#include <array>
#include <cstddef>

namespace qudag::circuit {

inline constexpr std::byte kPrefaceVersion{0x01};
using Preface = std::array<std::byte, 2>;

constexpr Preface preface(Priority priority) {
  return {kPrefaceVersion, static_cast<std::byte>(priority)};
}

}  // namespace qudag::circuit
