// Failures count one each and fade with a half-life, a success takes half of them away.
#include "netmap/history.h"

#include <algorithm>
#include <cmath>

namespace qudag::netmap {
namespace {

constexpr std::chrono::duration<double> kHalfLife = std::chrono::minutes(2);  // 1/32 in ten minutes
constexpr Duration kBusyFor = std::chrono::seconds(5);
constexpr Duration kFast = std::chrono::milliseconds(500);
constexpr double kSlowWeightMin = 0.5;

}  // namespace

double RelayHistory::failures_now(const Record& record, TimePoint now) {
  if (now <= record.last) return record.failures;
  const std::chrono::duration<double> age = now - record.last;
  return record.failures * std::exp2(-(age / kHalfLife));
}

RelayHistory::Record& RelayHistory::touch(const NodeId& relay, TimePoint now) {
  if (!records_.contains(relay) && records_.size() >= entries_max_ && !records_.empty()) {
    // Equal times are told apart by id: the order inside the table must not matter.
    records_.erase(std::ranges::min_element(records_, [](const auto& a, const auto& b) {
      return a.second.last != b.second.last ? a.second.last < b.second.last : a.first < b.first;
    }));
  }
  Record& record = records_[relay];
  record.failures = failures_now(record, now);
  record.last = std::max(record.last, now);
  return record;
}

void RelayHistory::succeeded(const NodeId& relay, Duration took, Now now) {
  Record& record = touch(relay, now.mono);
  record.failures /= 2;
  record.took = record.took == Duration{} ? took : (record.took * 7 + took) / 8;
}

void RelayHistory::failed(const NodeId& relay, Now now) { touch(relay, now.mono).failures += 1; }

void RelayHistory::refused(const NodeId& relay, Now now) {
  touch(relay, now.mono).busy_until = now.mono + kBusyFor;
}

bool RelayHistory::busy(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at != records_.end() && now.mono < at->second.busy_until;
}

double RelayHistory::chance(const NodeId& relay, Now now) const {
  return busy(relay, now) ? kWeightMin : weight(relay, now);
}

double RelayHistory::weight(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  if (at == records_.end()) return 1;
  const Record& record = at->second;
  const double reliability = 1 / (1 + failures_now(record, now.mono));
  const double speed = record.took <= kFast
                           ? 1.0
                           : std::max(kSlowWeightMin, static_cast<double>(kFast.count()) /
                                                          static_cast<double>(record.took.count()));
  return std::max(kWeightMin, reliability * speed);
}

}  // namespace qudag::netmap
