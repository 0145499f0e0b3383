// The descriptors that are held: one per id, by id, with what is known about the links of each.
//
// Limits: `descriptors_max` in all, and of one first byte of the id as many as one DIGEST can list,
// so that every digest is exact. Ids are hashes: an honest netmap has 40 of a byte when it holds
// 10,000. There is always a place for our own descriptor.
#pragma once

#include "memory/budget.h"
#include "netmap/link_set.h"
#include "netmap/view.h"
#include "wire/gossip.h"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace qudag::netmap {

struct Held {
  EntryPtr entry;
  LinkSet has;   // links that hold this one or a newer one, as far as we know
  LinkSet owed;  // links in whose queue this id stands
  LinkSet sent;  // links that it was sent to a moment ago
  std::uint64_t published() const { return entry->descriptor.published; }
};

class Store {
 public:
  /// `memory` outlives the store; null: no bound but the number.
  Store(const NodeId& self, std::size_t descriptors_max, memory::Budget* memory = nullptr);

  enum class Judgement : std::uint8_t { newcomer, newer, old, full };
  /// Whether a descriptor of that id and time would be taken.
  Judgement judge(const NodeId& id, UnixSeconds published) const;
  Held* find(const NodeId& id);
  const Held* find(const NodeId& id) const;
  /// Replaces what is held of its id. judge() said newcomer or newer.
  Held& put(EntryPtr entry);
  /// Removes what is over; the number removed.
  std::size_t expire(UnixSeconds now);
  /// A link is gone: its slot may be used again.
  void forget_slot(std::size_t slot);

  /// f(held) for every id whose first byte is in [lo, hi], by id.
  template <class F>
  void for_range(std::uint8_t lo, std::uint8_t hi, F&& f) {
    NodeId from;
    from.bytes[0] = std::byte{lo};
    for (auto at = held_.lower_bound(from); at != held_.end(); ++at) {
      if (std::to_integer<std::uint8_t>(at->first.bytes[0]) > hi) break;
      f(at->second);
    }
  }
  /// How many for_range would visit.
  std::size_t count_range(std::uint8_t lo, std::uint8_t hi) const;
  std::size_t size() const { return held_.size(); }

  /// DIGEST bodies that cover 0..255, each at most 400 entries. Valid until the next change.
  const std::vector<std::vector<std::byte>>& digests();
  ViewPtr view();
  /// Counts up with every change of what is held.
  std::uint64_t version() const { return version_; }

 private:
  bool has_room() const;
  void append_digests(std::uint8_t lo, std::uint8_t hi);
  void changed() { ++version_; }

  NodeId self_;
  std::size_t descriptors_max_;
  mutable memory::Allowance memory_;  // has_room() reserves ahead
  std::map<NodeId, Held> held_;
  std::array<std::size_t, 256> per_byte_{};
  std::uint64_t version_ = 0;
  // Made on demand, once per version.
  ViewPtr view_;
  std::uint64_t view_version_ = 0;
  std::vector<std::vector<std::byte>> digests_;
  std::uint64_t digests_version_ = UINT64_MAX;
};

}  // namespace qudag::netmap
