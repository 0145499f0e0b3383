// One payload filled with what a circuit end has to say: credit, answers, then fragments of
// messages.
//
// Payloads give the first turn alternately to new messages (first in, first out) and to partly sent
// ones (round robin), so that a message of 64 MiB and one of 256 bytes never wait for each other
// for longer than a cell. What the favoured side leaves of a payload the other side gets.
#pragma once

#include "message/context.h"
#include "message/flow.h"

namespace qudag::message {

/// Progress is told of messages over this size.
inline constexpr std::uint32_t kProgressFrom = 1 << 20;

/// True if pack() would write a frame.
bool has_something_to_send(const CircuitEnd& circuit_end, const Context& context);

/// Fills all of `payload`; what is not used is zero. False if that is all of it.
bool pack(CircuitEnd& circuit_end, MutableBytes payload, Context& context, Now now);

/// The messages that wait for this circuit end: its flow's, or at a destination the replies on it.
inline EnvelopeOrder& waiting_for(CircuitEnd& circuit_end) {
  return circuit_end.is_source() ? circuit_end.flow->waiting : circuit_end.replies;
}

}  // namespace qudag::message
