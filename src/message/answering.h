// Whether the other end of a circuit still answers, as its source sees it.
//
//   quiet --sent--> unanswered --ask_at--> asked (PING) --silent_at--> silent: it has ended for us
//     ^_______________ anything that comes ___|
//
// A link that dies is noticed by its neighbours after a second and a half, and only then does the
// source hear of it. The end that is asked answers at once, whatever its application does, so
// nothing at all for several round trips says the same sooner. Pure: its owner asks, and ends it.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace qudag::message {

class Answering {
 public:
  static constexpr Duration kAskAfter = std::chrono::milliseconds(200);
  static constexpr Duration kSilentAfter = std::chrono::milliseconds(600);
  /// Who looks later than that was late itself: what came may lie unread.
  static constexpr Duration kLate = std::chrono::milliseconds(250);
  /// A build takes longer than a round trip: links are dialed for it.
  static constexpr Duration kRoundTripFirst = std::chrono::seconds(2);

  /// A payload left. True if it is the first since anything came: deadline() is a new one.
  bool sent(TimePoint now) {
    if (unanswered_ != kNever) return false;
    unanswered_ = now;
    return true;
  }
  void heard() { unanswered_ = kNever; }
  /// It could not be asked: it is looked at later.
  void put_off(TimePoint now) { unanswered_ = now; }

  void built(Duration took) { round_trip_ = std::min(took, kRoundTripFirst); }
  /// A PING is under way; one at a time.
  void asked(TimePoint now) { asked_ = now; }
  bool is_asked() const { return asked_ != kNever; }
  void answered(TimePoint now) {
    if (asked_ != kNever) round_trip_ = now - std::exchange(asked_, kNever);
  }
  /// The last one measured, or about as much; 0: not known.
  Duration round_trip() const { return round_trip_; }

  enum class Due : std::uint8_t { nothing, ask, silent };
  /// `silent`: how many circuits before this one were, in a row; each makes it wait twice as long.
  Due due(TimePoint now, unsigned silent) {
    if (now < deadline(silent)) return Due::nothing;
    if (!is_asked()) return Due::ask;
    if (now - deadline(silent) < kLate) return Due::silent;
    unanswered_ = now;
    return Due::nothing;
  }
  TimePoint deadline(unsigned silent) const {
    if (unanswered_ == kNever) return kNever;
    const Duration ask_after = std::max(kAskAfter, round_trip_ * 5 / 4);
    if (!is_asked()) return unanswered_ + ask_after;
    const Duration most = std::max(kSilentAfter, round_trip_ * 3) * (1L << std::min(silent, 3u));
    return std::max(unanswered_ + most, asked_ + most - ask_after);
  }

 private:
  TimePoint unanswered_ = kNever;  // when what left first since anything came
  TimePoint asked_ = kNever;
  Duration round_trip_{};
};

}  // namespace qudag::message
