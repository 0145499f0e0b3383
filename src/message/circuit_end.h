// A circuit as messages see it: both directions' numbers, what is on its way, what must be
// answered.
//
// Every circuit that ends here has one, and every circuit that a flow asked for, from the moment it
// is being built.
#pragma once

#include "circuit/circuits.h"
#include "message/answering.h"
#include "message/assembly.h"
#include "message/envelope.h"
#include "message/owed.h"
#include "message/pipe/record.h"
#include "message/rests.h"
#include "message/taken_ids.h"
#include "sync/fifo.h"

#include <memory>
#include <unordered_map>
#include <vector>

namespace qudag::message {

using sync::Fifo;

/// Started and not yet acknowledged, at most, on one circuit: what one window of credit holds of
/// 256-byte messages. So a peer never owes more than so many acknowledgements.
inline constexpr std::size_t kUnackedMax = limits::kUnackedMax;
/// Frames waiting to be sent back, at most. More can only be owed to a peer that does not read.
inline constexpr std::size_t kControlMax = limits::kControlFramesMax;

/// So many are part of the circuit's record; the room for more is reserved.
inline constexpr std::size_t kControlFirst = 512;
/// PONGs among them. Who sends more PINGs than it reads PONGs gets none for the later ones.
inline constexpr std::size_t kPongsMax = limits::kPongFramesMax;

/// Marks of one circuit: one for each 256 KiB of large messages, within a window of credit.
inline constexpr std::size_t kMarksMax = limits::kProgressMarksMax;

/// A frame that is not DATA and not CREDIT. Of pipes only those that end one: others are said by
/// its record.
struct ControlFrame {
  wire::FrameType type = wire::FrameType::padding;
  wire::AckStatus status = wire::AckStatus::cancelled;  // of an ACK
  PipeCode code = PipeCode::none;                       // of OPENED, MOVED and RESET
  std::uint32_t ref = 0;                                // of those: the pipe's number
  std::uint64_t token = 0;                              // of a PONG; of a HELD: the offset
};

/// Frames that wait to be sent back, in their order. Tokens lie apart: nearly all frames are ACKs.
/// HELDs are no more than messages may begin before a peer reads what they are.
class ControlQueue {
 public:
  bool empty() const { return frames_.empty(); }
  std::size_t size() const { return frames_.size(); }
  /// Type, status and ref of the next one.
  ControlFrame next() const {
    const Short& one = frames_.front();
    return {.type = one.type, .status = one.status, .code = one.code, .ref = one.ref};
  }
  ControlFrame pop_front();
  /// False if the peer lets too many pile up, or there is no memory for so many.
  [[nodiscard]] bool push_back(const ControlFrame& frame, memory::Budget& budget);
  std::uint64_t reserved_bytes() const { return reserved_.bytes(); }

  struct Short {
    std::uint32_t ref = 0;
    wire::FrameType type = wire::FrameType::padding;
    wire::AckStatus status = wire::AckStatus::cancelled;
    PipeCode code = PipeCode::none;
  };

 private:
  [[nodiscard]] bool make_room(memory::Budget& budget);

  Fifo<Short> frames_;
  Fifo<std::uint64_t> tokens_;
  std::size_t pongs_ = 0;  // of those
  std::size_t room_ = kControlFirst;
  std::size_t left_out_ = 0;  // PONGs, since all was sent
  memory::Reservation reserved_;
};

/// "When the peer's credit passes `position`, it has taken `done` bytes of this message."
struct ProgressMark {
  std::uint64_t position = 0;  // in the DATA bytes of the circuit
  std::uint64_t send = 0;      // SendId
  std::uint64_t done = 0;
  std::uint64_t all = 0;
};

/// A message in a build: whole, or, if it moved here, the question what the destination has of it.
struct Ridden {
  SlotHandle envelope;
  bool asks = false;
};

struct CircuitEnd {
  circuit::CircuitId circuit;
  LinkId link;  // at a destination: that it came over
  Priority priority = Priority::normal;
  Flow* flow = nullptr;  // set: we are the source
  std::size_t payload_bytes = 0;
  std::optional<NodeId> receiver;  // at a destination that is not this node itself
  bool letter = false;             // at a destination: it was kept for us, and nobody is there
  bool ready = false;
  bool dead = false;     // out of the table, freed when the outermost call returns
  bool closing = false;  // the peer will end it: no new messages
  // Of the source: the scope of messages that are first sent here, and the one told last. At a
  // destination: the one told last.
  wire::Scope scope{};
  std::optional<wire::Scope> told;
  TimePoint active{};  // the last payload in either direction

