// A page of metrics: records of any modules, added up by their tables, as samples and as text.
//
// Threads: one. Limits: as many samples as the tables have rows.
#pragma once

#include "telemetry/metric.h"

#include <qudag/metrics.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qudag::telemetry {

class Page {
 public:
  /// The records of all shards: `get(record)` is what the table is about.
  template <class Stats, std::size_t N, class Records, class Get>
  void add(const Metric<Stats> (&table)[N], const Records& records, Get get);
  /// One record.
  template <class Stats, std::size_t N>
  void add(const Metric<Stats> (&table)[N], const Stats& record) {
    add(table, std::span(&record, 1), [](const Stats& one) -> const Stats& { return one; });
  }
  /// `text` stands among the labels of every row, as in a table of tables.
  template <class Stats, std::size_t N>
  void add(const Metric<Stats> (&table)[N], const Stats& record, const std::string& text) {
    const std::string before = std::exchange(common_, text);
    add(table, record);
    common_ = before;
  }

  std::vector<MetricSample> take() { return std::move(samples_); }

 private:
  std::string text_of(const Labels& labels, std::size_t index) const;
  void put(const Family& family, std::string labels, double value);
  void put(const Family& family, const std::string& labels, const Times& times);

  std::string common_;
  std::vector<MetricSample> samples_;
};

/// Prometheus text format 0.0.4. A family's lines stand together, whatever their order here.
std::string prometheus(std::vector<MetricSample> samples);
/// The same as OpenMetrics 1.0: a counter's family goes without `_total`, and the text has an end.
/// No exemplars.
std::string openmetrics(std::vector<MetricSample> samples);

template <class Stats, std::size_t N, class Records, class Get>
void Page::add(const Metric<Stats> (&table)[N], const Records& records, Get get) {
  Family family;
  for (const Metric<Stats>& row : table) {
    if (!row.family.name.empty()) family = row.family;
    for (std::size_t i = 0; i < row.labels.count; ++i) {
      if (family.kind == Kind::seconds) {
        Times all;
        for (const auto& record : records) row.source.add_to(all, get(record), i);
        put(family, text_of(row.labels, i), all);
        continue;
      }
      double value = 0;
      for (const auto& record : records) {
        const double one = row.source.number(get(record), i);
        value = family.kind == Kind::highest ? std::max(value, one) : value + one;
      }
      put(family, text_of(row.labels, i), value);
    }
  }
}

}  // namespace qudag::telemetry
