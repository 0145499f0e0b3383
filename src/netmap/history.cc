// Failures count one each and fade with a half-life, a success takes half of them away.
// What a hop adds moves by its part of the difference; a single slow build moves it only so far.
#include "netmap/history.h"

#include <algorithm>
#include <cmath>

namespace qudag::netmap {
namespace {

constexpr std::chrono::duration<double> kHalfLife = std::chrono::minutes(2);  // 1/32 in ten minutes
constexpr Duration kBusyFor = std::chrono::seconds(5);
constexpr Duration kFast = std::chrono::milliseconds(10);  // a hop that adds less is no slower
constexpr double kStep = 0.4;  // of a difference, shared by the hops of a build
constexpr double kUsualStep = 1.0 / 32;
constexpr double kSurprise = 4;  // a build that took longer than so many times its time

double as_double(Duration time) { return static_cast<double>(time.count()); }
Duration scaled(Duration time, double by) {
  return Duration(static_cast<Duration::rep>(as_double(time) * by));
}

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

void RelayHistory::succeeded(std::span<const NodeId> hops, Duration took, Now now) {
  if (hops.empty()) return;
  const auto count = static_cast<Duration::rep>(hops.size());
  const Duration each = took / count;
  usual_ = usual_ == Duration{} ? each : usual_ + scaled(each - usual_, kUsualStep);
  Duration expected{};
  for (const NodeId& hop : hops) expected += hop_time(hop);
  const Duration longest = scaled(expected, kSurprise);
  const Duration share = scaled(std::min(took, longest) - expected, kStep) / count;
  for (const NodeId& hop : hops) {
    const Duration before = hop_time(hop);
    Record& record = touch(hop, now.mono);
    record.failures /= 2;
    record.adds = std::max(Duration{1}, before + share);
  }
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

double RelayHistory::reliability(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at == records_.end() ? 1 : 1 / (1 + failures_now(at->second, now.mono));
}

Duration RelayHistory::hop_time(const NodeId& relay) const {
  const auto at = records_.find(relay);
  return at == records_.end() || at->second.adds == Duration{} ? usual_ : at->second.adds;
}

double RelayHistory::speed(const NodeId& relay) const {
  const Duration fast = std::max(usual_ / 2, kFast);
  const Duration adds = hop_time(relay);
  return adds <= fast ? 1 : std::max(kSpeedMin, as_double(fast) / as_double(adds));
}

double RelayHistory::weight(const NodeId& relay, Now now) const {
  return std::max(kWeightMin, reliability(relay, now) * speed(relay));
}

}  // namespace qudag::netmap
