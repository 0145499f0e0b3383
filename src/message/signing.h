// Messages that say who sent them (docs/protocol.md, section 7): pk || signature || payload.
//
// What is signed is short: the payload's hash, bound to destination and message id. Signing (1.2
// ms) and verifying (0.22 ms), and the hash before both (1 ms for 1 to 2 MB), are for a worker:
// they touch nothing but their arguments, which nobody else uses meanwhile.
#pragma once

#include "crypto/identity.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "wire/message_frames.h"

namespace qudag::message {

/// The payload behind an empty prefix. refused_memory if there is no block for it.
Result<memory::Chain> make_signed(memory::Chain payload, memory::BlockPool& pool);
/// Fills the prefix of a chain that make_signed() made. Any thread.
Status sign_in_place(const crypto::Identity& identity, const NodeId& destination,
                     const wire::MessageId& id, const memory::Chain& bytes);

/// Who signed; authentication_failed if nobody did. `bytes` has a prefix, cut anywhere. Any thread.
Result<NodeId> verify_signed(const NodeId& destination, const wire::MessageId& id,
                             const memory::Chain& bytes);
/// Leaves the payload.
void drop_prefix(memory::Chain& bytes);

}  // namespace qudag::message
