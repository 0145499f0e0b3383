// What relays say of their load (LOAD frames, docs/reference/protocol.md, 4.1). Feeds route choice.
//
// A relay's chance is multiplied by share(): 1 for who says nothing or that it is idle, down to a
// quarter for who says that it is full. Never above 1, so nobody gains by what it says. A report
// counts whole for 30 s and then fades: at 60 s it is as if it had not been said.
//
// Pure, one per shard. Limits: one entry for each link that reported, `entries_max` of them;
// further ones are not kept.
#pragma once

#include "base/link_id.h"
#include "base/time.h"
#include "sync/token_bucket.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace qudag::netmap {

class RelayLoads {
 public:
  static constexpr double kWeightOfLoad = 0.75;
  static constexpr Duration kHolds = std::chrono::seconds(30);
  static constexpr Duration kForgotten = std::chrono::seconds(60);
  // What a relay may report, over all its links: so many at once, and one every two seconds.
  static constexpr std::uint64_t kAtOnce = 4;
  static constexpr Duration kEvery = std::chrono::seconds(2);

  explicit RelayLoads(std::size_t entries_max = 1024) : entries_max_(entries_max) {}

  /// `link` tells links of the same relay apart. False: it came too fast, or there is no room.
  bool heard(const NodeId& relay, LinkId link, std::uint16_t load, Now now);
  void forget(LinkId link);
  /// 0 idle or unknown, 1 full; the highest that it said on any link.
  double load(const NodeId& relay, Now now) const;
  double share(const NodeId& relay, Now now) const { return 1 - kWeightOfLoad * load(relay, now); }
  std::size_t size() const { return heard_.size(); }
  std::size_t entries_max() const { return entries_max_; }

  static constexpr std::size_t kEntryBytes = 128;  // with its node of the tree

 private:
  struct Heard {
    /// In halves: one report takes two, one comes every second. The first link's counts for all of
    /// the relay's.
    sync::TokenBucket bucket;
    double load = 0;
    TimePoint at{};
  };
  std::size_t entries_max_;
  std::map<std::pair<NodeId, LinkId>, Heard> heard_;
};

}  // namespace qudag::netmap
