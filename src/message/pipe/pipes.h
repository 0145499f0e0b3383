// Pipes of a shard, over the circuits of its flows and those that end here
// (docs/reference/protocol.md, section 7.3).
//
//   open -> flow -> (circuit pool) -> attach: OPEN, BYTES -> OPENED -> open
//   OPEN -> offer to the application -> accept: OPENED, or refuse
//   a circuit ends, or is worn -> the opener attaches to the next one: MOVE -> MOVED -> both go on
//
// pipes.cc: the application's side, tables, memory, what is told. opener.cc and server.cc: the
// circuits and questions of each role. frames.cc: the other frames, and what goes into a payload.
//
// Memory: every byte of a window is reserved before it is told, and what is written before it is
// kept: from the claim of the priority and from what pipes may hold together. Threads: the shard's,
// but for PipesOfNode. Limits: 256 pipes of a circuit, `places` of the node.
#pragma once

#include "message/known/key.h"
#include "message/messages.h"
#include "message/pipe/record.h"
#include "wire/message_frames.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qudag::message {

struct Context;
class CircuitPool;
struct ControlFrame;

/// From its opening to its on_pipe_closed.
struct PipeAsk {
  NodeId destination;
  std::string service;
  PipeOptions options;
};

class Pipes {
 public:
  explicit Pipes(Context& context);
  ~Pipes();
  void attach_pool(CircuitPool& pool) { pool_ = &pool; }

  // ---- The application. An id that has ended does nothing. ----
  /// refused_queue_full, refused_memory, invalid_argument, shutting_down; events follow later.
  Result<PipeId> open(const PipeAsk& ask, Now now);
  void accept(PipeId id, Now now);
  void refuse(PipeId id, PipeCode code, Now now);
  /// The bytes are reserved (reserve_written) by the caller, from the claim of the pipe's
  /// priority; they are given back here.
  void write(PipeId id, Priority priority, memory::Chain&& bytes, Now now);
  void end(PipeId id, Now now);
  void reset(PipeId id, PipeCode code, Now now);
  void take(PipeId id, std::uint64_t bytes, Now now);
  /// Of what was written; for who asks whether more may be.
  std::uint64_t taken_by_peer(PipeId id) const;
  /// A write found no memory: on_pipe_room comes again soon.
  void ask_room(PipeId id, Now now);

  // ---- Frames of pipes. False: the peer broke the protocol. ----
  [[nodiscard]] bool on_frame(CircuitEnd& circuit_end, const wire::Frame& frame,
                              memory::Block* payload, Now now);

  // ---- Circuits ----
  /// The circuit end is out of the table.
  void on_circuit_ended(CircuitEnd& circuit_end, const Error& why, Now now);
  /// A circuit of a source is ready: what rode in its build is on it.
  void on_ready(CircuitEnd& circuit_end, Now now);
  /// Waiting pipes of the flow get places on its circuits, and those on worn circuits move.
  void serve(Flow& flow, Now now);
  void on_no_way(Flow& flow, const Error& why, Now now);
  void on_build_failed(Flow& flow, const Error& why);
  /// When serve() is to be called again for the sake of the flow's pipes.
  TimePoint next_look(const Flow& flow, Now now) const;

  // ---- Payloads ----
  /// OPENs, MOVEs and first bytes of waiting pipes into a build. True if anything was put.
  bool ride(Flow& flow, ByteWriter& out, std::vector<PipeRidden>& ridden);
  void put_signals(CircuitEnd& circuit_end, ByteWriter& out, Now now);
  /// BYTES and END of the next pipe in turn. False: nothing fits, or there is nothing.
  bool put_bytes(CircuitEnd& circuit_end, ByteWriter& out);

  void on_due(PipeRecord& pipe, Now now);
  /// Tells the application what is to be told; calls of it may come back in.
  void flush(Now now);
  /// The node stops: every pipe is reset, and no new one comes.
  void stop(Now now);
  /// After stop(): nothing is left.
  void clear(Now now);
  /// Memory is short: windows are not raised beyond the first one.
  void set_tight(bool tight) { tight_ = tight; }

  // ---- From one shard to another: the opener moved to a circuit that ends at that one. ----
  struct Parcel;
  /// Null: no such pipe, or one that has seen that attempt.
  std::unique_ptr<Parcel> give_away(PipeId& was, const wire::PipeKey& key, std::uint32_t attempt);
  /// What PipeListener::fetch_pipe asked for; null: nobody has it. Of the id that it gets here
  /// events come from now on; none if nothing waits for it here: the parcel is as it was.
  std::optional<PipeId> take_over(const wire::PipeKey& key, Parcel* parcel, Now now);

