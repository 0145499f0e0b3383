// Preferred addresses (RFC 9000, 9.6): where an acceptor would rather have the link than at the
// address that was dialed, as behind an anycast or a balanced one. It tells them in its transport
// parameters, with a connection id and a reset token of their own; the dialer asks whether the path
// works, and moves there, or stays.
#pragma once

#include <qudag/address.h>

#include <ngtcp2/ngtcp2.h>

#include <optional>
#include <span>

namespace qudag::link {

/// How far an address reaches: who believes one that reaches less far than the one it dialed can be
/// made to send to a machine that the teller cannot reach itself (RFC 9000, 21.5.3).
enum class Reach : std::uint8_t { nowhere, machine, link, site, world };
Reach reach_of(const SocketAddress& address);

/// Fills in the addresses, the first of each family, with the port of `here` for 0; one that is
/// `here` already is not told. False if there is nothing to tell.
bool tell_preferred(ngtcp2_preferred_addr& out, std::span<const SocketAddress> addresses,
                    const SocketAddress& here);

/// Where a dialer goes: the family that it dialed, and an address that reaches as far.
std::optional<SocketAddress> choose_preferred(const ngtcp2_preferred_addr& told,
                                              const SocketAddress& dialed);

}  // namespace qudag::link
