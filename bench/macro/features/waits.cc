#include "waits.h"

#include "api/client/client.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

namespace qudag::app::bench {

Waits::Waits(const Net& net, std::vector<WaitOf> of) : net_(net), of_(std::move(of)) {}

Result<std::vector<Waits::Counts>> Waits::look() const {
  const auto pages = net_.relay_pages();
  if (!pages) return std::unexpected(pages.error());
  std::vector<Counts> out;
  for (const WaitOf& one : of_) {
    Counts counts{};
    const std::string name = fmt::format("{}_bucket", one.family);
    for (std::size_t i = 0; i <= kBuckets; ++i) {
      const auto end = static_cast<double>(std::uint64_t{1} << (telemetry::kBucketFirst + i)) / 1e6;
      const std::string label = i == kBuckets ? "le=\"+Inf\"" : fmt::format("le=\"{}\"", end);
      const std::string whole = one.label.empty() ? label : fmt::format("{},{}", one.label, label);
      if (one.relays) {
        for (const std::string& page : *pages) counts[i] += api::metric_in(page, name, whole);
      } else {
        counts[i] = net_.source_metric(name, whole);
      }
    }
    out.push_back(counts);
  }
  return out;
}

Status Waits::begin() {
  auto now = look();
  if (!now) return std::unexpected(now.error());
  before_ = std::move(*now);
  return {};
}

Status Waits::end() {
  auto now = look();
  if (!now) return std::unexpected(now.error());
  came_ = std::move(*now);
  for (std::size_t i = 0; i < came_.size(); ++i) {
    for (std::size_t k = 0; k < came_[i].size(); ++k) came_[i][k] -= before_[i][k];
  }
  return {};
}

double Waits::percentile(const Counts& counts, double part) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts[i] >= part * counts[kBuckets]) {
      return static_cast<double>(std::uint64_t{1} << (telemetry::kBucketFirst + i));
    }
  }
  return 1e12;
}

void Waits::add_rows(std::string_view prefix, Results& out) const {
  for (std::size_t i = 0; i < of_.size(); ++i) {
    if (came_[i][kBuckets] == 0) continue;
    const std::string name = fmt::format("{}/{}_", prefix, of_[i].what);
    out.add(name + "p50", "us", false).runs.push_back(percentile(came_[i], 0.5));
    out.add(name + "p99", "us", false).runs.push_back(percentile(came_[i], 0.99));
  }
}

}  // namespace qudag::app::bench
