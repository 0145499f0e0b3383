// Numbers and tables for people: units, and columns that fit a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::app {

inline constexpr std::size_t kColumnsMax = 100;

/// "3.4MiB": as limits are set.
std::string bytes_text(std::uint64_t bytes);
/// "870us", "12.3ms", "7s"; "-" for nothing.
std::string time_text(std::uint64_t us);
/// "3 d 4 h", "17 min", "8 s": the two largest units.
std::string span_text(std::chrono::seconds span);

/// Rows of equal length, the first of which is the head: each column as wide as its widest cell,
/// numbers to the right. The last column is cut where a line would pass kColumnsMax.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace qudag::app
