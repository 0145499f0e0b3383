// Everything in this module that ends by time, on one timing wheel: set and cleared in O(1), which
// is nearly always all that happens, because an acknowledgement is faster; expiry costs what
// expires.
#pragma once

#include "base/time.h"
#include "sync/wheel.h"

#include <cstddef>
#include <cstdint>

namespace qudag::message {

enum class TimedKind : std::uint8_t { envelope, assembly, flow, owed, left, pipe };

/// Base of a record with a deadline.
struct Timed : sync::Timer {
  explicit Timed(TimedKind k) : kind(k) {}

  TimePoint deadline = kNever;
  TimedKind kind;

  bool timed() const { return is_set(); }
};

class MessageDeadlines {
 public:
  /// Late by less than that, never early.
  static constexpr Duration kResolution = std::chrono::milliseconds(1);

  /// Adds the record or moves it.
  void set(Timed& record, TimePoint deadline) {
    record.deadline = deadline;
    wheel_.set(record, deadline);
  }
  /// Nothing if it has none.
  void clear(Timed& record) { wheel_.clear(record); }
  /// When to call expire().
  TimePoint next() const { return wheel_.next_deadline(); }
  /// f(record) for what is due; it has no deadline then.
  template <class F>
  void expire(TimePoint now, F&& f) {
    wheel_.expire(now, [&f](sync::Timer& timer) { f(static_cast<Timed&>(timer)); });
  }
  std::size_t size() const { return wheel_.size(); }

 private:
  sync::Wheel wheel_{kResolution};
};

}  // namespace qudag::message
