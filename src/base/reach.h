// How far an address reaches: the same machine, the same link, the same site, or the world.
//
// Who dials an address that reaches less far than the path by which it was told can be made to send
// to a machine that the teller cannot reach itself: to its own loopback services, or into its LAN
// (RFC 9000, 21.5.3). So every address that a stranger names is judged by this one function.
#pragma once

#include <qudag/address.h>

#include <cstdint>
#include <optional>
#include <span>

namespace qudag {

enum class Reach : std::uint8_t { nowhere, machine, link, site, world };
inline constexpr std::size_t kReachCount = 5;

/// `nowhere`: unspecified, multicast, broadcast, reserved, or port 0. Addresses of IPv6 that stand
/// for one of IPv4 (RFC 6052 and 3056) reach as far as that one.
Reach reach_of(const SocketAddress& address);

/// 127/8 or ::1, whatever the port.
bool is_loopback(const SocketAddress& address);

/// The network that it is in, wherever that is: the first 16 bits of an IPv4 address, 32 of an IPv6
/// one, apart by family; below 2^33.
std::uint64_t network_prefix(const SocketAddress& address);

/// The same as a sign of who owns it; nothing for one that is not of the world, whose prefix is no
/// sign of that.
std::optional<std::uint64_t> network_of(const SocketAddress& address);

/// One machine, or one that it can make: an IPv4 address, the first 64 bits of an IPv6 one; nothing
/// for one that is not of the world.
std::optional<std::uint64_t> host_of(const SocketAddress& address);

/// Those of the world stand in one network of each family.
bool in_one_network(std::span<const SocketAddress> addresses);

/// May an address be dialed that came over a path of that reach?
inline bool may_dial(const SocketAddress& address, Reach told_over) {
  const Reach reach = reach_of(address);
  return reach != Reach::nowhere && reach >= told_over;
}

}  // namespace qudag
