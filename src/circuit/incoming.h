// A stream that somebody opened to us, until its build says which role we have on the circuit.
//
//   1. the preface, 0x01 || priority: checked byte by byte, before anything is buffered; below
//   priority
//      high the stream may be reset here, because places are kept or the node sheds load;
//   2. the build message, into a temporary of exactly its size; a fifth of it in every two seconds,
//      as the preface, or the stream is reset: a build that dribbles holds a slot for nothing;
//   3. its turn: opening it costs a decapsulation, so a turn opens a few, and links take turns: who
//      asks for many waits for itself;
//   4. our layer of it comes off (onion::accept_build), or the stream is reset with the reason
//      counted;
//   5. the role that the record names takes over: relay.h or destination.h.
#pragma once

#include "circuit/core.h"
#include "sync/fair_lines.h"

namespace qudag::circuit {

class Relay;
class Destination;

class Incoming {
 public:
  Incoming(Core& core, Relay& relay, Destination& destination)
      : core_(core),
        relay_(relay),
        destination_(destination),
        waiting_(core.options.building_max) {}

  void on_opened(StreamId stream, Now now);
  /// Takes from `data` what belongs to preface and build.
  void on_data(Circuit& circuit, Bytes& data, Now now);
  /// The deadline of a build that is being received.
  void on_due(Circuit& circuit, Now now);
  /// Opens those whose turn it is.
  void on_time(Now now);
  TimePoint next_deadline() const { return waiting_.empty() ? kNever : TimePoint::min(); }
  void report(BoundedList& out) const;

 private:
  void whole(Circuit& circuit, Opening& opening, Now now);
  bool has_turn(Now now);
  void forget_gone();
  void take_preface(Circuit& circuit, Opening& opening, Bytes& data, Now now);
  void set_opening_deadline(Circuit& circuit, Now now);
  void refuse_priority(Circuit& circuit, bool overload, Now now);
  void accept(Circuit& circuit, Opening& opening, Now now);
  void refuse(Circuit& circuit, const Error& why, Now now);

  Core& core_;
  Relay& relay_;
  Destination& destination_;
  sync::FairLines<CircuitId, LinkId> waiting_;  // by link; some are gone meanwhile
  TimePoint turn_{};
  std::size_t opened_ = 0;  // in it
};

}  // namespace qudag::circuit
