// The node's window of delivered message ids, shared by its shards: a message that was sent again
// may come in over a circuit of another shard.
//
// Threads: any; a short lock, twice per message. A message is claimed before the application sees
// it, so that two shards never deliver the same one, and given back if the application refuses.
#pragma once

#include "base/rng.h"
#include "message/duplicates.h"

#include <mutex>

namespace qudag::message {

class Delivered {
 public:
  Delivered(std::size_t ids_max, Rng& rng) : ids_(ids_max, {rng.u64() | 1, rng.u64() | 1}) {}

  /// An id that comes next; no lock.
  void fetch_ahead(const wire::MessageId& id) const { ids_.fetch_ahead(id); }

  bool contains(const wire::MessageId& id, TimePoint now) const {
    const std::lock_guard lock(mutex_);
    return ids_.contains(id, now);
  }

  /// False if somebody has it. Otherwise it counts as delivered from now until `expires`.
  [[nodiscard]] bool claim(const wire::MessageId& id, TimePoint expires, TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (ids_.contains(id, now)) return false;
    ids_.add(id, expires, now);
    return true;
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return ids_.size();
  }
  std::size_t ids_max() const { return ids_.ids_max(); }

  void give_back(const wire::MessageId& id, TimePoint now) {
    const std::lock_guard lock(mutex_);
    ids_.forget(id, now);
  }

 private:
  mutable std::mutex mutex_;
  Duplicates ids_;
};

}  // namespace qudag::message
