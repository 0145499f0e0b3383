// Local knowledge of how relays behave: what circuits through them did. Feeds route choice.
//
// A build says how long a whole route took. What each hop adds is estimated from many: the
// difference between what a route took and what was expected of its hops is shared among them
// (normalized least mean squares), so a slow relay is told apart from those that stood beside it.
//
// What this node saw itself (its own link, the first hop's own refusal) is kept apart from what
// others say or make look so: who is to blame for a build that failed further on is a matter of
// words. Each witness, the one at the other end of the break, counts a few times for each relay and
// then no more until it has faded, and both ends of a break are suspected: who frames others loses
// most itself.
//
// Pure, one per shard, never told to anybody. Limits: `entries_max` relays are remembered; then the
// one that was heard of longest ago is forgotten.
#pragma once

#include "base/time.h"
#include "netmap/routes/loads.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

namespace qudag::netmap {

class RelayHistory {
 public:
  /// Below this reliability a relay counts as failing: it is no guard any more.
  static constexpr double kFailing = 0.25;
  static constexpr double kWeightMin = 0.05;
  static constexpr double kLateWeight = kWeightMin / 20;
  /// More failures count no more: after an outage of ours a guard is asked again within minutes,
  /// however often it was asked in vain.
  static constexpr double kFailuresMax = 1 / kWeightMin - 1;

  explicit RelayHistory(std::size_t entries_max = 4096) : entries_max_(entries_max) {}
  static constexpr double kSpeedMin = 1.0 / 3;

  /// How long a build proves its relays: by then a descriptor's death is known by the netmap.
  static constexpr Duration kProvenFor = std::chrono::minutes(10);
  /// By so much a relay without proof is less likely than one with it.
  static constexpr double kUnproven = 1.0 / 4;

  /// What one witness adds, and how often it does.
  static constexpr double kDoubt = 0.5;
  static constexpr unsigned kDoubtsOfOne = 3;

  /// A build over these hops: `took` from its start to its end. It proves all of them but the last,
  /// which is the destination.
  void succeeded(std::span<const NodeId> hops, Duration took, Now now);
  /// Our own link to it did, or it did itself at the other end of that link.
  void failed(const NodeId& relay, Now now);
  /// A build over these hops failed: at that one as far as anybody said (SIZE_MAX: nobody did). The
  /// first hop fails by our link or its own word only; of a break between two others both are
  /// suspected, and are proven no more unless one is the destination, and who was not reached has
  /// hardly a chance() for half a minute, unless the first hop says so; of one that nobody explains
  /// all but the first are suspected, with the destination as witness.
  void broke(std::span<const NodeId> hops, std::size_t failed_hop, Now now);
  /// It may be to blame for a build that failed behind our link; `witness` is who else may be.
  void suspect(const NodeId& relay, const NodeId& witness, Now now);
  /// It said that it takes no more now: others are asked for a while, and nothing is held against
  /// it. `itself`: it told us on our own link; else somebody between us did.
  void refused(const NodeId& relay, Now now, bool itself = true);
  /// It stands behind the first hop of a build that takes long: others are drawn for a while if
  /// there are any, and nothing is held against it.
  void late(const NodeId& relay, Now now);
  /// It has not answered our dial for long: those guards that did are asked for a while. `gone`:
  /// for so long that the dial or the link ended, which is waited for no more.
  void unanswered(const NodeId& relay, Now now, bool gone = false);
  void answered(const NodeId& relay);
  /// 1 for the unknown; towards 0 with failures of its own: they fade over ten minutes.
  double reliability(const NodeId& relay, Now now) const;
  /// The same, with what others made us suspect.
  double trust(const NodeId& relay, Now now) const;
  /// It was a relay of a circuit that was built within kProvenFor: it is there, as it is reached
  /// from its neighbours on a route.
  bool proven(const NodeId& relay, Now now) const;
  /// This node has built circuits through it.
  bool measured(const NodeId& relay) const;
  /// 1 for who adds half of what a hop usually adds to a build, or next to nothing; half for the
  /// usual and the unknown; a third for who adds half as much again, or more. Nobody is far from
  /// the others, so that much of the choice is left open.
  double speed(const NodeId& relay) const;
  /// What a relay adds to a build, as far as it is known.
  Duration hop_time(const NodeId& relay) const;
  /// Trust and speed together, 0.05 at least.
  double weight(const NodeId& relay, Now now) const;
  /// What route choice goes by: trust, and speed squared (of the powers the one that gains most on
  /// maps of relays with places); hardly anything for a relay that is said to have refused lately.
  double chance(const NodeId& relay, Now now) const;
  /// It told us itself.
  bool busy(const NodeId& relay, Now now) const;
  bool is_late(const NodeId& relay, Now now) const;
  /// For `least` at least.
  bool is_unanswered(const NodeId& relay, Duration least, Now now) const;
  /// Grows with every failure, suspicion and refusal.
  std::uint64_t changes() const { return changes_; }
  /// What relays say of themselves; no part of chance().
  RelayLoads& loads() { return loads_; }
  const RelayLoads& loads() const { return loads_; }
  std::size_t size() const { return records_.size(); }

  /// What RelayDraw found out of all relays together, and of what; it holds for a while.
  struct Cap {
    std::uint64_t view = 0;  // View::number()
    bool by_load = false;
    bool by_speed = false;
    bool by_proof = false;
    TimePoint at{};
    std::uint64_t changes = 0;
    double height = 1;
  };
  static constexpr Duration kCapHolds = std::chrono::seconds(1);
  Cap& cap() const { return cap_; }

 private:
  struct Record {
    double failures = 0;  // of its own, at `last`; fades from there on
    double doubts = 0;    // likewise
    TimePoint last{};
    TimePoint busy_until{};
    TimePoint said_busy_until{};
    TimePoint late_until{};
    TimePoint unreached_until{};  // as another said: for chance(), which is capped, alone
    TimePoint proven_until{};
    TimePoint unanswered_since{}, unanswered_until{};
    std::uint64_t witnesses =
        0;            // how often each was heard: two bits for each of 32 groups of them
    Duration adds{};  // to a build; zero: never seen to work
  };
  static double left_of(double count, const Record& record, TimePoint now);
  Record& touch(const NodeId& relay, TimePoint now);

  std::size_t entries_max_;
  std::unordered_map<NodeId, Record> records_;
  Duration usual_{};  // what a hop adds, a moving mean; zero: nothing was built
  std::uint64_t changes_ = 0;
  mutable Cap cap_;
  RelayLoads loads_;
};

}  // namespace qudag::netmap
