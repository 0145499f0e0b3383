// Failures count one each and fade with a half-life, a success takes half of them away.
// What a hop adds moves by its part of the difference; a single slow build moves it only so far.
#include "netmap/routes/history.h"

#include <algorithm>
#include <cmath>

namespace qudag::netmap {
namespace {

constexpr std::chrono::duration<double> kHalfLife = std::chrono::minutes(2);  // 1/32 in ten minutes
constexpr double kForgotten = 0.05;  // doubts that are less are none
constexpr Duration kBusyFor = std::chrono::seconds(5);
/// The same of a dial that failed, or of a link that fell silent.
constexpr Duration kGoneFor = std::chrono::seconds(30);
constexpr Duration kFast = std::chrono::milliseconds(10);  // a hop that adds less is no slower
constexpr double kStep = 0.4;  // of a difference, shared by the hops of a build
constexpr double kUsualStep = 1.0 / 32;
constexpr double kSurprise = 4;  // a build that took longer than so many times its time

double as_double(Duration time) { return static_cast<double>(time.count()); }
Duration scaled(Duration time, double by) {
  return Duration(static_cast<Duration::rep>(as_double(time) * by));
}

}  // namespace

double RelayHistory::left_of(double count, const Record& record, TimePoint now) {
  if (now <= record.last || count == 0) return count;
  const std::chrono::duration<double> age = now - record.last;
  return count * std::exp2(-(age / kHalfLife));
}

RelayHistory::Record& RelayHistory::touch(const NodeId& relay, TimePoint now) {
  if (!records_.contains(relay) && records_.size() >= entries_max_ && !records_.empty()) {
    // Equal times are told apart by id: the order inside the table must not matter.
    records_.erase(std::ranges::min_element(records_, [](const auto& a, const auto& b) {
      return a.second.last != b.second.last ? a.second.last < b.second.last : a.first < b.first;
    }));
  }
  Record& record = records_[relay];
  record.failures = left_of(record.failures, record, now);
  record.doubts = left_of(record.doubts, record, now);
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
    record.doubts /= 2;
    record.adds = std::max(Duration{1}, before + share);
  }
  for (const NodeId& relay : hops.first(hops.size() - 1)) {
    touch(relay, now.mono).proven_until = now.mono + kProvenFor;
  }
}

void RelayHistory::failed(const NodeId& relay, Now now) {
  Record& record = touch(relay, now.mono);
  record.failures = std::min(record.failures + 1, kFailuresMax);
  record.proven_until = {};
  ++changes_;
}

void RelayHistory::broke(std::span<const NodeId> hops, std::size_t failed_hop, Now now) {
  if (hops.empty()) return;
  if (failed_hop == 0) return failed(hops.front(), now);
  if (failed_hop < hops.size()) {
    const NodeId& before = hops[failed_hop - 1];
    suspect(hops[failed_hop], before, now);
    if (failed_hop > 1) suspect(before, hops[failed_hop], now);
    // Whoever accuses another relay loses its own proof with it. A destination takes nobody's.
    if (failed_hop + 1 == hops.size()) return;
    Record& accused = touch(hops[failed_hop], now.mono);
    accused.proven_until = {};
    if (failed_hop == 1) return;  // a first hop is believed behind itself only (Guards)
    accused.unreached_until = now.mono + kGoneFor;
    touch(before, now.mono).proven_until = {};
    return;
  }
  for (const NodeId& hop : hops.subspan(1)) suspect(hop, hops.back(), now);
}

void RelayHistory::suspect(const NodeId& relay, const NodeId& witness, Now now) {
  Record& record = touch(relay, now.mono);
  if (record.doubts < kForgotten) record.witnesses = 0;
  const std::uint64_t mixed = std::hash<NodeId>{}(witness)*0x9e3779b97f4a7c15;  // Fibonacci hashing
  const auto shift = 2 * (mixed >> 59);
  if (((record.witnesses >> shift) & 3) >= kDoubtsOfOne) return;
  record.witnesses += std::uint64_t{1} << shift;
  record.doubts += kDoubt;
  ++changes_;
}

void RelayHistory::refused(const NodeId& relay, Now now, bool itself) {
  Record& record = touch(relay, now.mono);
  (itself ? record.busy_until : record.said_busy_until) = now.mono + kBusyFor;
  ++changes_;
}

void RelayHistory::late(const NodeId& relay, Now now) {
  touch(relay, now.mono).late_until = now.mono + kBusyFor;
  ++changes_;
}

void RelayHistory::unanswered(const NodeId& relay, Now now, bool gone) {
  Record& record = touch(relay, now.mono);
  if (now.mono >= record.unanswered_until) record.unanswered_since = now.mono;
  if (gone) record.unanswered_since = std::min(record.unanswered_since, now.mono - kBusyFor);
  record.unanswered_until =
      std::max(record.unanswered_until, now.mono + (gone ? kGoneFor : kBusyFor));
}

void RelayHistory::answered(const NodeId& relay) {
  const auto at = records_.find(relay);
  if (at != records_.end()) at->second.unanswered_until = {};
}

bool RelayHistory::is_late(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at != records_.end() && now.mono < at->second.late_until;
}

bool RelayHistory::is_unanswered(const NodeId& relay, Duration least, Now now) const {
  const auto at = records_.find(relay);
  if (at == records_.end() || now.mono >= at->second.unanswered_until) return false;
  return now.mono - at->second.unanswered_since >= least;
}

bool RelayHistory::busy(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at != records_.end() && now.mono < at->second.busy_until;
}

double RelayHistory::chance(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  if (at != records_.end()) {
    const Record& record = at->second;
    if (now.mono < std::max({record.late_until, record.unreached_until, record.unanswered_until})) {
      return kLateWeight;
    }
    if (now.mono < std::max(record.busy_until, record.said_busy_until)) return kWeightMin;
  }
  const double fast = speed(relay);
  return std::max(kWeightMin, trust(relay, now) * fast * fast);
}

double RelayHistory::reliability(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at == records_.end() ? 1 : 1 / (1 + left_of(at->second.failures, at->second, now.mono));
}

double RelayHistory::trust(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  if (at == records_.end()) return 1;
  const Record& record = at->second;
  return 1 / (1 + left_of(record.failures + record.doubts, record, now.mono));
}

bool RelayHistory::proven(const NodeId& relay, Now now) const {
  const auto at = records_.find(relay);
  return at != records_.end() && now.mono < at->second.proven_until;
}

bool RelayHistory::measured(const NodeId& relay) const {
  const auto at = records_.find(relay);
  return at != records_.end() && at->second.adds != Duration{};
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
  return std::max(kWeightMin, trust(relay, now) * speed(relay));
}

}  // namespace qudag::netmap
