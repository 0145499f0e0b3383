// Routes for messages: drawn from the netmap's view, weighed by how relays behaved before.
// Owned by a shard, used on its thread only.
#pragma once

#include "base/histogram.h"
#include "base/rng.h"
#include "message/messages.h"
#include "netmap/netmap.h"

namespace qudag::node {

class RouteSource final : public message::Routes {
 public:
  /// `cipher`: what this node encrypts fastest with, for the cells of its circuits.
  RouteSource(const NodeId& self, crypto::Cipher cipher, netmap::RoutePolicy policy, Rng& rng)
      : self_(self), cipher_(cipher), policy_(policy), rng_(rng) {}

  void set_view(netmap::ViewPtr view) { view_ = std::move(view); }
  /// First hops of our circuits, oldest first; lives as long as this.
  const std::vector<NodeId>& guards() const { return guards_.ids; }
  /// How long successful builds took, in microseconds.
  const Histogram& build_us() const { return build_us_; }

  Result<std::vector<onion::RouteHop>> draw(const NodeId& destination, unsigned relays,
                                            Now now) override;
  void refused(const onion::RouteHop& hop, Now now) override { history_.refused(hop.id, now); }
  void report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
              Duration took, Now now) override;

 private:
  const NodeId self_;
  const crypto::Cipher cipher_;
  const netmap::RoutePolicy policy_;
  Rng& rng_;
  netmap::ViewPtr view_ = std::make_shared<netmap::View>();
  netmap::Guards guards_;
  netmap::RelayHistory history_;
  Histogram build_us_;
};

}  // namespace qudag::node
