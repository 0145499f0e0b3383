// Dials bootstrap entries, at all addresses of those that have a name, and says which is wrong.
//
// A name is looked up at each attempt, but not while there is a link, nor when the last dial
// reached the node and gossip says where it is. Each attempt begins with another address: the first
// may be dead for good.
// Owned by shard 0, used on its thread only; it outlives what it asked the resolver for.
#pragma once

#include "base/link_id.h"
#include "base/time.h"
#include "shard/seam/environment.h"

#include <qudag/address.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace qudag::shard {

class EntryDialer {
 public:
  struct Parts {
    std::vector<PeerAddress> entries;
    ShardEnvironment& environment;
    std::function<bool()> may_dial;  // asked when the resolver answers
    std::function<bool(const NodeId& id)> is_linked;
    /// Where the netmap says; false if it does not know the node.
    std::function<bool(const NodeId& id, Now now)> dial_known;
    /// At the first of these that can be dialed: the link, which may be there already.
    std::function<std::optional<LinkId>(const NodeId& id, std::span<const SocketAddress> at,
                                        Now now)>
        dial_at;
  };
  explicit EntryDialer(Parts parts) : parts_(std::move(parts)) {}

  void dial(const PeerAddress& entry, Now now);
  /// A link that we dialed to that node is there.
  void on_reached(const NodeId& id);
  /// One has ended, whether it was there or not.
  void on_closed(LinkId link, const Error& why);

 private:
  void on_looked_up(const PeerAddress& entry, runtime::Addresses found, Now now);
  void dial_at(const PeerAddress& entry, std::span<const SocketAddress> at, Now now);
  std::string number_of(const NodeId& id) const;

  const Parts parts_;
  std::set<std::string> asked_;                // names that are being looked up
  std::map<std::string, std::size_t> dialed_;  // how often each was
  std::set<NodeId> reached_;                   // entries with a name, by the last dial
  std::map<LinkId, NodeId> dialing_;           // of an entry each; not ended yet
  std::set<NodeId> others_;                    // entries at whose address another node is
};

}  // namespace qudag::shard
