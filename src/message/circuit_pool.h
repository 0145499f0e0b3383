// The circuits of flows: built when needed, reused while young and healthy, rotated by age and
// volume, replaced on failure.
//
// Messages that wait while nothing serves ride in the build (packing.h), in each of those that race
// for their flow: the circuit that is ready first has them.
//
//   none -> building -> ready -> draining -> closed
//               \          \________________ ended by the network: messages go back to their flow
//                failed: another route after a short wait, which doubles with each failure
//
// Builds are hedged: beside one that is late (Routes::late_after) others are begun over other
// relays, six at a time, and at most a tenth of all builds beside a few at the start. The first
// that is ready serves, and the others are closed, which is no loss. A flow that has got none ready
// leaves the others as many as it has used, or one destination that never answers would use up what
// all share.
//
// A circuit that others ended costs its flow (flow.h): six are replaced as fast as that, then one
// in five seconds, whether it was being built or at work, and whether it was broken, closed by its
// destination (CLOSE), or its first relay would have another link (GOODBYE). Eight of which a
// relay says that it did not reach the next cost nothing, and what it named is passed over.
//
// One whose other end answers nothing for several round trips, though asked, has ended as well.
//
// A circuit that is too old, has carried too much, or whose first link drains, serves on until its
// successor is ready, then drains: it takes no new messages and is closed when all are acknowledged
// and it has been quiet for flow_idle (an application may still be writing a reply). Nothing here
// sleeps: waits are deadlines of the flow.
#pragma once

#include "message/context.h"
#include "message/flow.h"

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qudag::message {

class CircuitPool {
 public:
  /// What the owner of the messages must know.
  class Listener {
   public:
    virtual ~Listener() = default;
    /// A circuit for the waiting messages could not be had: each has used up an attempt.
    virtual void on_build_failed(Flow& flow, const Error& why, Now now) = 0;
    /// There is no way to the destination: the waiting messages have failed.
    virtual void on_no_way(Flow& flow, const Error& why, Now now) = 0;
    /// A build has left with what rides in it (CircuitEnd::ridden), and that circuit is ready.
    virtual void on_ridden(CircuitEnd& circuit_end, Now now) = 0;
    virtual void on_ready(CircuitEnd& circuit_end, Now now) = 0;
    /// A keeper has what rode in that build, or has no room for it: those messages have ended.
    virtual void on_kept(CircuitEnd& circuit_end, Port::KeptEnd end, Now now) = 0;
  };

  CircuitPool(Context& context, Listener& listener) : context_(context), listener_(listener) {}

  /// The flow of that key, made when there is none; null if there are flows_max already.
  Flow* flow(const FlowKey& key, Now now);
  std::size_t flows() const { return flows_.size(); }
  template <class F>
  void for_each(F&& f) {
    for (auto& [key, flow] : flows_) f(*flow);
  }
  /// Messages::waiting_time.
  Duration waiting_time(Priority priority, Now now) const;
  /// How long the first message of that priority has waited.
  Duration oldest_waiting(Priority priority, Now now) const;

  /// The next serve_marked() looks at the flow.
  void mark(Flow& flow) {
    if (!flow.marked.linked) marked_.push_back(flow);
  }
  void serve_marked(Now now);
  /// Does what the flow needs: circuits, turns for its circuit ends, its next deadline. It may be
  /// gone afterwards.
  void serve(Flow& flow, Now now);

  /// The first link of that circuit drains. Takes note only.
  void wear(CircuitEnd& circuit_end, bool stops, Now now);
  /// The destination said CLOSE: no new messages on that circuit.
  void close_by_peer(CircuitEnd& circuit_end, Now now);
  void on_built(circuit::CircuitId circuit, Duration took, Now now);
  /// The circuit of a source is out of the table, its messages are back in the flow.
  void on_ended(CircuitEnd& circuit_end, const Error& why, std::size_t failed_hop, Now now);
  /// An end that came before build() had returned the circuit.
  void on_ended_early(circuit::CircuitId circuit, const Error& why);
  void clear();

  /// A payload has left, the first since anything came: whether an answer comes is looked at.
  void await_answer(const CircuitEnd& circuit_end);
  /// The next circuit of the flow whose other end has not answered for too long (answering.h);
  /// null: none. Asks those that have not for a while. Of a silent one the relays are passed over.
  CircuitEnd* find_silent(Flow& flow, Now now);

 private:
  static constexpr unsigned kHedgesBurst = 12;
  static constexpr unsigned kHedgeCost = 10;  // builds that are no hedges

  struct EndedEarly {
    circuit::CircuitId circuit;
    Error why;
    std::size_t failed_hop;
  };

  bool worn(const CircuitEnd& circuit_end, Now now) const;
  void drain_worn(Flow& flow, const CircuitEnd& successor, Now now);
  void close_drained(Flow& flow, Now now);
  bool close_idle(Flow& flow, Now now);
  void build_if_needed(Flow& flow, Now now);
  void build(Flow& flow, Now now);
  struct Plan {
    Port::Keep keep = Port::Keep::no;
    std::size_t room = 0;  // for the rider
  };
  Plan plan(const Flow& flow, std::span<const onion::RouteHop> route, Now now) const;
  bool ended_kept(CircuitEnd& circuit_end, const Error& why, Now now);
  void on_away(Flow& flow, const CircuitEnd& circuit_end, const Error& why, Now now);
  Result<std::vector<onion::RouteHop>> draw(Flow& flow, Now now);
  TimePoint late_at(const Flow& flow, Now now) const;
  void hedge(Flow& flow, Now now);
  void drop_late(Flow& flow, const CircuitEnd& ready, Now now);
  bool is_dialed(const Flow& flow, const NodeId& first) const;
  void charge(Flow& flow, Now now);
  static void pay(Flow& flow, Now now);
  void build_failed(Flow& flow, const Error& why, Now now, bool is_free = false);
  void count_loss(CircuitEnd& circuit_end, Now now);
  void wait_before_next(Flow& flow, Now now);
  void set_deadline(Flow& flow, Now now);
  void close(Flow& flow, CircuitEnd& circuit_end, Now now, bool lost_race = false);

  Context& context_;
  Listener& listener_;
  std::unordered_map<FlowKey, std::unique_ptr<Flow>, FlowKeyHash> flows_;
  Flow* last_ = nullptr;  // asked for last: messages of a flow come many at a time
  List<Flow, &Flow::marked> marked_;
  unsigned hedges_left_ = kHedgesBurst * kHedgeCost;

  bool in_build_ = false;  // inside Port::build: events may name a circuit that we do not know yet
  std::vector<EndedEarly> ended_early_;
  std::vector<std::pair<circuit::CircuitId, Duration>> built_early_;
};

}  // namespace qudag::message
