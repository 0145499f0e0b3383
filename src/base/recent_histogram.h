// A histogram of everything, and of the last one to two minutes: the first is what metrics add up,
// the second is what a person who looks now wants to know.
//
// Threads: none of its own. 46 KB.
#pragma once

#include "base/histogram.h"
#include "base/time.h"

#include <array>

namespace qudag {

class RecentHistogram {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(60);

  void record(std::uint64_t value, TimePoint now) {
    turn(now);
    current_.record(value);
  }
  Histogram all() const {
    Histogram out = ended_;
    out.merge(current_);
    return out;
  }
  /// What was recorded in the last one to two windows.
  Histogram recent(TimePoint now) const {
    if (now - begun_ >= 2 * kWindow) return {};
    Histogram out = current_;
    if (now - begun_ < kWindow) out.merge(before_);
    return out;
  }

 private:
  void turn(TimePoint now) {
    if (now - begun_ < kWindow) return;
    ended_.merge(current_);
    before_ = now - begun_ < 2 * kWindow ? current_ : Histogram();
    current_.clear();
    begun_ = now;
  }

  Histogram ended_;  // of all windows but the current one
  Histogram before_, current_;
  TimePoint begun_{};  // of the current window
};

}  // namespace qudag
