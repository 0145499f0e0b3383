#include "message/deadlines.h"

#include <algorithm>

namespace qudag::message {
namespace {
constexpr std::size_t kArity = 4;
}

void Deadlines::put(std::size_t place, Entry entry) {
  heap_[place] = entry;
  entry.record->heap_place = place;
}

void Deadlines::sift_up(std::size_t place, Entry entry) {
  while (place > 0) {
    const std::size_t parent = (place - 1) / kArity;
    if (heap_[parent].at <= entry.at) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, entry);
}

void Deadlines::sift_down(std::size_t place, Entry entry) {
  for (;;) {
    const std::size_t first = place * kArity + 1;
    if (first >= heap_.size()) break;
    std::size_t least = first;
    const std::size_t end = std::min(first + kArity, heap_.size());
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].at < heap_[least].at) least = child;
    }
    if (heap_[least].at >= entry.at) break;
    put(place, heap_[least]);
    place = least;
  }
  put(place, entry);
}

void Deadlines::set(Timed& record, TimePoint deadline) {
  clear(record);
  record.deadline = deadline;
  if (deadline == kNever) return;
  heap_.push_back({});
  sift_up(heap_.size() - 1, {deadline, &record});
}

void Deadlines::clear(Timed& record) {
  if (!record.timed()) return;
  const std::size_t place = record.heap_place;
  record.heap_place = Timed::kNotTimed;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (last.record == &record) return;
  if (place > 0 && last.at < heap_[(place - 1) / kArity].at) {
    sift_up(place, last);
  } else {
    sift_down(place, last);
  }
}

Timed* Deadlines::take_due(TimePoint now) {
  if (next() > now) return nullptr;
  Timed* record = heap_.front().record;
  clear(*record);
  return record;
}

}  // namespace qudag::message
