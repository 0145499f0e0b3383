// Whether the node is joined (JoinState), from what every shard says of its links and its view.
//
// The shard with the smallest view decides: a send goes to any of them. Who waits is woken by every
// update. Who listens (the log, the handler) keeps the number of the last change that it took.
//
// Threads: update() on the shards' threads, the rest on any. A view changes a few times a second at
// most, so the lock is short and rarely wanted.
#pragma once

#include "base/time.h"
#include "netmap/map/view.h"
#include "shard/seam/environment.h"

#include <qudag/metrics.h>
#include <qudag/node.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::node {

class Joining {
 public:
  /// Before the first update.
  void begin(unsigned shards, bool has_bootstrap);
  /// What is wrong with a bootstrap entry; empty: nothing any more.
  void entry(const std::string& which, std::string_view problem);
  void update(unsigned shard, const shard::Means& means, netmap::ViewPtr view);
  /// The node stops: nobody waits any more.
  void close();

  JoinState state(unsigned relays) const;
  JoinState wait(unsigned relays, Duration timeout) const;
  /// In the view of every shard.
  bool knows(const NodeId& id) const;
  bool wait_known(const NodeId& id, Duration timeout) const;
  /// Of the first shard's view, by id.
  std::vector<KnownNode> nodes() const;

  /// The state, if the node has joined, or is joined no longer, since change number `taken`, which
  /// becomes the last. 0, for who is new: a node that is joined is news.
  std::optional<JoinState> take_change(std::uint64_t& taken);

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
  std::map<std::string, std::string> entries_;  // that are wrong, and why
  bool closed_ = false;
  bool joined_ = false;
  std::uint64_t changes_ = 0;  // of that
};

}  // namespace qudag::node
