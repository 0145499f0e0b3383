// How much may leave at once: a bucket that fills at a quarter more than a window in each round
// trip (RFC 9002, 7.7), from the window and the round trip of that moment.
//
// ngtcp2's own pacing lets the next packet wait for the last one, however long nothing was sent
// before: with the small window that a loss leaves behind, a message behind one packet of another
// circuit waits for most of a round trip. A bucket that has filled meanwhile lets both go.
// Pure: time is an argument. No limits: constant memory.
#pragma once

#include "base/limits.h"
#include "base/time.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace qudag::link {

/// What leaves at once on a paced path: a whole build message in its packets. A hop passes a build
/// on when it has all of it, so a last packet that waits for its turn costs most of a round trip at
/// every hop. One packet more than the initial window, which RFC 9002 (7.7) recommends as a burst.
inline constexpr std::size_t kBurst = 11 * limits::kPacketBytesPlain;
static_assert(kBurst > limits::kBuildMessageBytes);

class Pacer {
 public:
  /// What has come in since the last call, for a window of so many bytes in each `round_trip`.
  void fill(std::uint64_t window, Duration round_trip, TimePoint now);
  void spend(std::size_t bytes) { credit_ -= static_cast<std::int64_t>(bytes); }
  /// 0 while there is not enough for a packet.
  std::size_t available() const {
    constexpr auto kPacket = static_cast<std::int64_t>(limits::kPacketBytesPlain);
    return credit_ < kPacket ? 0 : static_cast<std::size_t>(credit_);
  }
  /// When half a bucket will be there: so a late timer costs no credit.
  TimePoint ready_at() const;

 private:
  static constexpr std::int64_t kAtOnceMax = 64 * 1024;  // the largest train

  std::int64_t per_second_ = 0;
  std::int64_t room_ = kBurst;
  std::int64_t credit_ = kBurst;  // below 0 after a packet larger than it
  TimePoint filled_at_{};
};

inline void Pacer::fill(std::uint64_t window, Duration round_trip, TimePoint now) {
  using std::chrono::microseconds;
  constexpr Duration kLongest = std::chrono::seconds(1);  // more fills any bucket
  const std::int64_t round = std::max<std::int64_t>(1, round_trip / microseconds(1));
  per_second_ =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(window) * 5 / 4 * 1'000'000 / round);
  // Twice what goes in a millisecond: a timer in each.
  room_ = std::max<std::int64_t>(kBurst, 2 * std::min(kAtOnceMax, per_second_ / 1'000));
  const std::int64_t passed = std::min(now - filled_at_, kLongest) / microseconds(1);
  if (passed == 0) return;
  filled_at_ = now;
  credit_ = std::min(room_, credit_ + std::max<std::int64_t>(1, per_second_ * passed / 1'000'000));
}

inline TimePoint Pacer::ready_at() const {
  const std::int64_t lacking = std::max<std::int64_t>(0, room_ / 2 - credit_);
  return filled_at_ + std::chrono::microseconds(lacking * 1'000'000 / per_second_ + 1);
}

}  // namespace qudag::link
