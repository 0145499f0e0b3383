// The levels of the log.
#pragma once

#include <qudag/export.h>

#include <cstdint>
#include <string_view>

namespace qudag {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error, off };

/// "trace", "debug", "info", "warn", "error", "off". Never null.
[[nodiscard]] QUDAG_API std::string_view name_of(LogLevel level) noexcept;

}  // namespace qudag
