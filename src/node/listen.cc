#include "node/listen.h"

#include "base/reach.h"

#include <algorithm>

namespace qudag::node {

SocketAddress listen_address(const Options& options) {
  if (options.listen) return *options.listen;
  const bool elsewhere = std::ranges::any_of(options.bootstrap, [](const PeerAddress& peer) {
    return !peer.name.empty() || !is_loopback(peer.at);
  });
  return elsewhere ? SocketAddress{} : SocketAddress::v4(127, 0, 0, 1, 0);  // [::]: both families
}

bool only_this_machine(const SocketAddress& bound) { return is_loopback(bound); }

}  // namespace qudag::node
