// What keeps a shard inside its limits: measures the pressures ten times a second, gives them to
// overload::Overload, and does what its table says.
//
//   measure -> pressures (0 idle, 1 the bound) -> Overload -> actions, from mild to hard
//
// docs/reference/limits.md has the table and what each action does. Memory and descriptors are the
// node's, the rest is the shard's own; every shard decides for itself, and no message crosses
// threads. Nothing else in a node gives memory up: what is free goes back before it is measured,
// windows of streams follow the room that is left, and near the bound it is looked at in every
// turn. Owned by a shard, used on its thread only. No limits: constant memory.
#pragma once

#include "circuit/circuits.h"
#include "circuit/quota/quota.h"
#include "link/endpoint.h"
#include "memory/bound.h"
#include "message/messages.h"
#include "overload/meter.h"
#include "overload/rules.h"
#include "shard/seam/environment.h"
#include "telemetry/metric.h"

#include <qudag/options.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

namespace qudag::shard {

// Windows of streams: a peer may fill them all. They shrink as the bound comes nearer.
inline constexpr std::size_t kWindowMin = 64 * 1024;
inline constexpr std::size_t kWindowMax = 512 * 1024;
/// The same of links; the first size is one in so many of the bound.
inline constexpr std::size_t kLinkWindowMin = 16 * kWindowMin;
inline constexpr std::size_t kLinkWindowMax = 32 * kWindowMax;
inline constexpr std::uint64_t kLinkWindowOneIn = 16;
/// What windows beyond that have together, for long paths, of so many bytes of free memory.
inline std::uint64_t long_windows(const Limits& limits, std::uint64_t bytes, unsigned shards) {
  return limits.windows_one_in == 0 ? 0 : bytes / limits.windows_one_in / shards;
}

/// How long a wait may last before it counts as the bound, by priority: a message that could be
/// sent and is not, or datagrams that wait unread while that priority is in use.
inline constexpr std::array<Duration, kPriorityCount> kWaitTargets = {
    std::chrono::seconds(1), std::chrono::seconds(5), std::chrono::seconds(60)};
inline constexpr Duration kBehindHighTarget = std::chrono::milliseconds(500);
inline constexpr Duration kBehindNormalTarget = std::chrono::seconds(2);
inline constexpr Duration kBlockedTarget = std::chrono::seconds(2);
inline constexpr Duration kLagTarget = std::chrono::milliseconds(200);
/// Datagrams that wait for normal traffic pause low, and do no more: a busy relay is no emergency.
inline constexpr double kBehindMaxNormal = 0.89;

/// Pure: what was measured, as pressures.
overload::Pressures pressures_of(const Measured& measured);

struct ProtectionReport {
  overload::Pressures pressures{};
  std::array<double, overload::kActionCount> levels{};  // 0 when not active
  std::array<std::uint64_t, overload::kActionCount> started{};
  std::array<std::uint64_t, kPriorityCount> messages_dropped{};
  std::array<std::uint64_t, kPriorityCount> sends_refused{};
  std::uint64_t reclaimed_bytes = 0;  // held by circuits that ended because memory was short
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<ProtectionReport> kProtection[] = {
    {{"qudag_overload_pressure",
      "What runs short, as a share of what is allowed: 0 idle, 1 at the limit.", Kind::highest},
     each("pressure", overload::kPressureNames),
     [](const ProtectionReport& s, std::size_t i) { return s.pressures[i]; }},
    {{"qudag_overload_action",
      "How strongly an action of the overload manager is taken: 0 not at all, 1 fully.",
      Kind::highest},
     each("action", overload::kActionNames),
     [](const ProtectionReport& s, std::size_t i) { return s.levels[i]; }},
    {{"qudag_overload_started_total", "Times that an action of the overload manager began.",
      Kind::counter},
     each("action", overload::kActionNames),
     [](const ProtectionReport& s, std::size_t i) { return static_cast<double>(s.started[i]); }},
    {{"qudag_messages_shed_total", "Waiting messages that the overload manager dropped.",
      Kind::counter},
     label("priority", "normal"),
     [](const ProtectionReport& s) { return static_cast<double>(s.messages_dropped[1]); }},
    {same, label("priority", "low"),
     [](const ProtectionReport& s) { return static_cast<double>(s.messages_dropped[2]); }},
    {{"qudag_sends_refused_total", "Messages that the overload manager refused.", Kind::counter},
     label("priority", "normal"),
     [](const ProtectionReport& s) { return static_cast<double>(s.sends_refused[1]); }},
    {same, label("priority", "low"),
     [](const ProtectionReport& s) { return static_cast<double>(s.sends_refused[2]); }},
    {{"qudag_memory_reclaimed_bytes_total",
      "Memory held by circuits that were ended because memory was short.", Kind::counter},
     no_label,
     &ProtectionReport::reclaimed_bytes},
};
static_assert(telemetry::valid(kProtection));

}  // namespace metrics

/// All outlive the object.
struct ProtectionSetup {
  unsigned shard = 0;
  unsigned shards = 1;
  std::size_t building_max = 1;
  const Limits& limits;
  const memory::Bound& bound;
  memory::BlockPool& pool;
  link::Endpoint& endpoint;
  circuit::Circuits& circuits;
  message::Messages& messages;
  ShardEnvironment& environment;
  circuit::Quota* quota = nullptr;
};

class Protection {
 public:
  explicit Protection(const ProtectionSetup& setup);

