// The ids of messages that were delivered, so that a copy over another circuit is not delivered
// again.
//
// A ring in the order of arrival and a hash table over it, both growing to `ids_max`. Then the
// oldest goes: an adversary who fills the window can have its own messages delivered twice, and
// those of others only if it delivers ids_max messages within their lifetime.
//
// The table is probed linearly and holds 32 bits of each hash, so that a look-up or a removal
// touches one line of it and, nearly always, nothing of the ring: a full window is larger than the
// processor's caches. About 44 bytes for each id.
#pragma once

#include "base/time.h"
#include "message/known/key.h"

#include <atomic>
#include <cstdint>
#include <vector>

namespace qudag::message {

/// What an id costs, ring and table.
inline constexpr std::size_t kDuplicateBytes = 44;

class Duplicates {
 public:
  Duplicates(std::size_t ids_max, IdHash hash) : ids_max_(ids_max), hash_(hash) {}

  bool contains(const wire::MessageId& id, TimePoint now) const;
  /// True: one had to go for it that was to be remembered still.
  bool add(const wire::MessageId& id, TimePoint expires, TimePoint now);
  /// It was not delivered after all: contains() is false again. Its place is kept until its turn.
  void forget(const wire::MessageId& id, TimePoint now);
  /// Somebody will soon ask for this id: a full window is larger than the processor's caches. Any
  /// thread, without a lock: while the table grows this fetches nothing of use, and no harm is
  /// done.
  void fetch_ahead(const wire::MessageId& id) const {
    const std::uintptr_t base = table_at_.load(std::memory_order_relaxed);
    const std::size_t mask = table_mask_.load(std::memory_order_relaxed);
    __builtin_prefetch(reinterpret_cast<const void*>(base + (hash_of(id) & mask) * sizeof(Slot)),
                       1);
  }
  std::size_t size() const { return size_; }
  std::size_t ids_max() const { return ids_max_; }

 private:
  static constexpr TimePoint kForgotten = TimePoint::min();  // not in the table any more
  struct Entry {
    wire::MessageId id{};
    TimePoint expires{};
  };
  /// Of the table: where in the ring, plus 1 (0: free), and what the hash was.
  struct Slot {
    std::uint32_t place = 0;
    std::uint32_t hash = 0;
  };

  std::uint32_t hash_of(const wire::MessageId& id) const {
    return static_cast<std::uint32_t>(hash_.hash(id));
  }
  /// The place of an id that is remembered at that time; ring_.size() if there is none.
  std::size_t find(const wire::MessageId& id, TimePoint now) const;
  std::size_t next(std::size_t slot) const { return (slot + 1) & (table_.size() - 1); }
  void grow();
  void link(std::size_t place);
  /// Out of the table. Its place in the ring is kept.
  void unlink(std::size_t place);
  void drop_oldest();

  std::size_t ids_max_;
  IdHash hash_;
  std::vector<Entry> ring_;
  std::vector<Slot> table_;                  // a power of two, at least twice the ring's size
  std::atomic<std::uintptr_t> table_at_{0};  // where it is, for fetch_ahead()
  std::atomic<std::size_t> table_mask_{0};
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace qudag::message
