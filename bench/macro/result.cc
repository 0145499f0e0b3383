#include "result.h"

#include "common/json_text.h"
#include "machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace qudag::app::bench {

namespace json = boost::json;

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Row::median() const { return median_of(runs); }

Row& Results::add(std::string name, std::string unit, bool higher) {
  Row row;
  row.name = std::move(name);
  row.unit = std::move(unit);
  row.higher = higher;
  return rows_.emplace_back(std::move(row));
}

void Results::feature(std::string id, std::string name, std::string unit, bool higher, double on,
                      double off) {
  Row& row = add("features/" + std::move(name), std::move(unit), higher);
  row.id = std::move(id);
  row.runs = {on};
  row.on = on;
  row.off = off;
}

Status Results::add_json(std::string_view text) {
  boost::system::error_code ec;
  const json::value whole = json::parse(text, ec);
  const json::object* object = whole.if_object();
  if (ec || object == nullptr || !object->contains("results")) {
    return fail(Errc::internal, "a scenario in a process of its own ended without results");
  }
  for (const json::value& one : object->at("results").as_array()) {
    Row& row = add(json::value_to<std::string>(one.at("name")),
                   json::value_to<std::string>(one.at("unit")),
                   json::value_to<std::string>(one.at("better")) == "higher");
    for (const json::value& run : one.at("runs").as_array()) {
      row.runs.push_back(run.to_number<double>());
    }
  }
  for (const json::value& note : object->at("notes").as_array()) {
    notes_.push_back(json::value_to<std::string>(note));
  }
  return {};
}

const Row* Results::find(std::string_view name) const {
  const auto at = std::ranges::find(rows_, name, &Row::name);
  return at == rows_.end() ? nullptr : &*at;
}

std::string Results::json(const BenchArgs& args) const {
  json::array results;
  for (const Row& row : rows_) {
    if (row.runs.empty()) continue;
    const auto [low, high] = std::ranges::minmax(row.runs);
    json::object one{{"name", row.name},
                     {"unit", row.unit},
                     {"better", row.higher ? "higher" : "lower"},
                     {"runs", json::array(row.runs.begin(), row.runs.end())},
                     {"median", row.median()},
                     {"min", low},
                     {"max", high}};
    if (row.limit) one["limit"] = *row.limit;
    if (row.peer) one["peer"] = *row.peer;
    if (!row.id.empty()) {
      one["id"] = row.id;
      one["on"] = row.on;
      one["off"] = row.off;
    }
    results.push_back(std::move(one));
  }
  return json_text(json::object{
             {"scenario", args.scenario},
             {"date", date()},
             {"command", fmt::format("./dev bench {} --runs {} --seconds {} --shards {}",
                                     args.scenario, args.runs, args.seconds, args.shards)},
             {"commit", commit()},
             {"machine", machine()},
             {"settings",
              json::object{{"runs", args.runs},
                           {"seconds_per_rate", args.seconds},
                           {"shards", args.shards},
                           {"quick", args.quick},
                           {"pattern",
                            "closed loop, bounded window; relays are `qudag node` processes, the "
                            "source is the library in the measuring process, the destination the "
                            "library in a process of its own"}}},
             {"notes", json::array(notes_.begin(), notes_.end())},
             {"results", std::move(results)}}) +
         "\n";
}

std::string Results::table() const {
  const auto number = [](double v) { return fmt::format("{:.{}f}", v, v < 100 ? 3 : 1); };
  std::string out = fmt::format("{:<34}{:>12}{:>12}{:>12}  {:<11} {}\n", "", "median", "min", "max",
                                "unit", "beside it");
  for (const Row& row : rows_) {
    if (row.runs.empty()) continue;
    const auto [low, high] = std::ranges::minmax(row.runs);
    std::string beside;
    if (row.limit && *row.limit > 0) {
      beside += fmt::format("{:.0f} % of the limit {}  ", 100 * row.median() / *row.limit,
                            number(*row.limit));
    }
    if (row.peer && *row.peer > 0) {
      beside +=
          fmt::format("{:.2f} x ZeroMQ CURVE's {}", row.median() / *row.peer, number(*row.peer));
    }
    if (!row.id.empty()) {
      beside += fmt::format("{}: on {}, off {}", row.id, number(row.on), number(row.off));
    }
    out += fmt::format("{:<34}{:>12}{:>12}{:>12}  {:<11} {}\n", row.name, number(row.median()),
                       number(low), number(high), row.unit, beside);
  }
  for (const std::string& note : notes_) out += note + "\n";
  return out;
}

}  // namespace qudag::app::bench
