// Samples of a node that never was, with what a test says of it.
#pragma once

#include "top/figures.h"

#include <string_view>

namespace qudag::app::test {

inline Sample sample(double seconds, std::string_view metrics, std::string_view queues = "",
                     std::string_view peers = "", std::string_view circuits = "",
                     std::string_view status = "{}") {
  Sample out;
  out.at =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
  out.metrics = MetricPage(metrics);
  out.status = read_json(status);
  out.queues = read_json(queues);
  out.peers = read_json(peers);
  out.circuits = read_json(circuits);
  return out;
}

/// The text of a cell, by the first cell of its row and the name of its column.
inline std::string cell(const Table& table, std::string_view row, std::string_view column) {
  for (const auto& cells : table.rows) {
    if (cells[0].text != row) continue;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (table.columns[c].name == column) return cells[c].text;
    }
  }
  return "none";
}

}  // namespace qudag::app::test
