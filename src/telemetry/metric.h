// Tables of metrics. A module has one beside its record of counts: what a number is called, what it
// means and where it stands. The node adds up the records of its shards by these tables; no other
// place in the code names one, but for what a node counts itself (node/metrics.cc).
//
//   struct DialStats { std::uint64_t begun = 0, given_up = 0; };
//
//   inline constexpr telemetry::Metric<DialStats> kDialMetrics[] = {
//       {{"qudag_dials_total", "Dials for circuits of others, by their result.", Kind::counter},
//        label("result", "begun"), &DialStats::begun},
//       {same, label("result", "given_up"), &DialStats::given_up}};
//   static_assert(telemetry::valid(kDialMetrics));
//
// Threads: tables are constant.
#pragma once

#include "base/histogram.h"
#include "base/time_histogram.h"

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qudag::telemetry {

enum class Kind : std::uint8_t {
  counter,  ///< only grows; the shards' sum. Its name ends in _total.
  gauge,    ///< a number of now; the shards' sum
  highest,  ///< a gauge of which the highest shard counts
  seconds,  ///< a histogram of microseconds, shown in seconds. Its name ends in _seconds.
};

/// Metrics of one name: they have one meaning and differ in their labels.
struct Family {
  std::string_view name;  // with its unit: _bytes, _seconds; none: a number of things
  std::string_view help;  // a sentence
  Kind kind = Kind::counter;
};
/// In a table: the family of the row above.
inline constexpr Family same{};

/// One label with one value, and one that has a value for each index of the source.
struct Labels {
  std::string_view name, value;
  std::string_view per;
  const std::string_view* values = nullptr;
  std::size_t count = 1;

  template <std::size_t N>
  constexpr Labels each(std::string_view of, const std::string_view (&names)[N]) const {
    return {name, value, of, names, N};
  }
};
inline constexpr Labels no_label{};
constexpr Labels label(std::string_view name, std::string_view value) { return {name, value, {}}; }
template <std::size_t N>
constexpr Labels each(std::string_view of, const std::string_view (&names)[N]) {
  return no_label.each(of, names);
}

inline constexpr std::string_view kPriorityNames[] = {"high", "normal", "low"};

/// The buckets of a histogram: below 2^k microseconds. The records are exact at these ends.
inline constexpr unsigned kBucketFirst = 6;  // 64 us
inline constexpr unsigned kBucketLast = 26;  // 67 s

/// Histograms of either kind, added up as the page shows them.
struct Times {
  std::array<std::uint64_t, kBucketLast - kBucketFirst + 1> below{};
  double sum_us = 0;
  std::uint64_t count = 0;

  template <class H>
  void add(const H& histogram) {
    for (unsigned i = 0; i < below.size(); ++i) {
      below[i] += histogram.below(std::uint64_t{1} << (kBucketFirst + i));
    }
    sum_us += histogram.sum();
    count += histogram.count();
  }
};

template <class F, class Stats, class H>
concept GivesEach = std::convertible_to<F, const H& (*)(const Stats&, std::size_t)> &&
    !std::convertible_to<F, double (*)(const Stats&, std::size_t)>;

/// Where the number stands in a record.
template <class Stats>
class Source {
 public:
  constexpr Source(std::uint64_t Stats::*count) : count_(count) {}          // NOLINT: implicit
  constexpr Source(Histogram Stats::*histogram) : histogram_(histogram) {}  // NOLINT
  constexpr Source(TimeHistogram Stats::*times) : times_(times) {}          // NOLINT
  template <std::convertible_to<double (*)(const Stats&)> F>
  constexpr Source(F number) : number_(number) {}  // NOLINT
  template <std::convertible_to<double (*)(const Stats&, std::size_t)> F>
  constexpr Source(F numbers) : numbers_(numbers) {}  // NOLINT
  template <GivesEach<Stats, Histogram> F>
  constexpr Source(F histograms) : histograms_(histograms) {}  // NOLINT
  template <GivesEach<Stats, TimeHistogram> F>
  constexpr Source(F each_times) : each_times_(each_times) {}  // NOLINT

  constexpr bool is_histogram() const {
    return histogram_ != nullptr || histograms_ != nullptr || times_ != nullptr ||
           each_times_ != nullptr;
  }
  double number(const Stats& stats, std::size_t index) const {
    if (count_ != nullptr) return static_cast<double>(stats.*count_);
    return number_ != nullptr ? number_(stats) : numbers_(stats, index);
  }
  void add_to(Times& out, const Stats& stats, std::size_t index) const {
    if (histogram_ != nullptr) return out.add(stats.*histogram_);
    if (times_ != nullptr) return out.add(stats.*times_);
    if (histograms_ != nullptr) return out.add(histograms_(stats, index));
    out.add(each_times_(stats, index));
  }

 private:
  std::uint64_t Stats::*count_ = nullptr;
  Histogram Stats::*histogram_ = nullptr;
  TimeHistogram Stats::*times_ = nullptr;
  double (*number_)(const Stats&) = nullptr;
  double (*numbers_)(const Stats&, std::size_t) = nullptr;
  const Histogram& (*histograms_)(const Stats&, std::size_t) = nullptr;
  const TimeHistogram& (*each_times_)(const Stats&, std::size_t) = nullptr;
};

template <class Stats>
struct Metric {
  Family family;
  Labels labels;
  Source<Stats> source;
};

/// What is wrong with a name or a sentence; "" if nothing is.
constexpr std::string_view fault_of(const Family& family) {
  const std::string_view name = family.name;
  if (!name.starts_with("qudag_") && !name.starts_with("process_")) return "the name's beginning";
  for (const char c : name) {
    if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
      return "the name's letters";
  }
  if (name.ends_with("_total") != (family.kind == Kind::counter)) return "_total is for counters";
  if (family.kind == Kind::seconds && !name.ends_with("_seconds")) return "_seconds is missing";
  const std::string_view help = family.help;
  if (help.empty() || help.front() < 'A' || help.front() > 'Z') return "the help is no sentence";
  if (help.back() != '.') return "the help's end";
  return {};
}

/// To be asserted of every table.
template <class Stats, std::size_t N>
constexpr bool valid(const Metric<Stats> (&table)[N]) {
  if (table[0].family.name.empty()) return false;
  Kind kind{};
  for (const Metric<Stats>& row : table) {
    if (!row.family.name.empty()) {
      if (!fault_of(row.family).empty()) return false;
      kind = row.family.kind;
    }
    if (row.source.is_histogram() != (kind == Kind::seconds)) return false;
  }
  return true;
}

}  // namespace qudag::telemetry
