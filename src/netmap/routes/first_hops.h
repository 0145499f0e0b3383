// How many of this node's circuits begin at each first hop. Feeds the choice between guards.
//
// A circuit that the network ended, not we, goes on counting for about as long as ours live: it
// fades with their mean life. If it did not count, a guard that ends circuits would have the fewest
// and be given the next ones: it could look through many until one suits it. If it counted for
// longer, a relay further on that ends them would drive us to other guards.
//
// Pure, one per node. Limits: kEntriesMax relays; further ones are not counted.
#pragma once

#include "base/time.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace qudag::netmap {

class FirstHops {
 public:
  static constexpr std::size_t kEntriesMax = 1024;
  static constexpr Duration kLifeMin = std::chrono::seconds(5);
  static constexpr Duration kLifeMax = std::chrono::minutes(10);

  void began(const NodeId& relay, Now now);
  /// After it `lived` so long. `by_us`: we closed it; else a relay, the destination or a link did.
  void ended(const NodeId& relay, bool by_us, Duration lived, Now now);
  /// Circuits under way there, and what is left of those that were lost.
  double held(const NodeId& relay, Now now) const;
  std::size_t size() const { return counts_.size(); }

 private:
  struct Count {
    std::uint32_t circuits = 0;
    double lost = 0;  // at `last`; fades from there on
    TimePoint last{};
  };
  double lost_now(const Count& count, TimePoint now) const;

  std::unordered_map<NodeId, Count> counts_;
  Duration life_ = std::chrono::minutes(1);  // of those that we closed, a moving mean
};

}  // namespace qudag::netmap
