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

/// Fills in the addresses, the first of each family, with the port of `here` for 0; one that is
/// `here` already is not told. False if there is nothing to tell.
bool tell_preferred(ngtcp2_preferred_addr& out, std::span<const SocketAddress> addresses,
                    const SocketAddress& here);

/// Where a dialer goes: the family that it dialed, and an address that reaches as far
/// (base/reach.h).
std::optional<SocketAddress> choose_preferred(const ngtcp2_preferred_addr& told,
                                              const SocketAddress& dialed);

}  // namespace qudag::link
