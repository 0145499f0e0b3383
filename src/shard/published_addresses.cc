#include "shard/published_addresses.h"

#include <algorithm>

namespace qudag::shard {
namespace {

/// Of the documentation network (RFC 5737): it stands for "anywhere", and nothing is sent there.
const SocketAddress kAnywhere = SocketAddress::v4(192, 0, 2, 1, 9);

bool is_wildcard(const SocketAddress& address) {
  const auto* const from = address.ip.data() + (address.is_v4() ? 12 : 0);
  return std::all_of(from, address.ip.data() + 16, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::vector<SocketAddress> published_addresses(const Options& options,
                                               const runtime::DatagramSocket& socket) {
  if (!options.publish.empty()) return options.publish;
  const SocketAddress bound = socket.local();
  if (!is_wildcard(bound)) return {bound};
  std::vector<SocketAddress> asked;
  for (const PeerAddress& peer : options.bootstrap) asked.push_back(peer.at);
  asked.push_back(kAnywhere);
  for (const SocketAddress& to : asked) {
    if (auto found = socket.source_for(to)) {
      found->port = bound.port;
      return {*found};
    }
  }
  return {bound};
}

}  // namespace qudag::shard
