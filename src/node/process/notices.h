// What a running node says of itself by the way: limits that refused something, guards that are
// gone, and every six hours that it lives. Looks at totals once a minute; what it says of refusals
// it says at once for the first, then once an hour, with the counts since.
//
// Pure: totals go in, lines come out. Threads: one at a time.
#pragma once

#include "base/log.h"
#include "base/time.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::node {

/// What limits refused since the start, by reason. Names are of the metrics.
struct Refusals {
  std::string_view what;  // "links"
  std::vector<std::pair<std::string_view, std::uint64_t>> by_reason;
};

struct Totals {
  std::size_t links = 0, circuits = 0, nodes = 0, relays = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0, bytes_relayed = 0;
  std::uint64_t memory_used = 0, memory_limit = 0;
  std::size_t guards = 0, guards_there = 0;
  std::vector<Refusals> refusals;  // the same rows each time
};

class Notices {
 public:
  static constexpr Duration kLookEvery = std::chrono::minutes(1);
  static constexpr Duration kSayEvery = std::chrono::hours(1);
  static constexpr Duration kHeartbeat = std::chrono::hours(6);
  /// Fewer are the noise of the internet, and not worth a person's time.
  static constexpr std::uint64_t kRefusedLeast = 10;

  Notices(Log& log, TimePoint started)
      : log_(log), started_(started), beat_at_(started + kHeartbeat) {}

  /// True once in kLookEvery.
  bool due(TimePoint now);
  void look(const Totals& totals, TimePoint now);

 private:
  struct Said {
    std::vector<std::uint64_t> counts;  // at the last line
    std::optional<TimePoint> at;        // of it
  };
  void look_at(const Refusals& refusals, Said& said, TimePoint now);

  Log& log_;
  const TimePoint started_;
  TimePoint beat_at_;
  TimePoint look_at_{};
  std::vector<Said> said_;  // by row
  bool guards_lost_ = false;
};

/// "3 d 4 h", "17 min": the two largest units.
std::string span_text(Duration span);
/// "3.4MiB": as limits are set.
std::string bytes_text(std::uint64_t bytes);

}  // namespace qudag::node
