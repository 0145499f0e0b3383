#include "link/stream/scheduler.h"

#include <algorithm>

namespace qudag::link {

// A turn, and one packet more than was left of it, fit into what a stream keeps.
constexpr auto kSparseTurn = static_cast<std::int16_t>(kSparseBytes);
static_assert(kTurnBytes[kLevelCount - 1] + limits::kPacketBytesMax < 32'768);

Stream* Scheduler::Level::first() const {
  const bool sparse_first = turns.head == nullptr || sparse_ahead < kSparseAheadMax;
  return sparse.head != nullptr && sparse_first ? sparse.head : turns.head;
}

Scheduler::Line& Scheduler::line_of(const Stream& stream) {
  Level& level = levels_[stream.level()];
  return stream.sparse ? level.sparse : level.turns;
}

void Scheduler::link_last(Line& line, Stream& stream) {
  stream.turn_prev = line.tail;
  stream.turn_next = nullptr;
  (line.tail != nullptr ? line.tail->turn_next : line.head) = &stream;
  line.tail = &stream;
}

void Scheduler::unlink(Line& line, Stream& stream) {
  (stream.turn_prev != nullptr ? stream.turn_prev->turn_next : line.head) = stream.turn_next;
  (stream.turn_next != nullptr ? stream.turn_next->turn_prev : line.tail) = stream.turn_prev;
  stream.turn_prev = stream.turn_next = nullptr;
}

void Scheduler::add(Stream& stream) {
  if (stream.in_turn) return;
  stream.in_turn = true;
  stream.sparse = stream.queued_bytes() + stream.unacked_bytes() <= kSparseBytes;
  stream.deficit = stream.sparse ? kSparseTurn : 0;
  link_last(line_of(stream), stream);
  ++streams_;
}

void Scheduler::remove(Stream& stream) {
  if (!stream.in_turn) return;
  stream.in_turn = false;
  unlink(line_of(stream), stream);
  Level& level = levels_[stream.level()];
  if (level.empty()) level.starved = level.sparse_ahead = 0;
  --streams_;
}

bool Scheduler::queued_at_most(std::size_t bytes) const {
  for (const Level& level : levels_) {
    for (const Line* line : {&level.sparse, &level.turns}) {
      for (const Stream* stream = line->head; stream != nullptr; stream = stream->turn_next) {
        if (stream->queued_bytes() > bytes) return false;
        bytes -= stream->queued_bytes();
      }
    }
  }
  return true;
}

std::uint8_t Scheduler::first_level() const {
  for (std::uint8_t level = 0; level < kLevelCount; ++level) {
    if (!levels_[level].empty()) return level;
  }
  return kControlLevel;
}

Stream* Scheduler::begin_turn(Stream* stream) {
  if (stream->deficit <= 0) {
    stream->deficit = static_cast<std::int16_t>(stream->deficit + kTurnBytes[stream->level()]);
  }
  return stream;
}

Stream* Scheduler::pick() {
  Level* chosen = nullptr;
  for (Level& level : levels_) {
    if (level.empty()) continue;
    if (chosen == nullptr || level.starved >= kStarvedBytes) chosen = &level;
  }
  return chosen == nullptr ? nullptr : begin_turn(chosen->first());
}

Stream* Scheduler::pick_sparse() {
  for (const Level& level : levels_) {
    if (level.sparse.head != nullptr) return begin_turn(level.sparse.head);
  }
  return nullptr;
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
    if (!levels_[below].empty()) levels_[below].starved += count;
  }
  if (!stream.in_turn) return;
  level.sparse_ahead += stream.sparse ? count : -std::min(count, level.sparse_ahead);
  stream.deficit = static_cast<std::int16_t>(stream.deficit - static_cast<std::int32_t>(bytes));
  if (stream.queued_bytes() == 0) {
    remove(stream);
  } else if (stream.deficit <= 0) {
    unlink(line_of(stream), stream);
    stream.sparse = false;
    link_last(line_of(stream), stream);
  }
}

}  // namespace qudag::link
