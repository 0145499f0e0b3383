// One stream of a link, seen from this side: its send queue and what the receiver owes.
//
// The send queue is one chain of blocks in stream order:
//
//   | acked, returned to the pool | in packets, kept for retransmission | not yet in a packet |
//                                 ^ front of the chain                  ^ cursor
//
// ngtcp2 keeps pointers into the middle part and does not copy, so a block stays until all of its
// bytes are acknowledged or ngtcp2 closed the stream.
#pragma once

#include "base/crowd_times.h"
#include "link/stream/level.h"
#include "memory/block.h"
#include "memory/slab_heap.h"

#include <qudag/message.h>

#include <ngtcp2/ngtcp2.h>

#include <cstdint>
#include <span>

namespace qudag::link {

class Stream {
 public:
  Stream(std::int64_t index, std::uint8_t level)
      : level_(static_cast<std::uint8_t>(level & kLevelMask)), index_(index) {}
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Idle streams are many: they lie together in the shard's heap.
  static void* operator new(std::size_t bytes, memory::SlabHeap& heap) noexcept {
    return heap.allocate(bytes);
  }
  static void operator delete(void* stream) noexcept { memory::SlabHeap::release(stream); }
  static void operator delete(void* stream, memory::SlabHeap&) noexcept {
    memory::SlabHeap::release(stream);
  }

  std::int64_t index() const { return index_; }
  void set_index(std::int64_t index) { index_ = index; }
  bool control() const { return level_ == kControlLevel; }

  // Send queue.
  void push(memory::Block block);
  /// Puts them into the last block, if that has room and is not yet in packets as a whole.
  bool append(Bytes bytes);
  /// The next bytes that are in no packet yet, as pieces; returns how many pieces, at least
  /// `bytes_wanted` bytes if there are so many and the pieces suffice.
  std::size_t pending(std::span<ngtcp2_vec> pieces, std::size_t bytes_wanted) const;
  void sent(std::size_t bytes);
  void acked(std::size_t bytes);
  std::size_t queued_bytes() const { return queued_; }
  std::size_t unacked_bytes() const { return unacked_; }
  /// When the oldest block that is still held was queued (BlockHeader::queued_at); 0 if none is.
  std::uint32_t oldest() const { return head_ == nullptr ? 0 : head_->queued_at; }
  /// The same of the next bytes to be sent. There are some.
  std::uint32_t next_queued_at() const { return cursor_->queued_at; }
  /// Frees what is in no packet yet: the stream was reset, and ngtcp2 knows nothing of it.
  void drop_queued();

  std::uint8_t level() const { return level_; }
  void set_level(std::uint8_t level) { level_ = static_cast<std::uint8_t>(level & kLevelMask); }

  std::uint64_t context = 0;          // the owner's
  std::uint32_t unconsumed = 0;       // given to the owner, not yet given back by consume()
  std::uint32_t held = 0;             // given back while the stream's priority was paused
  std::uint32_t sent_unreported = 0;  // bytes for the next on_stream_sent
  std::uint32_t round_at = 0;         // microseconds: since when `round_bytes` were consumed

  // Hooks of the scheduler, of the list of streams to report, and of the link's list of all.
  Stream* turn_prev = nullptr;
  Stream* turn_next = nullptr;
  Stream* report_next = nullptr;
  Stream* all_prev = nullptr;
  Stream* all_next = nullptr;
  std::uint32_t round_bytes = 0;
  std::uint16_t window_kib = 0;  // that the peer may fill: link/path/window.h
  std::uint16_t wanted_kib = 0;  // by the last rounds
  std::int16_t deficit = 0;      // of the scheduler

  bool in_turn : 1 = false;
  bool sparse : 1 = false;  // goes before those that take turns
  bool in_report : 1 = false;
  bool gone : 1 = false;     // reset or closed: no more events, no more sending
  bool blocked : 1 = false;  // by the peer's stream window
  std::uint8_t shown_mark : CrowdTimes::kMarkBits = 0;  // see note_sent()
  std::uint8_t held_back : 6 = 0;  // what came at once when a hole was filled, in kHeldUnit

 private:
  static constexpr std::uint8_t kLevelMask = 3;
  static_assert(kLevelCount <= kLevelMask + 1u);

  void pop_front();

  // Narrow on purpose: a relay holds two idle streams for each circuit.
  std::uint8_t level_ : 2;
  std::uint16_t cursor_used_ = 0;  // bytes of the block at the cursor that are in packets
  std::uint16_t front_acked_ = 0;  // acknowledged bytes of the front block
  std::int64_t index_;
  memory::BlockHeader* head_ = nullptr;
  memory::BlockHeader* tail_ = nullptr;
  memory::BlockHeader* cursor_ = nullptr;  // block with the first byte that is in no packet
  std::uint32_t unacked_ = 0;
  std::uint32_t queued_ = 0;  // in no packet yet
};
static_assert(sizeof(Stream) <= 120, "with its heap's word 128 bytes");

}  // namespace qudag::link
