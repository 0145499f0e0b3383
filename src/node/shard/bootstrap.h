// Keeps a node in the gossip: dials its bootstrap entries, and a few nodes it knows, now and then.
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

namespace qudag::node {

class Bootstrap {
 public:
  using Dial = std::function<void(const PeerAddress&, Now)>;

  Bootstrap(NodeId self, std::vector<PeerAddress> entries, Duration interval, Rng& rng, Dial dial);

  void on_time(Now now, const netmap::View& view, bool ahead);
  TimePoint next_deadline() const { return due_; }

 private:
  void dial_known(Now now, const netmap::View& view);

  const NodeId self_;
  const std::vector<PeerAddress> entries_;
  const Duration interval_;
  Rng& rng_;
  Dial dial_;
  Duration pause_;
  TimePoint due_{};  // at once
};

}  // namespace qudag::node
