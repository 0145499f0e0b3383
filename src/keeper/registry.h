// Who waits at a keeper: inboxes, the control circuits that registered them, their standbys, and
// callers for whom there is no standby yet.
//
// One for all shards of a node: a caller's circuit ends on whichever shard its last link has, and
// is joined to a standby of its own shard if there is one. Any thread; a short lock for each
// REGISTER, STANDBY and JOIN, none for a payload.
//
// Memory: bounded by KeeperBounds. An inbox whose control circuit ended is remembered as away until
// its time is over or its place is needed.
#pragma once

#include "base/bounded.h"
#include "base/rng.h"
#include "base/time.h"
#include "circuit/circuits.h"
#include "keeper/bounds.h"
#include "keeper/letters/letter_room.h"
#include "memory/budget.h"
#include "sync/token_bucket.h"
#include "wire/keeper_frames.h"

#include <qudag/address.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace qudag::keeper {

/// One end of a circuit at this node.
struct EndRef {
  unsigned shard = 0;
  circuit::CircuitId circuit;
  auto operator<=>(const EndRef&) const = default;
};

struct Splice;

/// A JOIN on its way to a standby.
struct Join {
  EndRef caller;
  wire::InboxId inbox{};
  std::uint32_t effort = 0;
  bool low = false;                // of low priority: it needs a standby of that
  std::vector<std::byte> hail;     // kHailBytes
  std::shared_ptr<Splice> splice;  // owners: this, the two ends
};

struct RegistryStats {
  std::uint64_t inboxes = 0, controls = 0, standbys_idle = 0, splices = 0, joins_waiting = 0,
                cards = 0;
};

class Registry {
 public:
  /// `keeper`: this node's id, which is part of every inbox id. `cards`: what cards reserve from;
  /// null: no bound but theirs.
  Registry(const NodeId& keeper, const KeeperBounds& bounds, Rng& rng,
           memory::Budget* cards = nullptr)
      : keeper_(keeper), bounds_(bounds), rng_(rng), cards_memory_(cards) {}

  // ---- control circuits
  struct Added {
    wire::RegisteredFrame answer;
    std::vector<EndRef> replaced;  // circuits that had registered one of them before
  };
  Added add(const EndRef& control, std::span<const wire::InboxEntry> inboxes, Now now);
  /// Of an inbox that this circuit registered; false: it did not.
  bool revoke(const EndRef& control, const wire::OwnerSecret& owner);
  /// The circuit has ended: its inboxes are away, and these idle standbys are nobody's.
  std::vector<EndRef> drop_control(const EndRef& control, Now now);

  // ---- letters
  /// Before its first use: inboxes with letters stay, and it hears of those that go.
  void attach(std::shared_ptr<LetterRoom> letters) { letters_ = std::move(letters); }
  /// One of the run before: its receiver is away.
  void restore(const wire::InboxId& id, const wire::InboxEntry& limits, TimePoint until, Now now);
  /// A caller has a letter for it: whether there is such an inbox, and whether it came too fast.
  enum class Keeps : std::uint8_t { yes, no_inbox, too_fast };
  Keeps may_deposit(const wire::InboxId& id, Now now);
  /// Its control circuit; none: away.
  std::optional<EndRef> control_of_inbox(const wire::InboxId& id) const;
  wire::InboxId id_of(const wire::OwnerSecret& owner) const;
  std::vector<wire::InboxId> inboxes_of(const EndRef& control) const;

  // ---- standbys
  struct Waits {
    bool ok = false;           // false: no such binding, or too many
    std::optional<Join> join;  // a caller that waited: offer it there at once
  };
  Waits wait(const EndRef& standby, const wire::Binding& binding, bool low);
  /// The same of one that has declined.
  Waits wait_again(const EndRef& standby);
  /// Its circuit has ended, in whatever state.
  void forget(const EndRef& standby);
  /// An offer or a splice is over.
  void splice_ended(const wire::InboxId& inbox);

  // ---- callers
  struct Joining {
    enum class How : std::uint8_t { no_inbox, away, too_fast, busy, offered, waits } how;
    std::optional<Join> join{};  // offered: to this standby
    EndRef standby{};
    std::optional<EndRef> control{};  // waits: to be knocked at
    wire::KnockFrame knock{};
    std::uint16_t wait_seconds = 0;
  };
  Joining join(Join&& join, Now now);
  /// One that waits. False: it does not, or not any more.
  bool give_up(const EndRef& caller, const wire::InboxId& inbox);

  // ---- cards (registry_cards.cc): one of each inbox, for who has its spot
  /// Nothing: no inbox of that circuit has its card there, or it is good for too long.
  std::optional<wire::KeptStatus> put(const EndRef& control, const wire::PutFrame& frame, Now now);
  struct Got {
    std::vector<std::byte> blob{};  // empty: there is none
    bool too_fast = false;
    std::uint16_t wait_seconds = 0;
  };
  Got get(const wire::Spot& spot, Now now);

  RegistryStats stats() const;
  void report(BoundedList& out) const;

 private:
  struct Control {
    wire::Binding binding{};
    std::vector<wire::InboxId> inboxes;
    std::vector<EndRef> idle[2];  // normal, low
    std::size_t standbys = 0;     // in any state
  };
  struct InboxCard {
    wire::Spot spot{};
    UnixSeconds expires = 0;
    std::vector<std::byte> blob;
    memory::Reservation memory;
    sync::TokenBucket gets;
  };
  struct Inbox {
    std::optional<EndRef> control;  // none: away
    TimePoint until{};              // while away
    std::size_t splices = 0;
    std::size_t splices_max = 0;
    sync::TokenBucket joins;
    std::deque<Join> waiting;
    std::unique_ptr<InboxCard> card{};           // null: none was put
    std::optional<sync::TokenBucket> puts = {};  // once one was
  };
  struct Standby {
    wire::Binding binding{};
    bool low = false;
    bool idle = false;
  };

  Waits wait_with(Control& control, const EndRef& standby, Standby& record);
  bool make_room();
  std::map<wire::InboxId, Inbox>::iterator insert(const wire::InboxId& id,
                                                  const wire::InboxEntry& limits, Now now);
  void erase(std::map<wire::InboxId, Inbox>::iterator at);
  Control* control_of(const wire::Binding& binding);
  bool room_for_card(UnixSeconds today);
  void drop_card(Inbox& inbox);
  std::optional<EndRef> take_idle(Control& control, bool low, unsigned shard);

  const NodeId keeper_;
  const KeeperBounds bounds_;
  mutable std::mutex mutex_;
  Rng& rng_;
  memory::Budget* const cards_memory_;
  std::map<wire::InboxId, Inbox> inboxes_;
  std::set<std::pair<TimePoint, wire::InboxId>> away_;  // by the end of their time
  std::map<EndRef, Control> controls_;
  std::map<wire::Binding, EndRef> bindings_;
  std::map<EndRef, Standby> standbys_;
  std::map<wire::Spot, wire::InboxId> spots_;  // of inboxes with a card
  std::size_t waiting_ = 0;
  std::size_t splices_ = 0;
  std::shared_ptr<LetterRoom> letters_;  // owners: this, the services; null: none are kept
};

}  // namespace qudag::keeper
