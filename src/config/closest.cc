#include "config/closest.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace qudag::config {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t swapped = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({swapped, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// `memory` of `limits.memory` and of `--limits.memory`.
std::string_view last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) return name.substr(dot + 1);
  return name.starts_with("--") ? name.substr(2) : name;
}

}  // namespace

std::string_view closest(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kNameBytesMax = 64;  // no more work than that for hostile names
  if (word.size() > kNameBytesMax) return {};
  std::string_view best;
  std::size_t best_distance = 4;
  for (const std::string_view name : known) {
    std::size_t distance = edit_distance(word, name);
    // The right word in the wrong table (`memory` for `limits.memory`) counts as close.
    if (last_part(word) == last_part(name)) distance = std::min<std::size_t>(distance, 1);
    if (distance < best_distance && 2 * distance <= name.size()) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace qudag::config
