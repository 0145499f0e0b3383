// Times that a relay shows only where many circuits gave them: what one circuit did can then not be
// read off the metrics of a relay that hardly anybody uses (docs/threat-model.md).
//
// A record waits until so many different ones have given one since the last that were shown. Who
// gave one keeps a mark of three bits; a mark that is seven rounds old may pass for a new one's,
// and then that one is not counted: never too few are taken for many.
//
// Threads: one owner.
#pragma once

#include "base/time_histogram.h"

#include <cstdint>
#include <utility>

namespace qudag {

class CrowdTimes {
 public:
  static constexpr unsigned kMarkBits = 3;

  /// `least`: so many must have given one; 1: all is shown at once.
  explicit CrowdTimes(std::size_t least) : least_(least) {}

  /// `mark`: of who gave it, 0 at first; its new one.
  [[nodiscard]] std::uint8_t record(Duration time, std::uint8_t mark) {
    waiting_.record(time);
    const std::uint8_t now = round_;
    if (mark != now && ++given_ >= least_) show();
    return now;
  }
  /// Of a look at all of them at once, each of which `given` have a part in.
  void record_all(const TimeHistogram& times, std::size_t given) {
    if (given >= least_) shown_.merge(times);
  }
  const TimeHistogram& shown() const { return shown_; }

 private:
  void show() {
    shown_.merge(std::exchange(waiting_, {}));
    given_ = 0;
    round_ = static_cast<std::uint8_t>(round_ + 1u < (1u << kMarkBits) ? round_ + 1u : 1u);
  }

  const std::size_t least_;
  std::size_t given_ = 0;
  std::uint8_t round_ = 1;
  TimeHistogram waiting_, shown_;
};

}  // namespace qudag
