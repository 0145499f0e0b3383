// What the system knows about this machine's addresses, asked when rtnetlink says that they
// changed. A socket is opened for each question and closed again; nothing is sent. Threads: any.
#pragma once

#include <qudag/address.h>

#include <optional>

namespace qudag::runtime {

/// The address that packets to there would come from, port 0; none: there is no way.
std::optional<SocketAddress> source_for(const SocketAddress& to);
/// Whether a socket could be bound to it, whatever its port.
bool is_ours(const SocketAddress& address);

}  // namespace qudag::runtime
