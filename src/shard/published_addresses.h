// Which addresses a node publishes: what the operator says; else what its socket is bound to; else,
// behind a wildcard address, one of each family, where the system would send from to the nodes that
// it joins through.
#pragma once

#include "netmap/routes/families.h"
#include "runtime/socket.h"

#include <qudag/options.h>

#include <vector>

namespace qudag::shard {

std::vector<SocketAddress> published_addresses(const Options& options,
                                               const runtime::DatagramSocket& socket);
/// The IP families in which the socket can send to elsewhere, or to this machine if to nowhere
/// else.
netmap::Families own_families(const runtime::DatagramSocket& socket);

}  // namespace qudag::shard
