// How much a stream's peer may send ahead of what is consumed.
//
// The usual window suits short paths and busy nodes: memory decides it
// (Endpoint::set_stream_window). On a long path it would be the bound of one circuit: a window goes
// in each round trip, 512 KiB in 100 ms is 41 Mbit/s. So the window follows what is consumed, twice
// what a round trip brings, as TCP receivers do (Fisk and Feng, "Dynamic right-sizing in TCP",
// 2001). Who consumes slowly gets nothing.
//   1. A round ends when a round trip has passed: what did it bring?
//   2. That is smoothed: behind a hole nothing is consumed, then all at once.
//   3. The window grows to twice of it, or goes back when a quarter would do.
//   4. Behind a packet that was lost nothing is consumed until it comes again, a round trip or two
//      later, and what came meanwhile lies in the window; then it comes at once, and lies in a
//      relay until it has left again. So twice that much is added, or each loss would stop the
//      sender.
// A link's window follows by the same rules (LinkReach, link_window.h), for all of its streams.
// It is the path's own round trip that counts, without queues: however deep they are, a grown
// window puts no more than another round trip into them. Pure. The sum of what is granted beyond
// the first size is bounded: WindowSum.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace qudag::link {

/// Of one stream: 335 Mbit/s at 200 ms.
inline constexpr std::size_t kWindowKibMax = 8 * 1024;

/// Of one link: 2.7 Gbit/s at 200 ms.
inline constexpr std::size_t kLinkWindowKibMax = 64 * 1024;

/// What came at once because a hole was filled is remembered in these units: in six bits, up to the
/// largest window. A packet is less than one.
inline constexpr std::size_t kHeldUnit = 128 * 1024;
inline constexpr std::size_t kHeldMost = 63;
static_assert(kHeldUnit * (kHeldMost + 1) == kWindowKibMax * 1024);

/// What a stream consumed since its last round ended.
struct WindowRound {
  std::uint64_t bytes = 0;
  Duration took{};
  Duration round_trip{};      // of the path, without queues; not longer than `took`
  std::size_t held_back = 0;  // the most that came at once when a hole was filled
};

/// The window that it would fill half of, with room for what holes hold back, in KiB.
inline std::size_t wanted_in(const WindowRound& round, std::size_t kib_max = kWindowKibMax) {
  const double trips = static_cast<double>(round.took.count()) /
                       static_cast<double>(std::max<Duration::rep>(1, round.round_trip.count()));
  const double wanted = 2 * static_cast<double>(round.bytes) / 1024 / trips +
                        2 * static_cast<double>(round.held_back) / 1024;
  return static_cast<std::size_t>(std::min(wanted, 2.0 * static_cast<double>(kib_max)));
}

/// A round brings at once what a loss held back in the one before, so none counts alone. Where
/// nothing was held back the rate grows as it seems: a window that follows late is the bound of who
/// begins on a long path.
inline std::size_t smoothed(std::size_t before, std::size_t now, bool held_back) {
  return now > before && !held_back ? (before + now) / 2 : (3 * before + now) / 4;
}

/// `wanted`: smoothed. All in KiB.
inline std::size_t next_window(std::size_t window, std::size_t usual, std::size_t wanted,
                               std::size_t kib_max = kWindowKibMax) {
  if (wanted > window) return std::max(usual, std::min({wanted, 2 * window, kib_max}));
  if (wanted < window / 4) return std::max(usual, 2 * wanted);
  return std::max(usual, window);
}

/// What all streams, or all links, of an endpoint were granted beyond their first size, in KiB.
class WindowSum {
 public:
  WindowSum(std::size_t first_kib, std::size_t kib_max) : first_(first_kib), max_(kib_max) {}

  void set_max(std::size_t kib) { max_ = kib; }
  void change(std::size_t from, std::size_t to) { used_ += beyond(to) - beyond(from); }
  void remove(std::size_t window) { used_ -= beyond(window); }
  std::size_t used() const { return used_; }
  std::size_t left() const { return max_ - std::min(max_, used_); }
  /// Not if there is less memory than when they were granted, or than for the first size.
  bool may_grow(std::size_t usual) const { return used_ <= max_ && usual >= first_; }
  /// However short memory is: below it ngtcp2 would not tell the peer of what was consumed. It
  /// waits for a quarter of the first window to tell, so with no more than that both sides wait for
  /// ever.
  std::size_t least() const { return first_ / 2; }

 private:
  std::size_t beyond(std::size_t window) const { return window - std::min(window, first_); }

  const std::size_t first_;
  std::size_t max_;
  std::size_t used_ = 0;
};

}  // namespace qudag::link
