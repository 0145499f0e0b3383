// What happened in a node between samples, as tables that can be sorted, filtered and laid out
// without knowing what they are about. Pure.
#pragma once

#include "top/sample.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace qudag::app {

/// How much attention something wants.
enum class Weight : std::uint8_t { plain, faint, warn, alarm };

struct Cell {
  std::string text;
  double order = 0;  ///< rows are sorted by it if the column is of numbers, else by the text
  Weight weight = Weight::plain;
};

struct Column {
  std::string name;
  bool is_number = true;
  unsigned rank = 0;  ///< columns of the highest rank go first where a screen is narrow
};

inline constexpr std::size_t kAsItIs = SIZE_MAX;

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  std::size_t sorted_by = kAsItIs;  ///< unless a key says otherwise: numbers from the largest down
  std::string nothing;              ///< in place of rows
};

enum class Panel : std::uint8_t { classes, latency, pressures, refusals, queues, links, circuits };
inline constexpr std::size_t kPanelCount = 7;

struct Figures {
  std::string state;                 ///< one line: joined or why not, for how long up
  std::vector<std::string> summary;  ///< memory, traffic, processor; short ones first
  std::array<Table, kPanelCount> tables;
  const Table& table(Panel panel) const { return tables[static_cast<std::size_t>(panel)]; }
};

/// Rates are those since `before`. Percentiles are of what was counted since `earlier`; of all
/// since the node's start if there is none.
Figures figures(const Sample& now, const Sample& before, const Sample* earlier);

}  // namespace qudag::app
