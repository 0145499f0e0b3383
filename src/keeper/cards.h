// The cards that this node knows: whom it can call at keepers. One for all shards; any thread, a
// short lock for each circuit that is built.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "crypto/kem.h"

#include <qudag/receiver.h>

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace qudag::keeper {

/// Immutable, but for what is noted of its keepers.
struct KnownCard {
  Card card;
  std::shared_ptr<const crypto::KemPublicKey> key;  // owners: this, builds under way
};
using KnownCardPtr = std::shared_ptr<const KnownCard>;  // owners: Cards, who is about to call

class Cards {
 public:
  /// malformed, with what is wrong. Replaces the one of that receiver; the oldest makes room.
  Status add(const Card& card);
  /// Null if there is none.
  KnownCardPtr find(const NodeId& receiver) const;
  /// Any of its keepers, one that failed lately last.
  const Card::Place& pick(const KnownCard& known, Rng& rng, Now now) const;
  /// A call at that keeper was not joined.
  void failed(const NodeId& receiver, const NodeId& keeper, Now now);
  /// All its other keepers failed lately: that one is the last to be asked.
  bool is_last(const NodeId& receiver, const NodeId& keeper, Now now) const;
  std::size_t size() const;

 private:
  struct Entry {
    KnownCardPtr known;
    std::array<TimePoint, kKeepersMax> failed{};  // by place; the beginning of time: it did not
  };
  mutable std::mutex mutex_;
  std::unordered_map<NodeId, Entry> cards_;
  std::deque<NodeId> order_;  // as they came
};

}  // namespace qudag::keeper
