// Reads a page of metrics (Prometheus text format 0.0.4), a row after the other. Pure; keeps
// nothing. Comments, and what is no row, are passed over.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace qudag::telemetry {

struct Row {
  std::string_view name;
  std::string_view labels;  ///< without braces, as they stand: `reason="rate",priority="low"`
  double value = 0;
};

/// Takes the next row off `page`; nothing at its end. What is returned lies in the page.
std::optional<Row> next_row(std::string_view& page);

/// The value of a label of a row; empty if it has none of this name.
std::string_view label_of(std::string_view labels, std::string_view name);

/// A histogram: how many were at most so many seconds, in the order of those ends. The last end is
/// infinite.
struct Buckets {
  struct Bucket {
    double end = 0;
    double count = 0;
  };
  std::vector<Bucket> all;

  /// Adds the value of a row `..._bucket`; rows of several series may be added.
  void add(const Row& row);
  /// What was counted since `before`, a reading of the same node.
  Buckets since(const Buckets& before) const;
  double count() const { return all.empty() ? 0 : all.back().count; }
  /// Linear within a bucket, as Prometheus has it: nothing without an observation; the last finite
  /// end if it lies beyond.
  std::optional<double> quantile(double share) const;
};

}  // namespace qudag::telemetry
