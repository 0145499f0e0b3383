// Whether others can reach this node at the addresses that it publishes, as far as it can know.
//
// Reached: somebody linked to it from an address that it had never sent anything to. A router or
// firewall that lets answers in would have dropped that. Of an address of the world the whole host
// counts, of others the port as well. Relays try each relay that they hear of
// (docs/reference/protocol.md, 8.2), so this is known within a minute or two of the start.
// Not reached: it has been joined for kPatience, and relays that it never dialed know of it, but
// none of them came.
// Neither: it is not known. A node that dialed every relay there is never learns more.
//
// Bounded: kSentToMax addresses, the oldest goes. Any thread.
#pragma once

#include "base/time.h"
#include "netmap/map/view.h"

#include <qudag/address.h>

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <set>

namespace qudag::node {

class Reachability {
 public:
  static constexpr Duration kPatience = std::chrono::minutes(10);
  static constexpr std::size_t kWitnesses = 3;
  static constexpr std::size_t kSentToMax = 4'096;

  /// False: it publishes nothing that others would dial, and nothing is ever known.
  void begin(const NodeId& self, bool publishes) {
    self_ = self;
    publishes_ = publishes;
  }
  /// A link is ready; `dialed`: by us.
  void on_link(const SocketAddress& remote, bool dialed);
  /// The netmap of the first shard; looks at it once a minute at most.
  void look(const netmap::View& view, bool joined, TimePoint now);

  std::optional<bool> reached() const;
  /// What became known since this was asked last.
  std::optional<bool> take_change();

 private:
  std::size_t witnesses(const netmap::View& view) const;

  mutable std::mutex mutex_;
  NodeId self_{};
  bool publishes_ = false;
  std::set<SocketAddress> sent_to_;
  std::deque<SocketAddress> oldest_;  // of them
  std::optional<TimePoint> joined_at_;
  TimePoint look_at_{};
  std::optional<bool> reached_, told_;
};

}  // namespace qudag::node
