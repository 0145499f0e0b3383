#include "config/quantity.h"

#include <fmt/format.h>

#include <span>

namespace qudag::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kSizes[] = {{"TiB", std::uint64_t{1} << 40},
                           {"GiB", 1u << 30},
                           {"MiB", 1u << 20},
                           {"KiB", 1u << 10},
                           {"TB", 1'000'000'000'000},
                           {"GB", 1'000'000'000},
                           {"MB", 1'000'000},
                           {"KB", 1'000},
                           {"B", 1}};
constexpr Unit kTimes[] = {
    {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

std::optional<std::uint64_t> times(std::uint64_t count, std::uint64_t factor) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(count, factor, &product)) return std::nullopt;
  return product;
}

std::optional<std::uint64_t> with_unit(std::string_view text, std::span<const Unit> units,
                                       std::uint64_t factor_without) {
  const std::size_t digits = text.find_first_not_of("0123456789_");
  const auto count = parse_count(text.substr(0, digits));
  if (!count) return std::nullopt;
  if (digits == std::string_view::npos) return times(*count, factor_without);
  std::string_view name = text.substr(digits);
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (unit.name == name) return times(*count, unit.factor);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) {
  if (text.empty() || text.front() == '_' || text.back() == '_') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c == '_') continue;
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (__builtin_mul_overflow(value, 10u, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      return std::nullopt;
    }
  }
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return with_unit(text, kSizes, 1);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = with_unit(text, kTimes, 1'000);
  constexpr std::uint64_t kMax = 1'000ull * 86'400'000;
  if (!value || *value > kMax) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

Result<bool> parse_truth(std::string_view text) {
  if (text == "true" || text == "1" || text == "yes") return true;
  if (text == "false" || text == "0" || text == "no") return false;
  return fail(Errc::malformed, "must be true or false");
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : kSizes) {
    const bool binary = unit.name.size() != 2;
    if (binary && bytes >= unit.factor && bytes % unit.factor == 0) {
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
  }
  return "0B";
}

std::string duration_text(std::chrono::milliseconds time) {
  const auto ms = static_cast<std::uint64_t>(time.count());
  if (ms == 0) return "0s";
  if (ms % 3'600'000 == 0) return fmt::format("{}h", ms / 3'600'000);
  if (ms % 1'000 == 0) return fmt::format("{}s", ms / 1'000);
  return fmt::format("{}ms", ms);
}

}  // namespace qudag::config
