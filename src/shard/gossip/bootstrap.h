// Keeps a node in the gossip: dials its bootstrap entries and its guards now and then; a relay also
// a few other relays. A node that is no relay dials nobody else: whom it dials learns where it is.
//
// A dial is cheap when the link exists. A new link makes the netmap send its digest, which is all
// that joining means. While nobody else is known the dials come faster, with growing pauses.
// Owned by shard 0, used on its thread only.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "netmap/netmap.h"

#include <qudag/address.h>

#include <functional>
#include <vector>

namespace qudag::shard {

class Bootstrap {
 public:
  struct Parts {
    NodeId self;
    bool relay = false;
    std::vector<PeerAddress> entries;
    Duration interval{};
    std::function<void(const PeerAddress& entry, Now now)> dial_entry;
    std::function<void(const NodeId& known, Now now)> dial_known;
    std::function<std::vector<NodeId>()> guards;
    std::function<void(Now now)> begins_round;
  };
  Bootstrap(Parts parts, Rng& rng);

  /// `ahead`: links may be opened before they are needed.
  void on_time(Now now, const netmap::View& view, bool ahead);
  /// The next round is at once, and those after it come as after a start: all that was known may be
  /// worth nothing.
  void begin_again(Now now);
  /// One more, of a node that stops: a relay dials more of the others, so that all of a small
  /// network, and enough of a large one, hear of it from the node itself.
  void last_round(Now now, const netmap::View& view, bool ahead);
  TimePoint next_deadline() const { return due_; }

 private:
  void dial(Now now, const netmap::View& view, std::size_t relays);
  void dial_relays(Now now, const netmap::View& view, std::size_t count);

  const Parts parts_;
  Rng& rng_;
  Duration pause_;
  TimePoint due_{};  // at once
};

}  // namespace qudag::shard
