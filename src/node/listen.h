// Where a node listens that was not told.
#pragma once

#include <qudag/options.h>

namespace qudag::node {

/// Options::listen; without it all addresses if a bootstrap entry may be on another machine, else
/// loopback. The port is the kernel's choice.
SocketAddress listen_address(const Options& options);
/// Whether that reaches nobody but programs of this machine.
bool only_this_machine(const SocketAddress& bound);

}  // namespace qudag::node