  std::vector<PipeStatus> list(Now now) const;
  void report(BoundedList& out) const;
  std::size_t size() const { return records_.size(); }
  std::size_t parked() const { return parked_.size(); }

 private:
  friend struct PipeTests;
  PipeRecord* find(PipeId id);
  PipeRecord* add(bool opener, Priority priority, Now now);
  static PipesOnCircuit& on(CircuitEnd& circuit_end, Now now);
  void tell(PipeRecord& pipe, Telling what);
  void say(PipeRecord& pipe, Saying what);
  void wake(PipeRecord& pipe);
  void set_deadline(PipeRecord& pipe);
  void look_at_window(PipeRecord& pipe, Now now);
  void widen(PipeRecord& pipe, Now now);
  void look_at_room(PipeRecord& pipe);
  void attach(PipeRecord& pipe, CircuitEnd& circuit_end, Now now);
  void give_number(PipeRecord& pipe, std::uint32_t number);
  void detach(PipeRecord& pipe);
  void wait(PipeRecord& pipe);
  void unpark(PipeRecord& pipe);
  void free(PipeRecord& pipe, std::uint64_t bytes);
  bool go_on(PipeRecord& pipe, std::uint64_t received, std::uint64_t taken, std::uint64_t limit);
  bool may_hear(const PipeRecord& pipe) const;
  static void put_question(const PipeRecord& pipe, std::uint32_t number, ByteWriter& out);
  void park(PipeRecord& pipe, Now now);
  void close(PipeRecord& pipe, PipeEnd::How how, PipeCode code, bool by_peer, Error reason);
  void break_off(PipeRecord& pipe, PipeCode code, PipeEnd::How how, Error reason, Now now);
  void look_if_done(PipeRecord& pipe, Now now);
  void erase(PipeRecord& pipe);
  void release(PipeRecord& pipe);
  void answer(CircuitEnd& circuit_end, wire::FrameType type, std::uint32_t number, PipeCode code);
  [[nodiscard]] bool over(CircuitEnd& circuit_end, std::uint32_t number, std::size_t bytes) const;
  void begin_asking(PipeRecord& pipe);
  TimePoint next_ping(Now now) const;
  CircuitEnd* place_in(const Flow& flow, const CircuitEnd* other_than, Now now) const;
  void put_signal(PipeRecord& pipe, ByteWriter& out, Now now);
  void put_first_bytes(PipeRecord& pipe, std::uint32_t number, ByteWriter& out);
  void on_in(PipeRecord& pipe, Now now);

  bool on_open(CircuitEnd& circuit_end, const wire::OpenFrame& frame, Now now);
  bool on_opened(CircuitEnd& circuit_end, const wire::OpenedFrame& frame, Now now);
  bool on_bytes(CircuitEnd& circuit_end, const wire::BytesFrame& frame, memory::Block* payload,
                Now now);
  bool on_limit(CircuitEnd& circuit_end, const wire::LimitFrame& frame, Now now);
  bool on_end(CircuitEnd& circuit_end, const wire::EndFrame& frame, Now now);
  bool on_reset(CircuitEnd& circuit_end, const wire::ResetFrame& frame, Now now);
  bool on_move(CircuitEnd& circuit_end, const wire::MoveFrame& frame, Now now);
  bool on_moved(CircuitEnd& circuit_end, const wire::MovedFrame& frame, Now now);
  bool take_number(CircuitEnd& circuit_end, std::uint32_t number, Now now);
  PipeCode refusal_of(const CircuitEnd& circuit_end) const;
  bool open_again(PipeRecord& pipe, CircuitEnd& circuit_end, const wire::OpenFrame& frame, Now now);
  bool move_here(PipeRecord& pipe, CircuitEnd& circuit_end, const wire::MoveFrame& frame, Now now);
  bool keep(PipeRecord& pipe, Bytes bytes, memory::Block* payload);
  void tell_one(PipeRecord& pipe, Now now);

  struct KeyTraits : IdHash {
    static const wire::PipeKey& key(const PipeRecord& p) { return p.key; }
  };

  Context& context_;
  CircuitPool* pool_ = nullptr;
  SlotMap<PipeRecord> records_;
  Index<PipeRecord, &PipeRecord::same_key, KeyTraits> by_key_;  // those of openers elsewhere
  PipesToTell to_tell_;
  PipesInPlace parked_;  // of servers, the oldest first
  std::size_t offered_ = 0;
  struct Awaiting {
    circuit::CircuitId circuit;
    wire::MoveFrame move;
  };
  std::vector<Awaiting> awaiting_;           // pipes of other shards that move to a circuit here
  const std::shared_ptr<PipesOfNode> node_;  // owners: the pipes of all shards
  bool flushing_ = false;
  bool tight_ = false;
};

}  // namespace qudag::message
