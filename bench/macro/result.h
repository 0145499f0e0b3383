// What a scenario found, as rows of one form: the JSON of docs/internals/measuring.md and a table
// for people.
#pragma once

#include "args.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qudag::app::bench {

struct Row {
  std::string name;
  std::string unit;
  bool higher = true;  ///< is better
  std::vector<double> runs;
  std::optional<double> limit;  ///< what the machine would allow, measured in this run
  std::optional<double> peer;   ///< ZeroMQ CURVE, measured in this run
  std::string id;               ///< of a feature; then `on` and `off` stand beside
  double on = 0;
  double off = 0;

  double median() const;
};

class Results {
 public:
  Row& add(std::string name, std::string unit, bool higher);
  /// One row per feature; better is what its unit says.
  void feature(std::string id, std::string name, std::string unit, bool higher, double on,
               double off);
  /// A sentence for the reader: formulas, and what could not be measured.
  void note(std::string text) { notes_.push_back(std::move(text)); }
  /// What json() of another process said, rows and notes.
  Status add_json(std::string_view text);
  const Row* find(std::string_view name) const;
  std::vector<Row>& rows() { return rows_; }

  std::string json(const BenchArgs& args) const;
  std::string table() const;

 private:
  std::vector<Row> rows_;
  std::vector<std::string> notes_;
};

double median_of(std::vector<double> values);

}  // namespace qudag::app::bench
