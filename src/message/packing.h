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

/// What rides in a build: messages of the flow that fit, each whole, as the first payload of the
/// circuit. Its scope is that of messages which were never sent.
struct Rider {
  std::vector<Ridden> ridden;     // by ref
  std::vector<PipeRidden> pipes;  // by number
  std::optional<wire::Scope> told;
  std::uint64_t bytes = 0;  // of DATA

  bool empty() const { return ridden.empty() && pipes.empty(); }
};
/// Fills all of `out` if anything rides.
/// `whole`: it may be kept, so nothing rides that only asks.
Rider pack_rider(Flow& flow, const wire::Scope& scope, MutableBytes out, Context& context,
                 bool whole = false);
/// What a message takes there at most, its frames included.
std::size_t whole_bytes(const Envelope& envelope);
/// Bytes of it left: from there to there, of which an earlier transmission may have sent some.
void count_bytes(const Envelope& envelope, std::uint32_t from, std::uint32_t to, Context& context);
/// What is sent of it waits no longer in its flow's queue.
void count_standing(Envelope& envelope, Context& context);
/// The message, which waited, is under way on that circuit from now on.
void start(CircuitEnd& circuit_end, Envelope& envelope, std::uint32_t ref, Context& context,
           Now now);

/// The messages that wait for this circuit end: its flow's, or at a destination the replies on it.
inline EnvelopeOrder& waiting_for(CircuitEnd& circuit_end) {
  return circuit_end.is_source() ? circuit_end.flow->waiting : circuit_end.replies;
}

}  // namespace qudag::message
