// Everything in this room that ends by time, in one heap: exact deadlines, and removal at once when
// an acknowledgement is faster, which is nearly always.
//
// A 4-ary heap that each record knows its place in. Insertion of rising deadlines, the usual case,
// is O(1); the rest is O(log4 n), eight steps for 65,536 messages, all in one array.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qudag::message {

enum class TimedKind : std::uint8_t { envelope, assembly, flow };

/// Base of a record with a deadline.
struct Timed {
  explicit Timed(TimedKind k) : kind(k) {}
  static constexpr std::size_t kNotTimed = SIZE_MAX;

  TimePoint deadline = kNever;
  std::size_t heap_place = kNotTimed;
  TimedKind kind;

  bool timed() const { return heap_place != kNotTimed; }
};

class Deadlines {
 public:
  /// Adds the record or moves it.
  void set(Timed& record, TimePoint deadline);
  /// Nothing if it has none.
  void clear(Timed& record);
  TimePoint next() const { return heap_.empty() ? kNever : heap_.front().at; }
  /// Removes and returns a record that is due; null if there is none.
  Timed* take_due(TimePoint now);
  std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint at;
    Timed* record;
  };

  void put(std::size_t place, Entry entry);
  void sift_up(std::size_t place, Entry entry);
  void sift_down(std::size_t place, Entry entry);

  std::vector<Entry> heap_;
};

}  // namespace qudag::message
