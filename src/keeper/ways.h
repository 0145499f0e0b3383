// Routes to keepers, and which relays are keepers (the shard joins this to netmap).
#pragma once

#include "base/time.h"
#include "onion/build.h"

#include <qudag/address.h>

#include <optional>
#include <span>
#include <vector>

namespace qudag::keeper {

class Ways {
 public:
  virtual ~Ways() = default;
  /// Hops in order, the keeper last: three relays before it if `hidden`, else none.
  virtual Result<std::vector<onion::RouteHop>> to_keeper(const NodeId& keeper, bool hidden,
                                                         Now now) = 0;
  /// A keeper that is none of those, nor in the network of one; nothing: there is none.
  virtual std::optional<NodeId> draw_keeper(std::span<const NodeId> others, Now now) = 0;
  /// How a drawn route did, as message::Routes::report.
  virtual void built(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
                     Duration took, Now now) = 0;
  // The same as in message::Routes: others are drawn for a while.
  virtual void late(std::span<const onion::RouteHop> route, bool at_first_link, Now now) = 0;
  virtual void gone(std::span<const onion::RouteHop> route, Now now) = 0;
  virtual void refused(std::span<const onion::RouteHop> route, std::size_t hop, Now now) = 0;
};

}  // namespace qudag::keeper
