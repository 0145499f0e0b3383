// The descriptors that are held: one per id, by id, with what is known about the links of each.
//
// Limits: `descriptors_max` in all. There is always a place for our own descriptor, and for those
// that are `kept`.
//
// Identities are free, so places are shared by who takes them. A descriptor of a relay that was
// reached is *proven*; every other one counts against the link that brought it (its source), and
// against the network that it claims to be in. When all is full, an unproven one of the source
// that has most goes, the youngest first; what is proven never goes for a stranger's sake.
#pragma once

#include "base/link_id.h"
#include "memory/budget.h"
#include "netmap/map/link_set.h"
#include "netmap/map/view.h"
#include "wire/gossip.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace qudag::netmap {

/// A descriptor's source: the link that brought it, or one of these.
inline constexpr NodeLink kOwnSource{.shard = UINT32_MAX, .link = {}};       // ourselves, a file
inline constexpr NodeLink kGoneSource{.shard = UINT32_MAX - 1, .link = {}};  // links that are gone

struct Record {
  EntryPtr entry;
  LinkSet has;    // links that hold this one or a newer one, as far as we know
  LinkSet owed;   // links in whose queue this id stands
  LinkSet sent;   // links that it was sent to a moment ago
  LinkSet shown;  // links that show it, by what they last said of its range
  // Links of nodes whose word counts that had shown it and show it no more, since it was reached.
  LinkSet dropped;
  unsigned doubted = 0;  // how many of those that speak of it these are, in kDoubtedMax parts
  // The rest stays when a newer descriptor of the id comes.
  std::uint64_t rank_before = 0;  // of the one before this: what who shows it and lacks this has
  NodeLink source = kOwnSource;
  TimePoint since{};         // first held
  bool reached = false;      // a link to one of its addresses was completed by this node
  SocketAddress reached_at;  // this one; port 0: not known
  bool counts = false;       // as a relay for routes
  static constexpr unsigned kUnansweredMax = 3;
  unsigned unanswered_max = kUnansweredMax;  // after so many dials in a row it is reached no more
  TimePoint asked_at{};                      // when our last dial began
  TimePoint answered_at{};                   // our own dial
  bool gone = false;                         // did not answer, and has not been reached since
  TimePoint believed_at{};                   // when there was last reason to let it count
  std::vector<NodeId> vouchers{};            // who showed it and is believed; at most kVouchersMax
  double renewals = 8;                       // that may come at once
  TimePoint renewed_at{};
  std::uint64_t rank() const { return entry->descriptor.rank; }
};

struct StoreRules {
  NodeId self{};
  std::size_t descriptors_max = limits::kNetmapDescriptorsMax;
  memory::Budget* memory = nullptr;  // outlives the store; null: no bound but the number
  /// Off: everything is proven.
  bool only_reached = false;
};

class Store {
 public:
  explicit Store(const StoreRules& rules);

  /// Unproven descriptors that a link may have brought: one whose peer is not known as a relay, one
  /// to a relay that was reached, one to a node that is believed.
  static constexpr std::size_t kStrangerMax = 64;
  std::size_t relay_max() const { return rules_.descriptors_max / 8; }
  std::size_t believed_max() const { return rules_.descriptors_max / 2; }
  /// Unproven ones that claim to be in one network (/16, /32) of the world.
  static constexpr std::size_t kNetworkMax = 64;
  /// Relays that were reached, in one network and at one address (/64) of the world. More are held
  /// as if they had not been: whoever has one machine does not fill the netmap with it.
  static constexpr std::size_t kReachedOfNetworkMax = 64;
  static constexpr std::size_t kReachedOfHostMax = 8;
  static constexpr std::size_t kVouchersMax = 8;

  enum class Judgement : std::uint8_t { newcomer, newer, old, full };
  /// Whether a descriptor of that id and rank would be looked at. `share`: what its source may have
  /// of unproven ones. One that is held and lies further ahead than is valid (a clock was wrong)
  /// gives way to any other.
  Judgement judge(const NodeId& id, std::uint64_t rank, UnixSeconds now,
                  NodeLink source = kOwnSource, std::size_t share = SIZE_MAX) const;
  Record* find(const NodeId& id);
  const Record* find(const NodeId& id) const;
  /// Replaces what is held of its id; a newcomer may take the place of another. judge() said
  /// newcomer or newer. Null: there is no place for it.
  Record* put(EntryPtr entry, Now now, NodeLink source = kOwnSource);
  /// Its proof, or whether it counts, may have changed.
  void set_reached(Record& held, bool reached);
  /// Whether there is a place for it among the reached ones of its networks and hosts.
  bool may_be_reached(const Record& held) const;
  void set_counts(Record& held, bool counts);
  void set_doubted(Record& held, unsigned doubted);
  /// Nodes that always have a place: guards and bootstrap entries.
  void keep(std::set<NodeId> ids);
  bool is_kept(const NodeId& id) const { return id == rules_.self || kept_.contains(id); }
  /// Removes what is over; the number removed.
  std::size_t expire(UnixSeconds now);
  std::uint64_t evicted() const { return evicted_; }
  std::size_t unproven() const { return unproven_; }
  /// A link is gone: its slot may be used again, and what it brought has no source any more.
  void forget_link(NodeLink link, std::size_t slot);

  /// Whether links may hear of it: a relay only when we have reached it.
  bool may_show(const Record& held) const {
    return !rules_.only_reached || held.reached || !held.entry->descriptor.relay ||
           held.entry->descriptor.id == rules_.self;
  }

  /// f(held) for every id in the range, by id.
  template <class F>
  void for_range(const wire::IdRange& range, F&& f) {
    for (auto at = held_.lower_bound(range.first()); at != held_.end(); ++at) {
      if (!range.contains(at->first)) break;
      f(at->second);
    }
  }
  template <class F>
  void for_all(F&& f) {
    for_range({}, f);
  }
  /// How many for_range would visit. Of two nibbles and less it is known, of more it is counted.
  std::size_t count(const wire::IdRange& range) const;
  /// The largest range around it that has at most so many.
  wire::IdRange around(const NodeId& id, std::size_t most) const;
  std::size_t size() const { return held_.size(); }

  ViewPtr view();
  /// Counts up with every change of what is held.
  std::uint64_t version() const { return version_; }

 private:
  using Map = std::map<NodeId, Record>;

  bool is_proven(const Record& held) const;
  bool has_room() const;
  void recount(const Record& held, bool in);
  void remove(Map::iterator at);
  bool make_room(const Entry& entry, NodeLink source);
  void make_room_anyway();
  template <class In>
  bool evict_for(NodeLink source, In&& in);
  void changed() { ++version_; }

  const StoreRules rules_;
  mutable memory::Allowance memory_;  // has_room() reserves ahead
  Map held_;
  std::set<NodeId> kept_;
  std::array<std::size_t, 256> per_byte_{};
  using Counts = std::map<std::uint64_t, std::size_t>;
  std::map<NodeLink, std::size_t> unproven_of_source_;
  Counts unproven_of_network_;
  Counts reached_of_network_;
  Counts reached_of_host_;
  std::size_t unproven_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t version_ = 0;
  // Made on demand, once per version.
  ViewPtr view_;
  std::uint64_t view_version_ = 0;
};

}  // namespace qudag::netmap
