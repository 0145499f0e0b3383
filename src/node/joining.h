// Whether the node is joined (JoinState), from what every shard says of its links and its view.
//
// The shard with the smallest view decides: a send goes to any of them. Who waits is woken by every
// change; news for the handler are taken once for each time that the node becomes joined.
//
// Threads: update() on the shards' threads, the rest on any. A view changes a few times a second at
// most, so the lock is short and rarely wanted.
#pragma once

#include "base/time.h"
#include "netmap/map/view.h"
#include "shard/seam/environment.h"

#include <qudag/metrics.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

namespace qudag::node {

class Joining {
 public:
  /// Before the first update.
  void begin(unsigned shards, bool has_bootstrap);
  /// True: there is news for the handler.
  bool update(unsigned shard, const shard::Means& means, netmap::ViewPtr view);
  /// The node stops: nobody waits any more.
  void close();

  JoinState state(unsigned relays) const;
  JoinState wait(unsigned relays, Duration timeout) const;
  /// In the view of every shard.
  bool knows(const NodeId& id) const;
  bool wait_known(const NodeId& id, Duration timeout) const;

  /// A handler is new: a node that is joined is news to it.
  void tell_again();
  /// The state, if it is joined and nobody took it since it became that.
  std::optional<JoinState> take_news();
  /// For the log: the node has joined, or is joined no longer, since the last call.
  std::optional<JoinState> take_change();

 private:
  struct OfShard {
    shard::Means means;
    netmap::ViewPtr view;
  };
  JoinState look(unsigned relays) const;
  bool find(const NodeId& id) const;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<OfShard> shards_;
  bool has_bootstrap_ = false;
  bool closed_ = false;
  bool told_ = false;
  bool said_joined_ = false;  // what the log was told last
};

}  // namespace qudag::node
