// The third part of the demo: a receiver that nobody can reach. Its node is no relay and is known
// to nobody; it may live in a network namespace behind a NAT. Others call it at a keeper.
#pragma once

#include "demo/demo.h"

namespace qudag::app {

inline constexpr std::uint64_t kLetters = 10;
/// The caller, the keeper and the relays between them.
inline constexpr unsigned kReceiverNodesMin = 5;

/// 1 the receiver's node starts and invites, 2 a node of the network has the invitation as a
/// contact and sends the messages and the file, 3 the receiver's node is killed, 4 letters are
/// stored, 5 it starts again and has them.
Result<ReceiverResult> demo_receiver(const Network& network, const Network::Member& caller,
                                     const DemoArgs& args, const std::filesystem::path& file,
                                     Interrupt& interrupt);

}  // namespace qudag::app
