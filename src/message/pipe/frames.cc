// Frames that both ends read alike, and what goes into a payload.
#include "message/context.h"
#include "message/pipe/pipes.h"

#include <algorithm>
#include <cstring>
#include <variant>

namespace qudag::message {
namespace {

/// No frame is made for fewer bytes, unless they are all.
constexpr std::size_t kBytesMin = 16;
/// A turn of a pipe beside others.
constexpr std::size_t kTurnBytes = 2048;

PipeRecord* pipe_of(const CircuitEnd& circuit_end, std::uint32_t number) {
  return circuit_end.pipes == nullptr ? nullptr : circuit_end.pipes->find(number);
}

}  // namespace

bool Pipes::on_frame(CircuitEnd& circuit_end, const wire::Frame& frame, memory::Block* payload,
                     Now now) {
  if (const auto* bytes = std::get_if<wire::BytesFrame>(&frame)) {
    return on_bytes(circuit_end, *bytes, payload, now);
  }
  if (const auto* limit = std::get_if<wire::LimitFrame>(&frame)) {
    return on_limit(circuit_end, *limit, now);
  }
  if (const auto* end = std::get_if<wire::EndFrame>(&frame)) return on_end(circuit_end, *end, now);
  if (const auto* reset = std::get_if<wire::ResetFrame>(&frame)) {
    return on_reset(circuit_end, *reset, now);
  }
  if (const auto* open = std::get_if<wire::OpenFrame>(&frame)) {
    return on_open(circuit_end, *open, now);
  }
  if (const auto* opened = std::get_if<wire::OpenedFrame>(&frame)) {
    return on_opened(circuit_end, *opened, now);
  }
  if (const auto* move = std::get_if<wire::MoveFrame>(&frame)) {
    return on_move(circuit_end, *move, now);
  }
  return on_moved(circuit_end, std::get<wire::MovedFrame>(frame), now);
}

/// A server says nothing before it has answered, on each circuit.
bool Pipes::may_hear(const PipeRecord& pipe) const { return !pipe.opener || !pipe.asking; }

bool Pipes::on_bytes(CircuitEnd& circuit_end, const wire::BytesFrame& frame, memory::Block* payload,
                     Now now) {
  PipeRecord* const pipe = pipe_of(circuit_end, frame.pipe);
  if (pipe == nullptr) return over(circuit_end, frame.pipe, frame.bytes.size());
  if (!may_hear(*pipe)) return false;
  const auto fresh = pipe->in.on_bytes(frame.bytes.size());
  if (!fresh) return false;
  context_.stats.pipe_bytes_received += *fresh;
  if (*fresh == 0) {
    look_at_window(*pipe, now);
    return true;
  }
  const bool whole = *fresh == frame.bytes.size();
  if (!keep(*pipe, frame.bytes.last(*fresh), whole ? payload : nullptr)) {
    break_off(*pipe, PipeCode::no_room, PipeEnd::How::reset, Errc::refused_memory, now);
    return true;
  }
  on_in(*pipe, now);
  return true;
}

/// What fills half of its payload stays in its block; the rest is copied together.
bool Pipes::keep(PipeRecord& pipe, Bytes bytes, memory::Block* payload) {
  if (payload != nullptr && bytes.size() * 2 >= payload->size()) {
    const auto front = static_cast<std::size_t>(bytes.data() - payload->data());
    payload->drop_back(payload->size() - front - bytes.size());
    payload->drop_front(front);
    pipe.pending.push_back(std::move(*payload));
    return true;
  }
  context_.stats.bytes_copied += bytes.size();
  bytes = bytes.subspan(pipe.pending.fill_back(bytes));
  if (bytes.empty()) return true;
  memory::Chain rest;
  if (!memory::Chain::copy_in(context_.pool, memory::block_size_for(bytes.size()), bytes, rest)) {
    return false;
  }
  pipe.pending.append(std::move(rest));
  return true;
}

/// The peer has taken so many more: they are nobody's any longer.
void Pipes::free(PipeRecord& pipe, std::uint64_t bytes) {
  pipe.out_held -= bytes;
  node_->bytes().release(bytes);
  context_.budget_of(pipe.priority).release(bytes);
}

bool Pipes::on_limit(CircuitEnd& circuit_end, const wire::LimitFrame& frame, Now now) {
  PipeRecord* const pipe = pipe_of(circuit_end, frame.pipe);
  if (pipe == nullptr) return over(circuit_end, frame.pipe, 0);
  if (!may_hear(*pipe)) return false;
  const std::uint64_t before = pipe->out.taken();
  if (!pipe->out.on_limit(frame.taken, frame.limit)) return false;
  free(*pipe, pipe->out.taken() - before);
  look_at_room(*pipe);
  wake(*pipe);
  look_if_done(*pipe, now);
  return true;
}

bool Pipes::on_end(CircuitEnd& circuit_end, const wire::EndFrame& frame, Now now) {
  PipeRecord* const pipe = pipe_of(circuit_end, frame.pipe);
  if (pipe == nullptr) return over(circuit_end, frame.pipe, 0);
  const bool again = pipe->in.end().has_value();
  if (!may_hear(*pipe) || !pipe->in.on_end(frame.sent)) return false;
  if (again) {  // it may not know yet that this was taken
    look_at_window(*pipe, now);
    return true;
  }
  // Nothing more comes: what was promised is free.
  const std::uint64_t promised = pipe->in.limit() - pipe->in.received();
  pipe->in_claim -= promised;
  pipe->in_bytes -= promised;
  node_->bytes().release(promised);
  context_.budget_of(pipe->priority).release(promised);
  on_in(*pipe, now);
  return true;
}

bool Pipes::on_reset(CircuitEnd& circuit_end, const wire::ResetFrame& frame, Now now) {
  PipeRecord* const pipe = pipe_of(circuit_end, frame.pipe);
  if (pipe == nullptr) return over(circuit_end, frame.pipe, 0);
  if (frame.code == PipeCode::none) {
    if (!may_hear(*pipe) || !pipe->in.done()) return false;
    const std::uint64_t before = pipe->out.taken();
    if (!pipe->out.finish()) return false;
    free(*pipe, pipe->out.taken() - before);
    pipe->peer_done = true;
    look_if_done(*pipe, now);
    return true;
  }
  if (pipe->closed) {  // it lingered, and the peer knows better
    pipe->said_done = pipe->peer_done = true;
    tell(*pipe, Telling::closed);
    return true;
  }
  close(*pipe, PipeEnd::How::reset, frame.code, true, {Errc::refused_by_peer, "reset"});
  return true;
}

// ---- payloads -----------------------------------------------------------------------------------

void Pipes::put_signals(CircuitEnd& circuit_end, ByteWriter& out, Now now) {
  PipesOnCircuit& on_it = *circuit_end.pipes;
  while (PipeRecord* const pipe = on_it.signals.front()) {
    const std::size_t most = wire::kOpenFrameBytes + kServiceNameMax + wire::kLimitFrameBytes;
    if (out.remaining() < most) return;
    on_it.signals.erase(*pipe);
    put_signal(*pipe, out, now);
  }
}

/// What a question or an answer says of the window LIMIT need not say again.
void Pipes::put_signal(PipeRecord& pipe, ByteWriter& out, Now now) {
  const bool asks = pipe.speaks(Saying::open) || pipe.speaks(Saying::move);
  const bool limit = pipe.speaks(Saying::limit);
  const Incoming& in = pipe.in;
  if (asks) {
    give_number(pipe, pipe.circuit_end->pipes->next_number++);
    put_question(pipe, pipe.number, out);
  } else if (pipe.speaks(Saying::opened)) {
    wire::append(out, wire::OpenedFrame{pipe.number, PipeCode::none, in.limit()});
  } else if (pipe.speaks(Saying::moved)) {
    wire::append(out, wire::MovedFrame{.pipe = pipe.number,
                                       .status = PipeCode::none,
                                       .received = in.received_count(),
                                       .taken = in.taken_count(),
                                       .limit = in.limit_count()});
  }
  const bool counts = pipe.speaks(Saying::move) || pipe.speaks(Saying::moved);
  const bool opens = pipe.speaks(Saying::open) || pipe.speaks(Saying::opened);
  pipe.says = 0;
  if (limit && !counts && !(opens && in.taken_count() == 0)) {
    wire::append(out, wire::LimitFrame{pipe.number, in.taken_count(), in.limit_count()});
    pipe.in.told();
  } else if (counts) {
    pipe.in.told();
  }
  wake(pipe);
  set_deadline(pipe);
  look_if_done(pipe, now);
}

bool Pipes::put_bytes(CircuitEnd& circuit_end, ByteWriter& out) {
  PipesInTurn& turns = circuit_end.pipes->turns;
  PipeRecord* const pipe = turns.front();
  if (pipe == nullptr) return false;
  if (pipe->wants_turn() && pipe->out.sendable() > 0) {
    const std::size_t left = pipe->out.sendable();
    if (out.remaining() < wire::kBytesHeaderBytes + std::min(left, kBytesMin)) return false;
    if (pipe->deficit == 0) pipe->deficit = kTurnBytes;
    std::size_t n = std::min<std::size_t>(left, out.remaining() - wire::kBytesHeaderBytes);
    if (turns.size() > 1) n = std::min(n, pipe->deficit);
    n = std::min<std::size_t>(n, UINT16_MAX);
    const std::size_t again = pipe->out.copy(wire::append_bytes_header(out, pipe->number, n));
    pipe->deficit -= std::min(n, pipe->deficit);
    context_.stats.pipe_bytes_sent += n - again;
    context_.stats.pipe_bytes_again += again;
    context_.stats.bytes_copied += n;
  } else if (pipe->wants_turn()) {
    if (out.remaining() < wire::kEndFrameBytes) return false;
    wire::append(out, wire::EndFrame{pipe->number, pipe->out.written()});
    pipe->out.say_end();
  }
  if (!pipe->wants_turn() || pipe->deficit == 0) {
    turns.erase(*pipe);
    if (pipe->wants_turn()) turns.push_back(*pipe);
  }
  return true;
}

}  // namespace qudag::message
