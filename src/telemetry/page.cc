#include "telemetry/page.h"

#include <fmt/format.h>

#include <algorithm>

namespace qudag::telemetry {
namespace {

std::string joined(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() ? a + b : a + "," + b;
}

/// A label's value may hold anything: a path, a name that a person gave.
std::string quoted(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

std::string_view type_of(SampleKind kind) {
  switch (kind) {
    case SampleKind::counter:
      return "counter";
    case SampleKind::gauge:
      return "gauge";
    case SampleKind::histogram:
      return "histogram";
  }
  return "untyped";
}

}  // namespace

std::string Page::text_of(const Labels& labels, std::size_t index) const {
  std::string out = common_;
  if (!labels.name.empty()) {
    out = joined(out, fmt::format("{}=\"{}\"", labels.name, quoted(labels.value)));
  }
  if (!labels.per.empty()) {
    out = joined(out, fmt::format("{}=\"{}\"", labels.per, quoted(labels.values[index])));
  }
  return out;
}

void Page::put(const Family& family, std::string labels, double value) {
  samples_.push_back(
      {.name = std::string(family.name),
       .labels = std::move(labels),
       .help = std::string(family.help),
       .kind = family.kind == Kind::counter ? SampleKind::counter : SampleKind::gauge,
       .value = value,
       .family = std::string(family.name)});
}

void Page::put(const Family& family, const std::string& labels, const Times& times) {
  const auto line = [&](std::string_view suffix, std::string text, double value) {
    samples_.push_back({.name = fmt::format("{}{}", family.name, suffix),
                        .labels = std::move(text),
                        .help = std::string(family.help),
                        .kind = SampleKind::histogram,
                        .value = value,
                        .family = std::string(family.name)});
  };
  for (unsigned bits = kBucketFirst; bits <= kBucketLast; ++bits) {
    const std::uint64_t end = std::uint64_t{1} << bits;
    line("_bucket", joined(labels, fmt::format("le=\"{}\"", static_cast<double>(end) / 1e6)),
         static_cast<double>(times.below[bits - kBucketFirst]));
  }
  const auto count = static_cast<double>(times.count);
  line("_bucket", joined(labels, "le=\"+Inf\""), count);
  line("_sum", labels, times.sum_us / 1e6);
  line("_count", labels, count);
}

namespace {

std::string text_of(std::vector<MetricSample> samples, bool open) {
  constexpr std::string_view kTotal = "_total";
  std::stable_sort(
      samples.begin(), samples.end(),
      [](const MetricSample& a, const MetricSample& b) { return a.family < b.family; });
  std::string out;
  std::string_view family;
  for (const MetricSample& sample : samples) {
    if (sample.family != family) {
      family = sample.family;
      std::string_view name = family;
      if (open && sample.kind == SampleKind::counter && name.ends_with(kTotal)) {
        name.remove_suffix(kTotal.size());
      }
      out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, sample.help, name,
                         type_of(sample.kind));
    }
    out += sample.name;
    if (!sample.labels.empty()) out += fmt::format("{{{}}}", sample.labels);
    out += fmt::format(" {}\n", sample.value);
  }
  return open ? out + "# EOF\n" : out;
}

}  // namespace

std::string prometheus(std::vector<MetricSample> samples) {
  return text_of(std::move(samples), false);
}

std::string openmetrics(std::vector<MetricSample> samples) {
  return text_of(std::move(samples), true);
}

}  // namespace qudag::telemetry
