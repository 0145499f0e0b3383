// What a relay gives to others: a rate, and bytes of a month. One for all shards of a node.
//
// Shards count what they pass on, ask for tokens before they give a window back (core.h), and look
// at the stage. Shard 0 keeps the time: tick(). What was used is kept on the disk now and then:
// to_keep().
//
// Why the month ends in steps, as tor's AccountingMax does it (soft and hard limit): a relay that
// takes circuits until its last byte ends them all at once, and sources that have an old map try it
// for minutes more. So it first leaves the map, then takes nothing new, and what runs has the last
// fortieth to end by itself.
//
// Threads: any, by atomics and two locks; tick(), to_keep() and kept() on one at a time.
#pragma once

#include "circuit/quota/month.h"
#include "sync/shared_rate.h"

#include <qudag/options.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

namespace qudag::circuit {

class Quota {
 public:
  /// A node that is killed forgets what it passed on since it was last kept: of a minute, and no
  /// more than a thousandth of the month's bytes and what goes in a look (tick).
  static constexpr Duration kKeepEvery = std::chrono::minutes(1);
  static constexpr std::uint64_t kKeepOneIn = 1'000;
  static constexpr std::uint64_t kBurstLeast = 16 * 1024;

  Quota(const Limits& limits, std::optional<KeptMonth> kept, Now now);
  /// Of `limits` bandwidth, bandwidth_burst and month.
  void set(const Limits& limits, TimePoint now);

  // For each piece that is passed on.
  bool on() const { return on_.load(std::memory_order_relaxed); }
  /// It came in, and has left.
  void count(std::uint64_t bytes) { used_.fetch_add(2 * bytes, std::memory_order_relaxed); }
  sync::SharedRate& rate() { return rate_; }

  std::uint64_t per_second() const { return per_second_.load(std::memory_order_relaxed); }
  std::uint64_t burst() const { return burst_.load(std::memory_order_relaxed); }
  QuotaStage stage() const {
    return stage_of(used_.load(std::memory_order_relaxed), month_.load(std::memory_order_relaxed));
  }
  /// Nothing if nothing is set.
  std::optional<QuotaStatus> status(TimePoint now) const;

  /// Another month, perhaps: see MonthClock.
  void tick(Now now, std::optional<std::int64_t> off);
  /// What is to be written now, if anything is; `all`: whatever has changed. Then kept(), if it was
  /// written.
  std::optional<KeptMonth> to_keep(bool all, TimePoint now) const;
  void kept(const KeptMonth& what, TimePoint now);

 private:
  sync::SharedRate rate_;
  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> per_second_{0}, burst_{0}, month_{0};
  alignas(64) std::atomic<std::uint64_t> used_;
  mutable std::mutex mutex_;  // of what follows
  MonthClock clock_;
  std::uint64_t kept_used_ = 0;
  std::optional<TimePoint> kept_at_;
};

}  // namespace qudag::circuit