  // The source's view of its circuit.
  std::vector<onion::RouteHop> route;
  TimePoint asked{};
  Duration age_max = Duration::max();  // its own: circuits of one hour do not end together
  std::uint64_t bytes_max = UINT64_MAX;
  bool draining = false;                        // replaced: no new messages, closed when quiet
  bool worn = false;                            // its first link drains
  bool proven = false;                          // something was acknowledged on it
  bool kept_if_away = false, deposits = false;  // how its build may end: Port::Keep
  // What rides in its build, by ref. It waits in the flow all the same, and may ride in other
  // builds as well: the circuit that is ready first has it.
  std::vector<Ridden> ridden;

  // Sending.
  std::uint32_t next_ref = 0;
  std::uint64_t sent = 0;
  std::uint64_t credit = 0;
  EnvelopeOrder started;   // by ref
  EnvelopeTurns turns;     // partial ones, in the order of their turns
  std::size_t asking = 0;  // started, and the peer has not said yet from where they go on
  EnvelopesByRef by_ref;
  EnvelopeOrder replies;           // at a destination: waiting for this circuit end
  std::uint64_t answers_owed = 0;  // acknowledgements that will come for messages we gave up
  bool new_first = true;           // who fills the next payload first: new or partial messages
  bool cut = false;                // the last payload ended inside a small message
  ControlQueue control;
  TimePoint last_sent{};  // the last payload that left
  Answering answering;
  Fifo<ProgressMark> marks;
  TakenIds taken;  // of the source: what may be replied to

  // Receiving.
  std::uint32_t next_ref_in = 0;
  std::uint64_t received = 0;
  std::uint64_t announced = 0;  // the credit that the peer knows of
  AssemblyOrder arriving;
  AssembliesByRef arriving_by_ref;
  Rests rests;
  AssemblyOrder to_verify;  // whole ones whose signature is to be verified, and is being verified
  AssemblyOrder being_verified;
  OwedOrder owed;                 // handed out; the application says later what became of them
  Links<CircuitEnd> verify_turn;  // something is to be verified

  Links<CircuitEnd> marked;  // something may be ready to be sent

  std::unique_ptr<PipesOnCircuit> pipes;  // null: there never was one
  bool pipes_first = true;                // who fills the next payload first: pipes or messages

  bool has_pipes() const { return pipes != nullptr && !pipes->here.empty(); }
  bool is_source() const { return flow != nullptr; }
  /// Begun on the wire and not complete there.
  std::size_t partial() const { return turns.size() + asking; }
  bool takes_new() const { return ready && !closing && !draining && !dead; }
  /// Nothing on its way in either direction.
  bool quiet() const {
    return started.empty() && replies.empty() && arriving.empty() && to_verify.empty() &&
           being_verified.empty() && owed.empty() && !has_pipes();
  }
};

/// The circuit ends of a shard, by circuit.
class CircuitEnds {
 public:
  CircuitEnd& add(circuit::CircuitId circuit, Priority priority, std::uint64_t credit, Now now);
  CircuitEnd* find(circuit::CircuitId circuit) const;
  /// Takes it out of the table. The record lives until bury().
  void retire(CircuitEnd& circuit_end);
  void bury() { retired_.clear(); }
  std::size_t size() const { return table_.size(); }
  void report(BoundedList& out) const;
  /// f(circuit_end) for all of them.
  template <class F>
  void for_each(F&& f) const {
    for (const auto& [id, circuit_end] : table_) f(*circuit_end);
  }
  /// Any one of them; null if there are none.
  CircuitEnd* any() const { return table_.empty() ? nullptr : table_.begin()->second.get(); }

  /// The next pump looks at it.
  void mark(CircuitEnd& circuit_end) {
    if (!circuit_end.marked.linked && !circuit_end.dead) marked_.push_back(circuit_end);
  }
  CircuitEnd* take_marked() { return marked_.pop_front(); }
  std::size_t marked() const { return marked_.size(); }

  /// Queues a frame and marks the circuit end. False if the peer lets too many pile up, or there is
  /// no memory for so many.
  [[nodiscard]] bool queue(CircuitEnd& circuit_end, const ControlFrame& frame,
                           memory::Budget& budget);
  /// Asks the other end for a sign of life, unless it is asked. False: there is no room for that.
  bool ping(CircuitEnd& circuit_end, memory::Budget& budget, Now now) {
    if (circuit_end.answering.is_asked()) return true;
    if (!queue(circuit_end, {.type = wire::FrameType::ping}, budget)) return false;
    circuit_end.answering.asked(now.mono);
    return true;
  }

 private:
  struct Hash {
    std::size_t operator()(std::uint64_t id) const {
      return static_cast<std::size_t>(id ^ (id >> 32));
    }
  };
  std::unordered_map<std::uint64_t, std::unique_ptr<CircuitEnd>, Hash> table_;
  std::vector<std::unique_ptr<CircuitEnd>> retired_;
  List<CircuitEnd, &CircuitEnd::marked> marked_;
};

}  // namespace qudag::message
