// The ids of messages that the peer took on one circuit of ours, by their refs: a reply names the
// ref of what it answers, and only what was sent on its own circuit can be answered there.
//
// A ring by ref that grows as it is used: a circuit that answers late (many messages taken, then
// many replies) finds them, the oldest are forgotten at kTakenIdsMax. What goes beyond the first
// few reserves its memory; where there is none the ring stays as it is.
#pragma once

#include "memory/budget.h"
#include "wire/message_frames.h"

#include <utility>
#include <vector>

namespace qudag::message {

inline constexpr std::size_t kTakenIdsFirst = 64;    // part of the circuit's record
inline constexpr std::size_t kTakenIdsMax = 16'384;  // 384 KiB

/// A message of ours, as a reply to it needs it.
struct Asked {
  wire::MessageId id{};
  ChannelNumber channel = 0;
};

class TakenIds {
 public:
  void add(std::uint32_t ref, const Asked& asked, memory::Budget& budget) {
    if (ids_.empty() || (at(ref).id_of != 0 && ids_.size() < kTakenIdsMax)) grow(budget);
    at(ref) = {ref + 1, asked};
  }
  /// Null: it was never taken, or is forgotten.
  const Asked* find(std::uint32_t ref) const {
    if (ids_.empty()) return nullptr;
    const Entry& entry = ids_[ref & (ids_.size() - 1)];
    return entry.id_of == ref + 1 ? &entry.asked : nullptr;
  }
  /// For how many there is room now.
  std::size_t size() const { return ids_.size(); }
  static constexpr std::size_t entry_bytes() { return sizeof(Entry); }

 private:
  struct Entry {
    std::uint32_t id_of = 0;  // ref + 1; 0: free
    Asked asked;
  };

  Entry& at(std::uint32_t ref) { return ids_[ref & (ids_.size() - 1)]; }
  void grow(memory::Budget& budget) {
    std::vector<Entry> old(ids_.empty() ? kTakenIdsFirst : ids_.size() * 2);
    memory::Reservation reserved;
    if (!ids_.empty()) {
      reserved = memory::Reservation::take(budget, old.size() * sizeof(Entry));
      if (!reserved) return;
    }
    old.swap(ids_);
    for (const Entry& entry : old) {
      if (entry.id_of != 0) at(entry.id_of - 1) = entry;
    }
    reserved_ = std::move(reserved);
  }

  std::vector<Entry> ids_;  // a power of two
  memory::Reservation reserved_;
};

}  // namespace qudag::message