  // From the turn.
  /// Something happens: from now on it is measured often.
  void note_work(Now now) { due_ = std::min(due_, now.mono + kEvery); }
  /// `more`: datagrams are left unread.
  void note_read(bool more, Now now) {
    note_work(now);
    note(behind_since_, more, now);
  }
  /// `blocked`: the socket takes no more.
  void note_written(bool blocked, Now now) { note(blocked_since_, blocked, now); }
  /// A turn ends: a hundred milliseconds may fill what is left of the memory.
  void note_turn(Now now) {
    if (setup_.bound.node().used() < near_bytes_) return;
    due_ = std::min(due_, std::max(now.mono, looked_at_ + kEveryNear));
  }

  /// Gives back what pools and heaps have free: this or another shard needs it.
  void give_free();
  void on_time(Now now);
  TimePoint next_deadline() const { return due_; }

  /// Nothing that is not needed yet: no link, no circuit, no key.
  bool may_open_ahead() const { return !overload_.active(overload::Action::stop_opening_ahead); }
  /// What is not needed goes back.
  bool shrinks() const { return overload_.active(overload::Action::shrink); }
  /// No new pipes, and no larger windows for those that are there.
  bool tight() const { return overload_.active(overload::Action::refuse_circuits); }
  /// Whether to take a message of the application: refused_overload, with the reason.
  Status admit(Priority priority);
  /// What peers may know of it, 0 to 65535.
  std::uint16_t load() const { return load_.load(); }
  ProtectionReport report() const;

 private:
  static constexpr Duration kEvery = std::chrono::milliseconds(100);
  static constexpr Duration kEveryNear = std::chrono::milliseconds(20);
  static constexpr Duration kEveryIdle = std::chrono::seconds(5);

  static void note(TimePoint& since, bool holds, Now now) {
    if (!holds) {
      since = kNever;
    } else if (since == kNever) {
      since = now.mono;
    }
  }

  void watch_memory(Now now);
  template <class TakeBack>
  void reclaim(Now now, TakeBack&& take_back);
  Measured measure(Now now);
  double quota_use(Now now);
  void weigh(const Measured& measured, Now now);
  void tell_changes();
  void act(Now now);
  double level_by(overload::Action action,
                  std::initializer_list<overload::Pressure> pressures) const;
  void shrink(Now now);
  void drop(Priority priority, overload::Action action, Now now);
  std::string_view worst() const;

  const ProtectionSetup setup_;
  overload::Overload overload_;
  overload::Pressures pressures_{};
  overload::LoadMeter load_;
  std::uint64_t quota_taken_ = 0;  // at that time
  TimePoint quota_at_{};
  std::array<bool, overload::kActionCount> was_active_{};
  std::array<std::uint64_t, kPriorityCount> messages_dropped_{};
  std::array<std::uint64_t, kPriorityCount> sends_refused_{};
  link::ByLevel bytes_seen_{};  // of streams
  std::uint64_t reclaimed_bytes_ = 0;
  const std::uint64_t near_bytes_;
  TimePoint due_{};
  TimePoint looked_at_{};
  TimePoint watch_at_{};
  TimePoint reclaim_at_{};
  TimePoint shrink_all_at_{};
  TimePoint behind_since_ = kNever;
  TimePoint blocked_since_ = kNever;
  std::uint64_t datagrams_seen_ = 0;
  bool quiet_ = false;  // nothing came or went since the last time
  Duration last_lag_{};
};

}  // namespace qudag::shard
