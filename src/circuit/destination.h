// The end of a circuit that somebody else built: the reply goes back sealed, then cells are opened
// into payloads, and payloads of ours go back the same way. What rode in the build is handed on
// right behind the reply, which so is the first thing to leave. Nothing here knows who is at the
// source.
//
// Flow: the window is given back when CircuitEvents::on_payload has returned.
#pragma once

#include "circuit/core.h"

namespace qudag::circuit {

class Destination {
 public:
  explicit Destination(Core& core) : core_(core) {}

  /// Of its own role, or of a keeper. `behind`: what the build has behind our record. `came`: when
  /// the build was whole.
  void begin(Circuit& circuit, onion::AcceptedBuild accepted, Bytes behind, TimePoint came,
             Now now);
  /// Takes at most one cell from `data`.
  void on_cell_data(Circuit& circuit, Bytes& data, Now now);
  /// A cell whose turn it is.
  void handle(Circuit& circuit, memory::Block cell, Now now);
  void send(Circuit& circuit, memory::Block payload);

 private:
  Core& core_;
};

}  // namespace qudag::circuit
