#include "top/sample.h"

namespace qudag::app {

MetricPage::MetricPage(std::string_view text) {
  while (const auto row = telemetry::next_row(text)) {
    auto at = rows_.find(row->name);
    if (at == rows_.end()) at = rows_.emplace(row->name, std::vector<Row>()).first;
    at->second.push_back({std::string(row->labels), row->value});
  }
}

const std::vector<MetricPage::Row>& MetricPage::rows(std::string_view name) const {
  static const std::vector<Row> kNone;
  const auto at = rows_.find(name);
  return at == rows_.end() ? kNone : at->second;
}

double MetricPage::sum(std::string_view name, std::string_view label) const {
  double out = 0;
  for (const Row& row : rows(name)) {
    if (row.labels.contains(label)) out += row.value;
  }
  return out;
}

telemetry::Buckets MetricPage::histogram(const std::string& name, std::string_view label) const {
  telemetry::Buckets out;
  for (const Row& row : rows(name + "_bucket")) {
    if (row.labels.contains(label)) out.add({name, row.labels, row.value});
  }
  return out;
}

boost::json::value read_json(std::string_view text) {
  boost::system::error_code error;
  boost::json::value value = boost::json::parse({text.data(), text.size()}, error);
  return error ? boost::json::value(nullptr) : value;
}

}  // namespace qudag::app
