// How fast a peer's control frames are read: so many in a second and so many at once. Each is work,
// however small it is, so what counts is their number. Above it the window of the control stream
// stays closed: the peer waits, nothing is lost. Pure: time is an argument.
#pragma once

#include "base/time.h"
#include "sync/token_bucket.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace qudag::link {

class ControlPace {
 public:
  /// At once what a network of 10,000 nodes knows, and some of its peers' questions.
  static constexpr std::uint64_t kFramesPerSecond = 4'000;
  static constexpr std::uint64_t kFramesAtOnce = 16'000;

  explicit ControlPace(TimePoint now) : rate_(kFramesPerSecond, kFramesAtOnce, now) {}

  /// Of what came: so many bytes, with so many frames.
  void note(std::size_t bytes, std::size_t frames) {
    bytes_ += bytes;
    frames_ += frames;
  }
  /// The window that may be given back now; the rest at due().
  std::size_t pay(TimePoint now) {
    const std::uint64_t paid = std::min(frames_, rate_.available(now));
    if (rate_.take(paid, now)) frames_ -= paid;
    due_ = frames_ == 0 ? kNever : rate_.ready_at(std::min(frames_, kFramesAtOnce), now);
    return frames_ == 0 ? std::exchange(bytes_, 0) : 0;
  }
  TimePoint due() const { return due_; }

 private:
  sync::TokenBucket rate_;
  std::size_t bytes_ = 0;     // not given back
  std::uint64_t frames_ = 0;  // above the rate
  TimePoint due_ = kNever;
};

}  // namespace qudag::link
