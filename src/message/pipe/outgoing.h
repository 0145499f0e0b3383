// One direction of a pipe, at the end that sends: bytes from the program until the peer has taken
// them.
//
//   0 .. taken .. at .. written     taken: by the peer's program; at: where the next frame begins
//        |--- held here ---|        sent_most: the furthest that any frame reached
//
// taken <= at <= sent_most <= limit, at <= written. When the pipe moves to another circuit `at`
// goes back to what the peer has received; what is before `taken` is gone. END has a place of its
// own behind the last byte: a peer that has received or taken it says one more.
#pragma once

#include "base/assert.h"
#include "base/bytes.h"
#include "memory/block.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace qudag::message {

class Outgoing {
 public:
  explicit Outgoing(std::uint64_t limit = 0) : limit_(limit) {}

  // ---- The program ----
  /// What was written is coalesced: two blocks in a row are together more than one holds.
  void write(memory::Chain&& bytes) {
    QUDAG_DCHECK(!ended_);
    written_ += bytes.bytes();
    while (!bytes.empty()) {
      memory::Block block = bytes.pop_front();
      const Bytes view = block.bytes();
      const std::size_t room = room_behind();
      if (view.size() <= room) {
        static_cast<void>(held_.fill_back(view));
        continue;
      }
      if (view.empty()) continue;
      held_.push_back(std::move(block));
      if (at_block_ == nullptr) {
        at_block_ = held_.back();
        at_offset_ = 0;
      }
    }
    check();
  }
  void end() { ended_ = true; }

  // ---- Frames that leave ----
  std::size_t sendable() const {
    const std::uint64_t most = std::min(written_, limit_);
    return most > at_ ? static_cast<std::size_t>(most - at_) : 0;
  }
  /// out.size() <= sendable(). How many of them were sent before.
  std::size_t copy(MutableBytes out) {
    QUDAG_ASSERT(out.size() <= sendable());
    const std::uint64_t from = at_;
    at_ += out.size();
    while (!out.empty()) {
      skip_finished();
      const MutableBytes view = memory::Chain::view(at_block_).subspan(at_offset_);
      const std::size_t n = std::min(out.size(), view.size());
      std::memcpy(out.data(), view.data(), n);
      out = out.subspan(n);
      at_offset_ += n;
    }
    const std::uint64_t again = std::min(at_, sent_most_) - std::min(from, sent_most_);
    sent_most_ = std::max(sent_most_, at_);
    check();
    return static_cast<std::size_t>(again);
  }
  /// END is to be said, at `written`.
  bool end_due() const { return ended_ && !end_said_ && at_ == written_; }
  void say_end() {
    QUDAG_DCHECK(end_due());
    end_said_ = end_was_said_ = true;
  }

  // ---- What the peer says. False: it broke the protocol. ----
  [[nodiscard]] bool on_limit(std::uint64_t taken, std::uint64_t limit) {
    if (taken < taken_ || limit < limit_ || taken > at_ + (end_said_ ? 1 : 0)) return false;
    if (end_taken_ && taken <= written_) return false;
    limit_ = limit;
    take(taken);
    return true;
  }
  /// On another circuit: it has received so much, and is told the rest from there.
  [[nodiscard]] bool go_on(std::uint64_t received, std::uint64_t taken, std::uint64_t limit) {
    const bool has_end = end_was_said_ && received == written_ + 1;
    if (received < taken_ || (received > sent_most_ && !has_end)) return false;
    if (end_taken_ && !has_end) return false;
    at_ = std::min(received, written_);
    end_said_ = has_end;
    seek();
    return on_limit(taken, limit);
  }

  std::uint64_t written() const { return written_; }
  std::uint64_t taken() const { return taken_; }
  std::uint64_t limit() const { return limit_; }
  std::uint64_t at() const { return at_; }
  std::uint64_t held() const { return written_ - taken_; }
  bool ended() const { return ended_; }
  /// Everything was taken, END too.
  bool done() const { return end_taken_; }
  /// The same, as the peer says by RESET 0.
  [[nodiscard]] bool finish() {
    if (!end_was_said_) return false;
    at_ = written_;
    take(written_ + 1);
    return true;
  }
  /// The pipe ends: nothing is held any more.
  void drop() {
    held_.clear();
    at_block_ = nullptr;
  }

 private:
  std::size_t room_behind() const {
    const memory::BlockHeader* const last = held_.back();
    if (last == nullptr) return 0;
    const std::size_t most = memory::kHeadroomBytes + memory::capacity_of(last->size);
    return last->end < most ? most - last->end : 0;
  }
  void skip_finished() {
    while (at_offset_ == memory::Chain::view(at_block_).size()) {
      at_block_ = at_block_->next;
      at_offset_ = 0;
    }
  }
  void take(std::uint64_t taken) {
    end_taken_ = taken == written_ + 1;
    free_to(std::min(taken, written_));
    check();
  }
  void free_to(std::uint64_t taken) {
    while (!held_.empty()) {
      memory::BlockHeader* const first = held_.front();
      const std::uint64_t end = front_at_ + memory::Chain::view(first).size();
      if (end > taken) break;
      if (first == at_block_) {  // it was copied to its end
        at_block_ = first->next;
        at_offset_ = 0;
      }
      front_at_ = end;
      static_cast<void>(held_.pop_front());
    }
    taken_ = taken;
  }
  void seek() {
    std::uint64_t from = front_at_;
    at_block_ = held_.front();
    while (at_block_ != nullptr) {
      const std::size_t here = memory::Chain::view(at_block_).size();
      if (at_ - from < here || at_block_->next == nullptr) break;
      from += here;
      at_block_ = at_block_->next;
    }
    at_offset_ = static_cast<std::size_t>(at_ - from);
  }
  void check() const {
    QUDAG_DCHECK(front_at_ <= taken_ && taken_ <= at_ && at_ <= sent_most_);
    QUDAG_DCHECK(sent_most_ <= limit_ && sent_most_ <= written_);
  }

  memory::Chain held_;
  std::uint64_t front_at_ = 0;               // where the first block begins
  memory::BlockHeader* at_block_ = nullptr;  // null: nothing is held
  std::size_t at_offset_ = 0;
  std::uint64_t taken_ = 0, at_ = 0, sent_most_ = 0, written_ = 0;
  std::uint64_t limit_;
  bool ended_ = false;         // by the program
  bool end_said_ = false;      // on this circuit, or the peer has it
  bool end_was_said_ = false;  // on any
  bool end_taken_ = false;
};

}  // namespace qudag::message
