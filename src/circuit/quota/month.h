// Which month it is for the quota, and how far the month's bytes are used up. Pure.
//
// The wall clock is input from outside: it may be set forward, for a fresh quota, or back, or years
// away by a machine that has lost its battery. So the account has a clock of its own. It goes on as
// the monotonic clock does, over restarts from where it was last kept, and it is set only
//   1. when the wall clock and the clocks of peers (three networks at least) both say that it is
//      later: to the earlier of the two; or both that it is an hour earlier: to the later of the
//      two;
//   2. once in a run, ten minutes after the start, to a wall clock that is later, if too few peers
//      have said what time it is by then: what a node without peers goes by.
// When that clock enters another month, the bytes begin anew; when it is set back they stay as they
// are. So neither clock alone gives a quota twice, and a clock that was once years ahead locks a
// relay for what is left of a month, not for the years.
#pragma once

#include "base/bytes.h"
#include "base/time.h"

#include <qudag/error.h>
#include <qudag/metrics.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace qudag::circuit {

/// What is kept over a restart.
struct KeptMonth {
  static constexpr std::size_t kBytes = 16;
  static constexpr std::uint64_t kUsedMost = std::uint64_t{1} << 60;

  UnixSeconds clock = 0;  // the account's
  std::uint64_t used = 0;

  std::array<std::byte, kBytes> encode() const;
  /// malformed: another length, a time after the year 4999, or more than kUsedMost.
  static Result<KeptMonth> parse(Bytes body);
};

class MonthClock {
 public:
  static constexpr Duration kPatience = std::chrono::minutes(10);
  static constexpr std::uint64_t kBackSeconds = 3'600;

  /// Without `kept` it begins with the wall clock.
  MonthClock(std::optional<UnixSeconds> kept, Now now);

  /// True: another month has begun. `off`: how far the wall clock is ahead of the peers'.
  bool tick(Now now, std::optional<std::int64_t> off);
  UnixSeconds at(TimePoint mono) const;
  std::chrono::seconds until_turn(TimePoint mono) const;

 private:
  void set(UnixSeconds to, TimePoint mono);

  TimePoint began_, set_at_;
  UnixSeconds set_to_;
  int month_;  // since the year 0
  bool judged_ = false;
};

/// 0: no bound.
QuotaStage stage_of(std::uint64_t used, std::uint64_t month);

}  // namespace qudag::circuit
