// The relay's part of a circuit: extend it to the next hop, then pass cells on in both directions.
//
//   1. begin(): the build had our layer; a stream to the next hop is asked for;
//   2. on_extended(): preface and what is left of the build go out;
//   3. the reply comes back, gets our layer and goes on; the circuit is ready;
//   4. cells: one layer off (forward) or on (backward), in place, and out on the other stream;
//   5. any end of one side resets the other with `destroyed`.
//
// Flow: bytes in and bytes out are equal in each direction, so what leaves on one stream is what is
// given back on the other, byte by byte. A relay therefore holds at most one window per direction.
//
// A hop that cannot go on says so with a sealed reply, which only the source can read, and leaves
// the reset to the source, which has read it by then; its own comes after a deadline.
#pragma once

#include "circuit/core.h"

namespace qudag::circuit {

class Relay {
 public:
  explicit Relay(Core& core) : core_(core) {}

  /// `came`: when the build was whole.
  void begin(Circuit& circuit, onion::AcceptedBuild accepted,
             std::unique_ptr<onion::BuildMessage> message, TimePoint came, Now now);
  void on_extended(Circuit& circuit, Result<StreamId> stream, Now now);
  /// Takes from `data`, which came from the next hop, what belongs to the reply.
  void on_reply_data(Circuit& circuit, Bytes& data, Now now);
  /// Takes at most one cell from `data`.
  void on_cell_data(Circuit& circuit, Neighbor from, Bytes& data, Now now);
  void on_sent(Circuit& circuit, Neighbor to, std::size_t bytes, Now now);
  /// `from` is gone and detached.
  void on_side_gone(Circuit& circuit, Neighbor from, EndCode code, const Error& why, Now now);

  /// With a reply that only the source can read.
  void refuse(Circuit& circuit, const onion::AcceptedBuild& accepted, onion::BuildStatus status,
              Now now);

 private:
  void write_reply(Circuit& circuit, const onion::ReplyMessage& reply, Now now);

  Core& core_;
};

}  // namespace qudag::circuit
