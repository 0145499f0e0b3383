// How large the system's buffers of a socket are: what is needed, and not what may be. Pure.
//
//   in   what lies there when a shard comes to read is its need: the rate times the time that the
//        shard was away. The buffer is four times the most of it, and twice as large as it was when
//        something was lost.
//   out  fills where the machine's own line is the slowest. Then everything waits in it, whatever
//        its priority, so it holds what leaves in a tenth of a second.
//
// A minute without need halves it, down to its first size; memory that is short, down to the least.
#pragma once

#include <algorithm>
#include <cstdint>

namespace qudag::runtime {

struct BufferRules {
  std::uint64_t least = 512 * 1024;
  std::uint64_t first = 4 * 1024 * 1024;
  std::uint64_t most = 8 * 1024 * 1024;  // what the system gives
};

class BufferSize {
 public:
  static constexpr unsigned kLooksUntilLess = 12;  // five seconds each

  explicit BufferSize(const BufferRules& rules)
      : rules_(rules), bytes_(std::clamp(rules.first, least(), rules.most)) {}

  std::uint64_t bytes() const { return bytes_; }
  /// So much lay there at once. True: the buffer is to be larger, now.
  bool stood(std::uint64_t bytes) {
    most_stood_ = std::max(most_stood_, bytes);
    return grow_to(4 * bytes);
  }
  /// Once in a while. `lost`: something, since the last time.
  void look_in(bool lost, bool tight) {
    if (tight) return halve(least());
    if (lost) {
      static_cast<void>(grow_to(2 * bytes_));
    } else if (8 * most_stood_ >= bytes_) {
      calm_ = 0;
    } else if (++calm_ >= kLooksUntilLess) {
      halve(first());
    }
    if (calm_ == 0) most_stood_ = 0;
  }
  /// `full`: the socket had no room since the last time. `per_second`: what left.
  void look_out(bool full, std::uint64_t per_second, bool tight) {
    if (tight) return halve(least());
    if (full) {
      bytes_ = std::clamp(per_second / 10, least(), rules_.most);
      calm_ = 0;
    } else if (bytes_ != first() && ++calm_ >= kLooksUntilLess) {
      bytes_ = bytes_ > first() ? std::max(first(), bytes_ / 2) : std::min(first(), bytes_ * 2);
      calm_ = 0;
    }
  }

 private:
  std::uint64_t least() const { return std::min(rules_.least, rules_.most); }
  std::uint64_t first() const { return std::clamp(rules_.first, least(), rules_.most); }
  bool grow_to(std::uint64_t wanted) {
    if (wanted <= bytes_ || bytes_ >= rules_.most) return false;
    bytes_ = std::min(rules_.most, std::max(wanted, 2 * bytes_));
    calm_ = 0;
    return true;
  }
  void halve(std::uint64_t to) {
    bytes_ = std::max(to, bytes_ / 2);
    most_stood_ = 0;
    calm_ = 0;
  }

  const BufferRules rules_;
  std::uint64_t bytes_;
  std::uint64_t most_stood_ = 0;  // since it was looked at and calm
  unsigned calm_ = 0;
};

}  // namespace qudag::runtime
