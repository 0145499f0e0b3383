// How loaded a node says it is: samples in, a number from 0 (idle) to 65535 (full) out.
//
//   1. the load of a sample is the fullest of what it names, so that whatever runs short counts;
//   2. it is smoothed over about four seconds;
//   3. it is rounded to sixteenths, and a step is left only when the smoothed value is three
//      quarters of a step away from it: at the edge of a step nothing flaps.
//
// Peers hear it (LOAD, docs/reference/protocol.md, 4.1). What is finer or faster would tell them
// who is active here and when; what it tells is in docs/threat-model.md. Pure: the caller measures.
// One per shard; its owner's thread.
#pragma once

#include "base/time.h"

#include <chrono>
#include <cstdint>

namespace qudag::overload {

/// Shares, 0 to 1; what is outside counts as the nearer end, what is not a number as 1.
struct LoadSample {
  double busy = 0;         // of the time, since the last sample
  double circuits = 0;     // of those that may be held
  double memory = 0;       // of the bound; the first half costs nobody anything and counts as none
  double queue_delay = 0;  // pressures, as the overload manager sees them
  double loop_lag = 0;
  double descriptors = 0;  // the same as memory
  double quota = 0;        // of the rate that is given to others, since the last sample
};

double load_of(const LoadSample& sample);

class LoadMeter {
 public:
  static constexpr unsigned kSteps = 16;
  static constexpr Duration kSmoothedOver = std::chrono::seconds(4);

  void add(const LoadSample& sample, TimePoint now);
  /// A multiple of a sixteenth of 65536, or 65535.
  std::uint16_t load() const;
  double smoothed() const { return smoothed_; }

 private:
  double smoothed_ = 0;
  unsigned step_ = 0;
  TimePoint last_{};
};

}  // namespace qudag::overload
