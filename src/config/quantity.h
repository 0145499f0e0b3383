// Numbers as people write them: counts, sizes ("512MiB"), times ("30s"), yes and no.
#pragma once

#include <qudag/error.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qudag::config {

/// Decimal digits only; underscores between digits are allowed, as in TOML.
std::optional<std::uint64_t> parse_count(std::string_view text);
/// A count, or one with B, KB to TB (powers of 1000) or KiB to TiB (powers of 1024).
std::optional<std::uint64_t> parse_size(std::string_view text);
/// A count of seconds, or one with ms, s, m, h or d. At most 1000 days.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
Result<bool> parse_truth(std::string_view text);

/// The shortest exact form: "512MiB", "1500B"; "3h", "90s", "1500ms".
std::string size_text(std::uint64_t bytes);
std::string duration_text(std::chrono::milliseconds time);

}  // namespace qudag::config
