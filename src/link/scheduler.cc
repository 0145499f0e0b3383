#include "link/scheduler.h"

#include <algorithm>

namespace qudag::link {

void Scheduler::link_last(Level& level, Stream& stream) {
  stream.turn_prev = level.tail;
  stream.turn_next = nullptr;
  (level.tail != nullptr ? level.tail->turn_next : level.head) = &stream;
  level.tail = &stream;
}

void Scheduler::unlink(Level& level, Stream& stream) {
  (stream.turn_prev != nullptr ? stream.turn_prev->turn_next : level.head) = stream.turn_next;
  (stream.turn_next != nullptr ? stream.turn_next->turn_prev : level.tail) = stream.turn_prev;
  stream.turn_prev = stream.turn_next = nullptr;
}

void Scheduler::add(Stream& stream) {
  if (stream.in_turn) return;
  stream.in_turn = true;
  stream.deficit = 0;
  link_last(levels_[stream.level()], stream);
  ++streams_;
}

void Scheduler::remove(Stream& stream) {
  if (!stream.in_turn) return;
  stream.in_turn = false;
  Level& level = levels_[stream.level()];
  unlink(level, stream);
  if (level.head == nullptr) level.starved = 0;
  --streams_;
}

bool Scheduler::queued_at_most(std::size_t bytes) const {
  for (const Level& level : levels_) {
    for (const Stream* stream = level.head; stream != nullptr; stream = stream->turn_next) {
      if (stream->queued_bytes() > bytes) return false;
      bytes -= stream->queued_bytes();
    }
  }
  return true;
}

std::uint8_t Scheduler::first_level() const {
  for (std::uint8_t level = 0; level < kLevelCount; ++level) {
    if (levels_[level].head != nullptr) return level;
  }
  return kControlLevel;
}

Stream* Scheduler::pick() {
  Level* chosen = nullptr;
  for (Level& level : levels_) {
    if (level.head == nullptr) continue;
    if (chosen == nullptr || level.starved >= kStarvedBytes) chosen = &level;
  }
  if (chosen == nullptr) return nullptr;
  Stream& stream = *chosen->head;
  if (stream.deficit <= 0) stream.deficit += kTurnBytes[stream.level()];
  return &stream;
}

void Scheduler::charge(Stream& stream, std::size_t bytes) {
  Level& level = levels_[stream.level()];
  const auto count = static_cast<std::int64_t>(bytes);
  if (level.starved >= kStarvedBytes) {
    level.starved -= count * kShareOneIn;  // went before more urgent ones: that is the share
  } else {
    level.starved = std::min<std::int64_t>(level.starved, 0);  // nothing more urgent: no hardship
  }
  for (std::size_t below = stream.level() + 1u; below < kLevelCount; ++below) {
    if (levels_[below].head != nullptr) levels_[below].starved += count;
  }
  if (!stream.in_turn) return;
  stream.deficit -= static_cast<std::int32_t>(bytes);
  if (stream.queued_bytes() == 0) {
    remove(stream);
  } else if (stream.deficit <= 0 && level.head != level.tail) {
    unlink(level, stream);
    link_last(level, stream);
  }
}

}  // namespace qudag::link
