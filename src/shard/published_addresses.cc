#include "shard/published_addresses.h"

#include "base/reach.h"

#include <algorithm>
#include <optional>

namespace qudag::shard {
namespace {

/// Of the documentation networks (RFC 5737 and 3849): they stand for "anywhere", and nothing is
/// sent there.
const SocketAddress kAnywhere4 = SocketAddress::v4(192, 0, 2, 1, 9);
constexpr SocketAddress kAnywhere6{
    .ip = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, .port = 9};

bool is_wildcard(const SocketAddress& address) {
  const auto* const from = address.ip.data() + (address.is_v4() ? 12 : 0);
  return std::all_of(from, address.ip.data() + 16, [](std::uint8_t byte) { return byte == 0; });
}

/// Of one family: where the system would send from to the first of those to which there is a way.
std::optional<SocketAddress> source_of(const std::vector<PeerAddress>& peers,
                                       const SocketAddress& anywhere,
                                       const runtime::DatagramSocket& socket) {
  for (const PeerAddress& peer : peers) {
    if (!peer.name.empty() || peer.at.is_v4() != anywhere.is_v4()) continue;
    if (const auto found = socket.source_for(peer.at)) return found;
  }
  return socket.source_for(anywhere);
}

}  // namespace

netmap::Families own_families(const runtime::DatagramSocket& socket) {
  const SocketAddress bound = socket.local();
  if (bound.is_v4()) return netmap::kIpv4;
  if (!is_wildcard(bound)) return netmap::kIpv6;
  netmap::Families out = 0;
  if (socket.source_for(kAnywhere4)) out |= netmap::kIpv4;
  if (socket.source_for(kAnywhere6)) out |= netmap::kIpv6;
  return out == 0 ? netmap::kBothFamilies : out;
}

std::vector<SocketAddress> published_addresses(const Options& options,
                                               const runtime::DatagramSocket& socket) {
  if (!options.publish.empty()) return options.publish;
  const SocketAddress bound = socket.local();
  if (!is_wildcard(bound)) return {bound};
  std::vector<SocketAddress> out;
  for (const SocketAddress& anywhere : {kAnywhere4, kAnywhere6}) {
    if (bound.is_v4() && !anywhere.is_v4()) continue;  // that socket has one family only
    auto found = source_of(options.bootstrap, anywhere, socket);
    if (!found) continue;
    found->port = bound.port;
    out.push_back(*found);
  }
  // A network of one machine beside the world's: those through which it joins decide.
  const auto is_local = [](const SocketAddress& one) { return is_loopback(one); };
  if (std::ranges::any_of(out, is_local) && !std::ranges::all_of(out, is_local)) {
    const bool local = std::ranges::any_of(options.bootstrap, [](const PeerAddress& peer) {
      return peer.name.empty() && is_loopback(peer.at);
    });
    std::erase_if(out, [&](const SocketAddress& one) { return is_loopback(one) != local; });
  }
  return out.empty() ? std::vector{bound} : out;
}

}  // namespace qudag::shard
