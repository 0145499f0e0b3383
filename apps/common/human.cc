#include "common/human.h"

#include "node/process/notices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace qudag::app {
namespace {

bool is_number(const std::string& cell) {
  return cell == "-" || (!cell.empty() && std::isdigit(static_cast<unsigned char>(cell[0])) != 0 &&
                         !cell.contains(':') && cell.size() < 16);
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) { return node::bytes_text(bytes); }

std::string time_text(std::uint64_t us) {
  if (us == 0) return "-";
  if (us < 1'000) return fmt::format("{}us", us);
  if (us < 1'000'000) return fmt::format("{:.1f}ms", static_cast<double>(us) / 1e3);
  return fmt::format("{:.0f}s", static_cast<double>(us) / 1e6);
}

std::string span_text(std::chrono::seconds span) { return node::span_text(span); }

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return {};
  const std::size_t columns = rows[0].size();
  std::vector<std::size_t> widths(columns, 0);
  std::vector<bool> right(columns, rows.size() > 1);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      widths[c] = std::max(widths[c], rows[r][c].size());
      if (r > 0 && !is_number(rows[r][c])) right[c] = false;
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      line += right[c] ? fmt::format("{:>{}}", row[c], widths[c])
                       : fmt::format("{:<{}}", row[c], widths[c]);
      if (c + 1 < columns) line += "  ";
    }
    line.resize(std::min(line.size(), kColumnsMax));
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace qudag::app
