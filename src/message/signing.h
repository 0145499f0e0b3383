// Messages that say who sent them (docs/protocol.md, section 7): pk || signature || payload.
//
// Both functions take about a millisecond of the caller's thread and touch nothing but their
// arguments, so that they can move to a worker.
#pragma once

#include "crypto/identity.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "wire/message_frames.h"

namespace qudag::message {

/// Puts the public key and the signature before the payload. refused_memory if there is no
/// block, or no room to hash a payload of several blocks in one piece.
Result<memory::Chain> sign_message(const crypto::Identity& identity, const NodeId& destination,
                                   const wire::MessageId& id, memory::Chain payload,
                                   memory::BlockPool& pool, memory::Budget& budget);

/// Takes both off again and says who signed: authentication_failed if the signature is wrong,
/// refused_memory as above.
Result<NodeId> open_signed(const NodeId& destination, const wire::MessageId& id,
                           memory::Chain& bytes, memory::Budget& budget);

}  // namespace qudag::message
