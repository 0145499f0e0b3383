// One direction of a pipe, at the end that receives: bytes from frames until the program is done
// with them, and the window of the peer.
//
//   0 .. taken .. given .. received .. limit     given: handed to the program
//                            |- told -|          at: where the next frame begins
//
// taken <= given <= received <= limit. On another circuit `at` may be less than `received`: what
// comes twice is dropped. Every byte of `limit` is reserved before it is told: by the owner, who
// is asked for it (limit_wanted) and says what it got (raise).
#pragma once

#include "base/assert.h"
#include "base/time.h"
#include "wire/pipe_frames.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace qudag::message {

/// Of every pipe, before anything is known of its path: what may come before the answer, too.
inline constexpr std::uint64_t kPipeWindowFirst = kPipeFirstBytesMax;
inline constexpr std::uint64_t kPipeWindowMax = std::uint64_t{4} << 20;
/// Something was taken so long ago, and the peer does not know.
inline constexpr Duration kPipeTellAfter = std::chrono::milliseconds(333);
static_assert(kPipeWindowMax <= wire::kPipeAheadMax);

class Incoming {
 public:
  explicit Incoming(std::uint64_t limit = 0) : limit_(limit) {}

  // ---- Frames. Nothing: the peer broke the protocol. ----
  /// How many of so many bytes are new: the last ones.
  [[nodiscard]] std::optional<std::size_t> on_bytes(std::size_t n) {
    if (end_here_ || n > limit_ - at_) return std::nullopt;
    at_ += n;
    const std::uint64_t fresh = at_ > received_ ? at_ - received_ : 0;
    if (fresh > 0 && end_) return std::nullopt;  // it said that there were no more
    received_ += fresh;
    if (at_ >= taken_ && told_ < taken_ && untold_since_ == kNever) untold_since_ = TimePoint{};
    return static_cast<std::size_t>(fresh);
  }
  [[nodiscard]] bool on_end(std::uint64_t sent) {
    if (end_here_ || sent != at_ || at_ != received_ || (end_ && *end_ != sent)) return false;
    end_here_ = true;
    end_ = sent;
    if (taken_ == sent) untold_since_ = TimePoint{};
    return true;
  }
  /// On another circuit: what comes there begins at the beginning, or at received_count().
  void begin_again() {
    at_ = told_ = 0;
    end_here_ = false;
  }
  void go_on() {
    at_ = received_;
    end_here_ = end_.has_value();
  }

  // ---- The program ----
  void give(std::size_t n) {
    given_ += n;
    QUDAG_DCHECK(given_ <= received_);
  }
  /// More than was given counts as all.
  void take(std::uint64_t n, TimePoint now) {
    const std::uint64_t before = taken_;
    taken_ += std::min(n, given_ - taken_);
    if (taken_ > before && untold_since_ == kNever) untold_since_ = now;
  }

  // ---- The window ----
  /// So much more than `limit` should be told; 0: not yet. A quarter of the window at a time.
  std::uint64_t limit_wanted() const {
    if (end_) return 0;
    const std::uint64_t wanted = taken_ + window_;
    return wanted > limit_ && wanted - limit_ >= window_ / 4 ? wanted - limit_ : 0;
  }
  /// That much is reserved; LIMIT is to be said.
  void raise(std::uint64_t more) {
    limit_ += more;
    QUDAG_DCHECK(limit_ - taken_ <= wire::kPipeAheadMax);
  }
  void widen(std::uint64_t window) { window_ = std::min(window, kPipeWindowMax); }
  /// When `taken` is to be told, limit or not. At once what the peer only waits for to end.
  TimePoint tell_at() const {
    if (untold_since_ == kNever) return kNever;
    if (end_ && taken_ == *end_) return TimePoint{};
    return untold_since_ + kPipeTellAfter;
  }
  void told() {
    untold_since_ = kNever;
    told_ = taken_count();
  }

  std::uint64_t received() const { return received_; }
  std::uint64_t given() const { return given_; }
  std::uint64_t taken() const { return taken_; }
  /// END is one more, when it came and when it was taken.
  std::uint64_t received_count() const { return received_ + (end_ ? 1 : 0); }
  /// Of what was said on this circuit: a peer that begins again has not yet said what we took.
  std::uint64_t taken_count() const {
    if (taken_ > at_) return at_;
    return taken_ + (end_here_ && taken_ == *end_ ? 1 : 0);
  }
  std::uint64_t limit() const { return limit_; }
  std::uint64_t limit_count() const { return std::max(limit_, received_count()); }
  std::uint64_t at() const { return at_; }
  std::uint64_t window() const { return window_; }
  std::optional<std::uint64_t> end() const { return end_; }
  /// All of it came, was taken, and that was told.
  bool done() const { return end_ && told_ == *end_ + 1; }

 private:
  std::uint64_t received_ = 0, at_ = 0, given_ = 0, taken_ = 0, told_ = 0;
  std::uint64_t limit_;
  std::uint64_t window_ = kPipeWindowFirst;
  std::optional<std::uint64_t> end_;
  bool end_here_ = false;  // said on this circuit
  TimePoint untold_since_ = kNever;
};

}  // namespace qudag::message
