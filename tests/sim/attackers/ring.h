// What twelve attackers know together, and whom they guess from it.
//
// They see what their own nodes see: builds at their relays (when, from which address, to whom),
// messages and circuits at their destinations, links that others open to them, gossip, and answers
// to what they send. Every guess names one sender of one message, by one rule:
//
//   ids      a node that calls a message with the id of our reply a duplicate
//   partial  our unfinished reply ends when a node gets a message that begins with its id
//   signing  a signed message came on the same circuit
//   killed   a relay of ours ended a circuit, and the message came again: who brought that circuit
//   time     relays of ours saw builds just before the circuit came, each on its way to the next:
//   who
//            brought the first of them
//   dials    who opened a link to one of us last
//   best     the first of these that says something, in this order but for the last two; or else
//            any sender, by chance
//
// `killed` and `time` match both ends of a circuit, which the threat model gives up: the figures of
// messages with an attacker at the first hop are told apart (attackers.h).
#pragma once

#include "sim/hostile.h"

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace qudag::testing {

enum class Rule : std::uint8_t { ids, partial, signing, killed, time, dials, best };
inline constexpr std::size_t kRules = 7;
std::string_view name_of(Rule rule);

/// Of one message to an attacker.
struct Target {
  Arrival first;
  std::array<std::optional<std::size_t>, kRules> guess;  // a sender's place
};

class Ring {
 public:
  /// `places`: the honest nodes by what all nodes know of them.
  Ring(World& world, std::map<SocketAddress, std::size_t> places)
      : world_(world), by_address_(std::move(places)) {}

  // What they saw.
  void saw(const Sighting& sighting) { keep(sightings_, sighting); }
  void killed(const SocketAddress& from) {
    ++circuits_killed_;
    keep(kills_, {.at = now(), .relay = {}, .from = from, .next = {}});
  }
  void dialed(const SocketAddress& from) {
    dialers_.insert(from);
    keep(dials_, {.at = now(), .relay = {}, .from = from, .next = {}});
  }
  void arrived(const Hostile& at, const Arrival& arrival);
  void guess(Rule rule, std::uint64_t number, const NodeId& who);

  // What they know.
  void join(const Hostile& node) {
    ours_.insert(node.id());
    our_addresses_.insert(node.address());
  }
  void invented(const NodeId& id) { invented_.insert(id); }
  const std::set<NodeId>& invented() const { return invented_; }
  bool is_ours(const NodeId& id) const { return ours_.contains(id) || invented_.contains(id); }
  void place(const NodeId& id, std::size_t place) { by_id_[id] = place; }
  /// Of the view, those who are none of us; relays only, if wanted.
  std::vector<NodeId> honest(const netmap::View& view, bool relays) const;
  static std::optional<std::uint64_t> number_of(const Arrival& arrival);

  const std::map<std::uint64_t, Target>& targets() const { return targets_; }
  std::map<std::uint64_t, Target>& targets() { return targets_; }
  const std::set<SocketAddress>& dialers() const { return dialers_; }
  std::uint64_t circuits_killed() const { return circuits_killed_; }
  std::uint64_t came_again() const { return came_again_; }  // messages, on another circuit
  std::optional<std::size_t> place_at(const SocketAddress& address) const;

  /// Told of every arrival: for the books, which know what attackers do not.
  std::function<void(const Hostile&, std::uint64_t number, const Arrival&)> on_arrival;

 private:
  static constexpr std::size_t kKept = 256;
  TimePoint now() const { return world_.now().mono; }
  static void keep(std::deque<Sighting>& list, const Sighting& one) {
    list.push_back(one);
    if (list.size() > kKept) list.pop_front();
  }
  /// The last of the list that is at most `most` old at that time, and not brought by us.
  const Sighting* last(const std::deque<Sighting>& list, TimePoint at, Duration most) const;
  /// Back from who brought a circuit then, over builds that our relays saw on their way there.
  std::optional<SocketAddress> way_back(const SocketAddress& from, TimePoint at) const;
  void guess(Rule rule, Target& target, std::optional<SocketAddress> who) const;

  World& world_;
  std::map<SocketAddress, std::size_t> by_address_;
  std::map<NodeId, std::size_t> by_id_;
  std::set<NodeId> ours_, invented_;
  std::deque<Sighting> sightings_, kills_, dials_;
  std::set<SocketAddress> dialers_, our_addresses_;
  std::map<std::uint64_t, Target> targets_;
  std::uint64_t circuits_killed_ = 0, came_again_ = 0;
};

/// One of each kind; see kinds.cc.
enum class Kind : std::uint8_t {
  ids,
  partial,
  signing,
  liar,
  churner,
  claimer,
  inventor,
  slots,
  idle,
  dead_hops,
  replayer,
  killer,
};
inline constexpr std::size_t kKinds = 12;
std::string_view name_of(Kind kind);
/// Whether honest nodes send to that kind.
bool is_destination(Kind kind);
std::unique_ptr<Hostile> make_attacker(Kind kind, World& world, const SocketAddress& at,
                                       const PeerAddress& bootstrap, Ring& ring);

}  // namespace qudag::testing
