// Is a loss a full queue, or chance?
//
// CUBIC gives a third of its rate away for each loss, which is right where a loss means that a
// queue was full. Radio and long cables lose packets whatever is sent: with one in a hundred lost,
// CUBIC keeps a twentieth of 100 Mbit/s at a round trip of 50 ms. A queue that is about to overflow
// shows before: packets wait in it. So a loss is taken for chance, and CUBIC does not hear of it,
// when
//   1. the path is paced (PathState), so that its round trip is the path's and not the scheduler's;
//   2. the shortest round trip of the last one was no longer than that of the empty path, give or
//      take what HyStart++ (RFC 9406) takes for a queue: an eighth, 4 to 16 ms;
//   3. not more than a twentieth of the last packets was lost: a queue too short to show, or a
//      policer, loses more and more as the rate grows (BBR draws this line at 2 %).
// CUBIC takes seconds to come back from a queue that was full. On a path that loses by chance,
// while no queue shows for some rounds and the window is full, it grows by an eighth in each.
//
// Marks (ECN) and losses of everything for a while are never asked about. But for the first packets
// of a link, what is unclear counts as a full queue: then the link is as fair, and as slow, as
// plain CUBIC.
//
// Pure: time is an argument. Threads: one owner. Limits: constant memory.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <cstdint>

namespace qudag::link {

class LossJudge {
 public:
  /// What is known when something came in; counts are since the beginning of the link.
  struct Sample {
    Duration latest{};    // round trip; the same value as before: no new one
    Duration shortest{};  // of the empty path
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_lost = 0;
  };
  void note(const Sample& sample, TimePoint now);

  /// Of a loss at the time of the last sample.
  bool is_chance() const { return !queue_shows() && !loses_much(); }
  void forgave(TimePoint now) { forgave_at_ = now; }
  /// By how much a window of so many bytes, which was full, may be larger now, once a round.
  std::uint64_t growth(std::uint64_t window, TimePoint now);

 private:
  static constexpr std::uint64_t kSpanPackets = 512;  // 2 % are 10 of them, and 26 are too many
  static constexpr std::uint64_t kLostAlways = 8;     // few packets say little about a rate
  static constexpr std::uint64_t kLostOneIn = 20;
  static constexpr int kQuietRounds = 4;
  static constexpr Duration kForgaveLately = std::chrono::seconds(10);

  bool queue_shows() const;
  bool loses_much() const;

  Duration latest_{};
  Duration shortest_{};
  // The shortest of this round and of the one before it.
  Duration round_ = Duration::max();
  Duration round_before_ = Duration::max();
  TimePoint round_ends_{};
  int rounds_quiet_ = 0;                   // without a queue, to this one
  bool grew_ = false;                      // in this round
  TimePoint forgave_at_{-kForgaveLately};  // never
  // Of this span of packets and the one before it.
  std::uint64_t sent_ = 0, lost_ = 0;
  std::uint64_t sent_from_ = 0, lost_from_ = 0;
  std::uint64_t sent_from_before_ = 0, lost_from_before_ = 0;
};

inline void LossJudge::note(const Sample& sample, TimePoint now) {
  shortest_ = sample.shortest;
  if (sample.latest != latest_) {
    latest_ = sample.latest;
    if (now >= round_ends_) {
      rounds_quiet_ = queue_shows() ? 0 : rounds_quiet_ + 1;
      grew_ = false;
      round_before_ = now >= round_ends_ + latest_ ? Duration::max() : round_;
      round_ = Duration::max();
      round_ends_ = now + latest_;
    }
    round_ = std::min(round_, latest_);
  }
  sent_ = sample.packets_sent;
  lost_ = sample.packets_lost;
  if (sent_ - sent_from_ < kSpanPackets) return;
  sent_from_before_ = sent_from_;
  lost_from_before_ = lost_from_;
  sent_from_ = sent_;
  lost_from_ = lost_;
}

inline std::uint64_t LossJudge::growth(std::uint64_t window, TimePoint now) {
  if (grew_ || rounds_quiet_ < kQuietRounds || now - forgave_at_ > kForgaveLately) return 0;
  grew_ = true;
  return window / 8;
}

inline bool LossJudge::queue_shows() const {
  using std::chrono::milliseconds;
  const Duration slack = std::clamp<Duration>(shortest_ / 8, milliseconds(4), milliseconds(16));
  const Duration shortest_lately = std::min(round_, round_before_);
  return shortest_lately != Duration::max() && shortest_lately > shortest_ + slack;
}

inline bool LossJudge::loses_much() const {
  const std::uint64_t lost = lost_ - lost_from_before_;
  return lost > kLostAlways && lost - kLostAlways > (sent_ - sent_from_before_) / kLostOneIn;
}

}  // namespace qudag::link
