// The pages of a node at one time. Pure: text goes in.
#pragma once

#include "telemetry/reader.h"

#include <qudag/error.h>

#include <boost/json.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::app {

/// The metrics of a page, by name.
class MetricPage {
 public:
  struct Row {
    std::string labels;
    double value = 0;
  };

  explicit MetricPage(std::string_view text = {});

  const std::vector<Row>& rows(std::string_view name) const;
  /// Of the rows whose labels contain `label`.
  double sum(std::string_view name, std::string_view label = {}) const;
  telemetry::Buckets histogram(const std::string& name, std::string_view label = {}) const;

 private:
  std::map<std::string, std::vector<Row>, std::less<>> rows_;
};

/// What a node told. What it did not tell (a socket for watchers has no peers) is null.
struct Sample {
  std::chrono::nanoseconds at{};  // of a steady clock
  MetricPage metrics;
  boost::json::value status, queues, peers, circuits;
};

/// JSON of an answer; null if it is none.
boost::json::value read_json(std::string_view text);

}  // namespace qudag::app
