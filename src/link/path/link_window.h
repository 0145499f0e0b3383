// How much of a link's window is given back, and when: at once, or as fast as a bound on what the
// link may receive allows (EndpointOptions::link_bytes_per_second); and how large the window is:
// LinkReach, by the rules of window.h. Pure: time is an argument.
#pragma once

#include "base/time.h"
#include "link/path/state.h"
#include "link/path/window.h"
#include "sync/token_bucket.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace qudag::link {

/// What a link's window follows, besides what is consumed.
struct ReachTerms {
  std::size_t usual_kib = 0;  // memory's
  WindowSum& grown;           // of all links of the endpoint
  const PathState& path;
  TimePoint now;
};

/// The size of a link's window. All that its streams bring in a round trip is its need.
class LinkReach {
 public:
  explicit LinkReach(std::size_t first_bytes) : bytes_(first_bytes), first_(first_bytes) {}

  /// What a hole in one stream held back came at once.
  void note_held(std::size_t bytes) { held_back_ = std::max(held_back_, bytes); }
  /// Bytes that the peer may send more, when so many were consumed. Short of memory it shrinks, and
  /// comes back, at the pace of what the peer sends; for a long path it grows at once.
  std::uint64_t grant(std::uint64_t consumed, const ReachTerms& terms) {
    const std::uint64_t usual = std::max(terms.usual_kib, terms.grown.least()) * 1024;
    const std::uint64_t wanted = wanted_bytes(usual / 1024, consumed, terms);
    std::uint64_t next = bytes_;
    if (wanted < bytes_) {
      next -= std::min(consumed, bytes_ - wanted);
    } else if (wanted <= usual) {
      next += std::min(consumed, wanted - bytes_);
    } else {
      next += std::min<std::uint64_t>(terms.grown.left() * 1024, wanted - bytes_);
    }
    const std::uint64_t given = consumed + next - bytes_;
    terms.grown.change(kib(), next / 1024);
    bytes_ = next;
    return given;
  }
  /// The link ends.
  void leave(WindowSum& grown) {
    grown.remove(kib());
    bytes_ = first_;
  }
  std::size_t kib() const { return static_cast<std::size_t>(bytes_ / 1024); }

 private:
  std::uint64_t wanted_bytes(std::uint64_t usual, std::uint64_t consumed, const ReachTerms& terms) {
    if (!terms.path.paced() || !terms.grown.may_grow(usual)) return usual * 1024;
    round_bytes_ += consumed;
    const Duration took = terms.now - round_at_;
    if (took < terms.path.round_trip()) return std::max(usual * 1024, std::min(bytes_, goal_));
    round_at_ = terms.now;
    const WindowRound round{.bytes = std::exchange(round_bytes_, 0),
                            .took = took,
                            .round_trip = terms.path.shortest_trip(),
                            .held_back = std::exchange(held_back_, held_back_ * 3 / 4)};
    wanted_ = smoothed(wanted_, wanted_in(round, kLinkWindowKibMax), round.held_back > kHeldUnit);
    goal_ = std::uint64_t{1024} * next_window(kib(), usual, wanted_, kLinkWindowKibMax);
    return goal_;
  }

  std::uint64_t bytes_;
  std::uint64_t first_;
  std::uint64_t goal_ = 0;  // of the last round
  std::size_t wanted_ = 0;  // KiB
  std::size_t held_back_ = 0;
  std::uint64_t round_bytes_ = 0;
  TimePoint round_at_{};
};

class LinkWindow {
 public:
  /// 0: no bound.
  LinkWindow(std::uint64_t bytes_per_second, TimePoint now) : per_second_(bytes_per_second) {
    if (bytes_per_second != 0) rate_.emplace(bytes_per_second, bytes_per_second, now);
  }

  /// Otherwise nothing is owed: what was consumed is given at once.
  bool bounded() const { return rate_.has_value(); }
  void owe(std::uint64_t bytes) { owed_ += bytes; }
  /// As much of what is owed as the rate allows; the rest when it allows more, at due().
  std::uint64_t pay(TimePoint now) {
    constexpr std::uint64_t kPieceBytes = 64 * 1024;
    std::uint64_t bytes = std::min(owed_, rate_->available(now));
    if (!rate_->take(bytes, now)) bytes = 0;
    owed_ -= bytes;
    const std::uint64_t next = std::min({owed_, kPieceBytes, per_second_});
    due_ = next == 0 ? kNever : rate_->ready_at(next, now);
    return bytes;
  }
  TimePoint due() const { return due_; }

 private:
  const std::uint64_t per_second_;
  std::optional<sync::TokenBucket> rate_;
  std::uint64_t owed_ = 0;
  TimePoint due_ = kNever;
};

}  // namespace qudag::link
