// A shard as the hub and the other shards of its node reach it. On its own thread.
#pragma once

#include "base/bytes.h"
#include "base/link_id.h"
#include "base/time.h"
#include "keeper/service.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "onion/build.h"
#include "runtime/socket.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace qudag::shard {

class Sibling {
 public:
  virtual void set_view(netmap::ViewPtr view, Now now) = 0;
  /// Unless newer ones came before them: posts may overtake each other.
  virtual void set_onion_keys(std::vector<onion::OnionKey> keys, std::uint64_t made_as) = 0;
  /// False: it was not sent.
  virtual bool send_gossip(LinkId link, std::uint8_t type, Bytes body) = 0;
  virtual void close_link(LinkId link, wire::EndCode code, Now now) = 0;
  /// Runs that on its keeper's service; nothing if it is no keeper.
  virtual void on_service(const std::function<void(keeper::Service&, Now)>& task, Now now) = 0;
  /// A datagram of one of its links that another shard's socket was given.
  virtual void take_datagram(runtime::Received datagram, Now now) = 0;

 protected:
  ~Sibling() = default;
};

}  // namespace qudag::shard
