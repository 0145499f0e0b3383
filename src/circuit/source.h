// The end of a circuit that we built.
//
//   1. build(): one message with a layer per hop (onion::start_build); a stream to hop 1 is asked
//      for;
//   2. on_extended(): preface and build go out;
//   3. on_reply_data(): the reply opens layer by layer: keys per hop, or which hop could not go on;
//   4. send(): all layers go on at once; on_cell_data(): all come off.
//
// A source is told on the wire what a relay is told, and resets with what a relay resets with:
// `destroyed`, also for its own close(). Anything else would show hop 1 where the circuit begins.
#pragma once

#include "circuit/core.h"

namespace qudag::circuit {

class Source {
 public:
  explicit Source(Core& core) : core_(core) {}

  Result<CircuitId> build(std::span<const onion::RouteHop> route, Priority priority, Now now,
                          Bytes rider, EndKind kind);
  void on_extended(Circuit& circuit, Result<StreamId> stream, Now now);
  /// Takes from `data` what belongs to the reply.
  void on_reply_data(Circuit& circuit, Bytes& data, Now now);
  /// Takes at most one cell from `data`.
  void on_cell_data(Circuit& circuit, Bytes& data, Now now);
  /// A cell whose turn it is.
  void handle(Circuit& circuit, memory::Block cell, Now now);
  void send(Circuit& circuit, memory::Block payload);
  /// Hop 1 ended the stream and it is detached.
  void on_side_gone(Circuit& circuit, EndCode code, Now now);

 private:
  void count_hops(Duration waited, std::span<const onion::HopTimes> times);

  Core& core_;
};

}  // namespace qudag::circuit
