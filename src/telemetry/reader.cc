#include "telemetry/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace qudag::telemetry {
namespace {

std::optional<double> number(std::string_view text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<Row> row_of(std::string_view line) {
  const std::size_t space = line.rfind(' ');
  if (line.empty() || line[0] == '#' || space == std::string_view::npos) return std::nullopt;
  const std::optional<double> value = number(line.substr(space + 1));
  std::string_view key = line.substr(0, space);
  if (!value || key.empty()) return std::nullopt;
  Row row;
  row.value = *value;
  const std::size_t brace = key.find('{');
  row.name = key.substr(0, brace);
  if (brace != std::string_view::npos) {
    if (!key.ends_with('}')) return std::nullopt;
    row.labels = key.substr(brace + 1, key.size() - brace - 2);
  }
  return row;
}

}  // namespace

std::optional<Row> next_row(std::string_view& page) {
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    if (const std::optional<Row> row = row_of(line)) return row;
  }
  return std::nullopt;
}

std::string_view label_of(std::string_view labels, std::string_view name) {
  while (!labels.empty()) {
    const std::size_t is = labels.find("=\"");
    if (is == std::string_view::npos) return {};
    const std::string_view found = labels.substr(0, is);
    const std::string_view rest = labels.substr(is + 2);
    const std::size_t end = rest.find('"');
    if (end == std::string_view::npos) return {};
    if (found == name) return rest.substr(0, end);
    labels = rest.substr(end + 1);
    if (labels.starts_with(',')) labels.remove_prefix(1);
  }
  return {};
}

void Buckets::add(const Row& row) {
  const std::optional<double> end = number(label_of(row.labels, "le"));
  if (!end || std::isnan(*end)) return;
  auto at = std::ranges::lower_bound(all, *end, {}, &Bucket::end);
  if (at == all.end() || at->end != *end) at = all.insert(at, {*end, 0});
  at->count += row.value;
}

Buckets Buckets::since(const Buckets& before) const {
  Buckets out = *this;
  for (Bucket& bucket : out.all) {
    const auto at = std::ranges::lower_bound(before.all, bucket.end, {}, &Bucket::end);
    if (at != before.all.end() && at->end == bucket.end) {
      bucket.count = std::max(0.0, bucket.count - at->count);
    }
  }
  return out;
}

std::optional<double> Buckets::quantile(double share) const {
  if (!(count() > 0)) return std::nullopt;
  const double wanted = share * count();
  double low = 0, below = 0;
  for (const Bucket& bucket : all) {
    if (bucket.count >= wanted) {
      const double inside = bucket.count - below;
      if (std::isinf(bucket.end) || !(inside > 0)) return low;
      return low + (bucket.end - low) * (wanted - below) / inside;
    }
    low = bucket.end;
    below = bucket.count;
  }
  return low;
}

}  // namespace qudag::telemetry
