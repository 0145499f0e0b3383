// Whether the item at the front goes because the queue stands: CoDel, RFC 8289.
//
// A burst may wait; a queue in which even the least wait of an interval was above the target does
// not drain, and then items go at the front, the faster the longer that lasts. Pure: state, waiting
// time and time make the answer.
#pragma once

#include "base/time.h"

#include <cmath>
#include <cstdint>

namespace qudag::sync {

class CoDel {
 public:
  CoDel(Duration target, Duration interval) : target_(target), interval_(interval) {}

  /// Asked for the front item before it is served. `last`: nothing waits behind it.
  bool drops(Duration waited, bool last, TimePoint now) {
    const bool standing = stands(waited, last, now);
    if (dropping_) {
      if (!standing) dropping_ = false;
      if (!standing || now < drop_next_) return false;
      ++count_;
      drop_next_ = after(drop_next_);
      return true;
    }
    if (!standing) return false;
    dropping_ = true;
    // Soon after the last time: go on about where that rate had come to.
    const std::uint32_t since = count_ - count_before_;
    count_ = since > 1 && now - drop_next_ < 16 * interval_ ? since : 1;
    count_before_ = count_;
    drop_next_ = after(now);
    return true;
  }

 private:
  bool stands(Duration waited, bool last, TimePoint now) {
    if (waited < target_ || last) {
      above_since_ = kNever;
      return false;
    }
    if (above_since_ == kNever) above_since_ = now;
    return now - above_since_ >= interval_;
  }
  TimePoint after(TimePoint at) const {
    return at + Duration(static_cast<Duration::rep>(static_cast<double>(interval_.count()) /
                                                    std::sqrt(static_cast<double>(count_))));
  }

  Duration target_;
  Duration interval_;
  TimePoint above_since_ = kNever;
  TimePoint drop_next_{};
  std::uint32_t count_ = 0;  // dropped in this spell
  std::uint32_t count_before_ = 0;
  bool dropping_ = false;
};

}  // namespace qudag::sync
