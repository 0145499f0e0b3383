// The receivers that this node can call at keepers, by their cards or by invitations. One for all
// shards; any thread, a short lock for each circuit that is built.
//
// Who has an invitation alone, or a card that is no good any more, asks a keeper for the card
// before it calls (ports.h); what it finds comes here, and the latest one stays.
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
  std::shared_ptr<const crypto::KemPublicKey> key;  // owners: this, builds under way; null: none
};
using KnownCardPtr = std::shared_ptr<const KnownCard>;  // owners: Cards, who is about to call

class Cards {
 public:
  /// malformed, with what is wrong. Replaces the one of that receiver; the oldest makes room.
  Status add(const Card& card);
  /// malformed. A good card of that receiver stays.
  Status invite(const Invitation& invitation, UnixSeconds today);
  void remove(const NodeId& receiver);
  /// One that a keeper had, and which is the receiver's. What is known then, which may be a later
  /// one; null: the receiver has been removed.
  KnownCardPtr learn(const Card& card, Now now);
  /// The card is to be looked up before a call: there is none, it is no good, or it was doubted.
  bool looks_up(const KnownCard& known, Now now) const;
  /// The receiver has a newer one, or does not answer to this one. Within a minute of a look-up it
  /// is not believed.
  void doubt(const NodeId& receiver, Now now);
  /// Replaces who hears of cards that were learned and name other keepers.
  void set_handler(CardHandler handler);
  /// Null if there is none.
  KnownCardPtr find(const NodeId& receiver) const;
  /// Any of its keepers, one that failed lately last.
  const Card::Place& pick(const KnownCard& known, Rng& rng, Now now) const;
  /// A call at that keeper was not joined. `gone`: it is not there, as the relay before it says;
  /// then one that is there is asked before it for ten seconds more.
  void failed(const NodeId& receiver, const NodeId& keeper, Now now, bool gone = false);
  /// All its other keepers failed lately: that one is the last to be asked.
  bool is_last(const NodeId& receiver, const NodeId& keeper, Now now) const;
  std::size_t size() const;

 private:
  struct Entry {
    KnownCardPtr known;
    std::array<TimePoint, kKeepersMax> failed{};  // by place; the beginning of time: it did not
    bool doubted = false;
    TimePoint looked_up{};
  };
  void put(const NodeId& receiver, KnownCardPtr known);

  mutable std::mutex mutex_;
  std::unordered_map<NodeId, Entry> cards_;
  std::deque<NodeId> order_;  // as they came
  std::mutex handler_mutex_;
  CardHandler handler_;
};

}  // namespace qudag::keeper
