// Local knowledge of how relays behave: what circuits through them did. Feeds route choice.
//
// Pure, one per shard, never told to anybody. Limits: `entries_max` relays are remembered; then the
// one that was heard of longest ago is forgotten.
#pragma once

#include "base/time.h"
#include "netmap/loads.h"

#include <qudag/address.h>

#include <cstddef>
#include <unordered_map>

namespace qudag::netmap {

class RelayHistory {
 public:
  /// Below this weight a relay counts as failing: it is no guard any more.
  static constexpr double kFailingWeight = 0.25;
  static constexpr double kWeightMin = 0.05;

  explicit RelayHistory(std::size_t entries_max = 4096) : entries_max_(entries_max) {}
  /// `took`: from the start of a build through it to its end.
  void succeeded(const NodeId& relay, Duration took, Now now);
  void failed(const NodeId& relay, Now now);
  /// It said that it takes no more now: others are asked for a while, and nothing is held against
  /// it.
  void refused(const NodeId& relay, Now now);
  /// 1 for the unknown; towards 0.05 with recent failures (they fade over ten minutes), and down to
  /// half for a relay whose circuits take long to build.
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
    Duration took{};  // moving average; zero: never seen to work
  };
  static double failures_now(const Record& record, TimePoint now);
  Record& touch(const NodeId& relay, TimePoint now);

  std::size_t entries_max_;
  std::unordered_map<NodeId, Record> records_;
  RelayLoads loads_;
};

}  // namespace qudag::netmap
