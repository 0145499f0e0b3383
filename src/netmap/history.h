// Local knowledge of how relays behave: what circuits through them did. Feeds route choice.
//
// A build says how long a whole route took. What each hop adds is estimated from many: the
// difference between what a route took and what was expected of its hops is shared among them
// (normalized least mean squares), so a slow relay is told apart from those that stood beside it.
//
// Pure, one per shard, never told to anybody. Limits: `entries_max` relays are remembered; then the
// one that was heard of longest ago is forgotten.
#pragma once

#include "base/time.h"
#include "netmap/loads.h"

#include <qudag/address.h>

#include <cstddef>
#include <span>
#include <unordered_map>

namespace qudag::netmap {

class RelayHistory {
 public:
  /// Below this reliability a relay counts as failing: it is no guard any more.
  static constexpr double kFailing = 0.25;
  static constexpr double kWeightMin = 0.05;

  explicit RelayHistory(std::size_t entries_max = 4096) : entries_max_(entries_max) {}
  static constexpr double kSpeedMin = 1.0 / 3;

  /// A build over these hops: `took` from its start to its end.
  void succeeded(std::span<const NodeId> hops, Duration took, Now now);
  void failed(const NodeId& relay, Now now);
  /// It said that it takes no more now: others are asked for a while, and nothing is held against
  /// it.
  void refused(const NodeId& relay, Now now);
  /// 1 for the unknown; towards 0 with recent failures: they fade over ten minutes.
  double reliability(const NodeId& relay, Now now) const;
  /// 1 for who adds half of what a hop usually adds to a build, or next to nothing; half for the
  /// usual and the unknown; a third for who adds half as much again, or more. Nobody is far from
  /// the others, so that much of the choice is left open.
  double speed(const NodeId& relay) const;
  /// What a relay adds to a build, as far as it is known.
  Duration hop_time(const NodeId& relay) const;
  /// Both together, 0.05 at least.
  double weight(const NodeId& relay, Now now) const;
  /// What route choice goes by: the weight, but hardly anything for a relay that refused lately.
  double chance(const NodeId& relay, Now now) const;
  bool busy(const NodeId& relay, Now now) const;
  /// What relays say of themselves; no part of chance().
  RelayLoads& loads() { return loads_; }
  const RelayLoads& loads() const { return loads_; }
  std::size_t size() const { return records_.size(); }

 private:
  struct Record {
    double failures = 0;  // at `last`; fades from there on
    TimePoint last{};
    TimePoint busy_until{};
    Duration adds{};  // to a build; zero: never seen to work
  };
  static double failures_now(const Record& record, TimePoint now);
  Record& touch(const NodeId& relay, TimePoint now);

  std::size_t entries_max_;
  std::unordered_map<NodeId, Record> records_;
  Duration usual_{};  // what a hop adds, a moving mean; zero: nothing was built
  RelayLoads loads_;
};

}  // namespace qudag::netmap
