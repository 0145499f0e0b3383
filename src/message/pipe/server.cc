// The server's side: OPEN -> refused, or offered to the application; OPEN and MOVE of a pipe that
// is there: it goes on with that number; a circuit ends -> parked.
#include "message/circuit_pool.h"
#include "message/context.h"
#include "message/pipe/parcel.h"
#include "message/pipe/pipes.h"

#include <algorithm>
#include <utility>

namespace qudag::message {

/// The next number of that circuit, which a source gives in order.
bool Pipes::take_number(CircuitEnd& circuit_end, std::uint32_t number, Now now) {
  if (circuit_end.is_source()) return false;
  PipesOnCircuit& on_it = on(circuit_end, now);
  if (number != on_it.next_number) return false;
  ++on_it.next_number;
  if (on_it.opens.take(1, now.mono)) {
    if (on_it.opens_refused > 0) --on_it.opens_refused;
  } else if (++on_it.opens_refused > 4 * PipesOnCircuit::kOpensBurst) {
    return false;
  }
  return true;
}

PipeCode Pipes::refusal_of(const CircuitEnd& circuit_end) const {
  if (context_.stopping) return PipeCode::stopping;
  if (context_.options.pipe_listener == nullptr) return PipeCode::no_such_service;
  if (circuit_end.pipes->opens_refused > 0) return PipeCode::rate;
  // A quarter stays for what this node opens itself.
  const auto few_left = [](const memory::Budget& of) {
    return of.used() >= std::max<std::uint64_t>(1, of.bytes_max() / 4 * 3);
  };
  const bool full = few_left(node_->places()) || few_left(node_->bytes());
  if (tight_ || full || offered_ >= kPipesOfferedMax ||
      circuit_end.pipes->here.size() >= PipesOnCircuit::kPipesMax) {
    return PipeCode::no_room;
  }
  return PipeCode::none;
}

bool Pipes::on_open(CircuitEnd& circuit_end, const wire::OpenFrame& said, Now now) {
  if (!take_number(circuit_end, said.pipe, now)) return false;
  wire::OpenFrame frame = said;
  frame.key = key_at(circuit_end.receiver, said.key);
  if (PipeRecord* const known = by_key_.find(frame.key)) {
    return open_again(*known, circuit_end, frame, now);
  }
  PipeCode code = refusal_of(circuit_end);
  PipeRecord* pipe = nullptr;
  if (code == PipeCode::none) {
    pipe = add(false, circuit_end.priority, now);
    if (pipe == nullptr) code = PipeCode::no_room;
  }
  if (pipe == nullptr) {
    ++context_.stats.pipes_turned_away;
    circuit_end.pipes->crossing += kPipeWindowFirst;
    answer(circuit_end, wire::FrameType::opened, frame.pipe, code);
    return true;
  }
  ++context_.stats.pipes;
  ++context_.stats.pipes_offered;
  pipe->key = frame.key;
  pipe->attempt = frame.attempt;
  pipe->service.assign(reinterpret_cast<const char*>(frame.name.data()), frame.name.size());
  pipe->receiver = circuit_end.receiver.value_or(context_.options.self);
  pipe->out = Outgoing(frame.limit);
  pipe->until = now.mono + kPipeOfferedFor;
  ++offered_;
  by_key_.insert(*pipe);
  node_->put(pipe->key, context_.options.shard);
  attach(*pipe, circuit_end, now);
  give_number(*pipe, frame.pipe);
  set_deadline(*pipe);
  tell(*pipe, Telling::offer);
  return true;
}

/// The opener did not hear an answer on the circuit before, or asked on several. It begins with its
/// first byte again, and so do we.
bool Pipes::open_again(PipeRecord& pipe, CircuitEnd& circuit_end, const wire::OpenFrame& frame,
                       Now now) {
  const bool newer = frame.attempt > pipe.attempt;
  const bool possible =
      !pipe.closed && pipe.in.received() <= kPipeWindowFirst && pipe.out.taken() == 0 &&
      pipe.out.at() <= frame.limit &&
      pipe.service ==
          std::string_view(reinterpret_cast<const char*>(frame.name.data()), frame.name.size());
  const bool room = circuit_end.pipes->here.size() < PipesOnCircuit::kPipesMax;
  if (!newer || !possible || !room) {
    circuit_end.pipes->crossing += kPipeWindowFirst;
    if (newer) answer(circuit_end, wire::FrameType::opened, frame.pipe, PipeCode::lost);
    return true;
  }
  if (!pipe.out.go_on(0, 0, std::max(frame.limit, pipe.out.limit()))) return false;
  unpark(pipe);
  detach(pipe);
  pipe.attempt = frame.attempt;
  pipe.in.begin_again();
  attach(pipe, circuit_end, now);
  give_number(pipe, frame.pipe);
  if (pipe.answered) {
    pipe.until = kNever;
    say(pipe, Saying::opened);
  }
  set_deadline(pipe);
  return true;
}

void Pipes::unpark(PipeRecord& pipe) {
  if (PipesInPlace::contains(pipe) && !pipe.on_circuit()) parked_.erase(pipe);
}

// ---- moves --------------------------------------------------------------------------------------

bool Pipes::on_move(CircuitEnd& circuit_end, const wire::MoveFrame& said, Now now) {
  if (!take_number(circuit_end, said.pipe, now)) return false;
  wire::MoveFrame frame = said;
  frame.key = key_at(circuit_end.receiver, said.key);
  circuit_end.pipes->crossing += wire::kPipeAheadMax;  // until it is somebody's
  if (PipeRecord* const pipe = by_key_.find(frame.key)) {
    circuit_end.pipes->crossing -= wire::kPipeAheadMax;
    return move_here(*pipe, circuit_end, frame, now);
  }
  const auto shard = node_->shard_of(frame.key);
  const bool elsewhere = shard && *shard != context_.options.shard &&
                         awaiting_.size() < kPipesAwaitedMax &&
                         context_.options.pipe_listener != nullptr;
  if (!elsewhere) {
    answer(circuit_end, wire::FrameType::moved, frame.pipe, PipeCode::lost);
    return true;
  }
  const auto before = std::ranges::find_if(
      awaiting_, [&](const Awaiting& one) { return one.move.key == frame.key; });
  if (before != awaiting_.end()) {  // it is asked for already, and goes where the opener is now
    if (frame.attempt > before->move.attempt) *before = {circuit_end.circuit, frame};
    return true;
  }
  awaiting_.push_back({circuit_end.circuit, frame});
  context_.options.pipe_listener->fetch_pipe(*shard, frame.key, frame.attempt);
  return true;
}

/// What the peer has of ours, and what it may send from there on.
bool Pipes::go_on(PipeRecord& pipe, std::uint64_t received, std::uint64_t taken,
                  std::uint64_t limit) {
  const std::uint64_t before = pipe.out.taken();
  if (!pipe.out.go_on(received, taken, limit)) return false;
  free(pipe, pipe.out.taken() - before);
  return true;
}

bool Pipes::move_here(PipeRecord& pipe, CircuitEnd& circuit_end, const wire::MoveFrame& frame,
                      Now now) {
  if (frame.attempt <= pipe.attempt) {  // it came late: the opener is elsewhere by now
    circuit_end.pipes->crossing += wire::kPipeAheadMax;
    return true;
  }
  const bool room = circuit_end.pipes->here.size() < PipesOnCircuit::kPipesMax;
  const bool known = pipe.answered && !pipe.broken() && room &&
                     go_on(pipe, frame.received, frame.taken, frame.limit);
  if (!known) {
    circuit_end.pipes->crossing += wire::kPipeAheadMax;
    answer(circuit_end, wire::FrameType::moved, frame.pipe, PipeCode::lost);
    if (!pipe.closed && pipe.answered) {
      detach(pipe);
      close(pipe, PipeEnd::How::lost, PipeCode::lost, true,
            {Errc::circuit_failed, "the other end had it otherwise"});
    }
    return true;
  }
  unpark(pipe);
  detach(pipe);
  pipe.attempt = frame.attempt;
  ++pipe.moves;
  ++context_.stats.pipes_moved;
  pipe.in.go_on();
  if (!pipe.closed) pipe.until = kNever;
  attach(pipe, circuit_end, now);
  give_number(pipe, frame.pipe);
  say(pipe, Saying::moved);
  look_at_room(pipe);
  look_if_done(pipe, now);
  look_at_window(pipe, now);
  return true;
}

std::unique_ptr<Pipes::Parcel> Pipes::give_away(PipeId& was, const wire::PipeKey& key,
                                                std::uint32_t attempt) {
  PipeRecord* const pipe = by_key_.find(key);
  if (pipe == nullptr || !pipe->answered || pipe->broken() || attempt <= pipe->attempt) {
    return nullptr;
  }
  was = {pipe->handle.value};
  auto parcel = std::make_unique<Parcel>(context_.budget_of(pipe->priority), node_, pipe->give());
  erase(*pipe);
  return parcel;
}

std::optional<PipeId> Pipes::take_over(const wire::PipeKey& key, Parcel* parcel, Now now) {
  const auto at =
      std::ranges::find_if(awaiting_, [&](const Awaiting& one) { return one.move.key == key; });
  if (at == awaiting_.end()) return std::nullopt;
  const Awaiting awaiting = *at;
  awaiting_.erase(at);
  CircuitEnd* const circuit_end = context_.circuit_ends.find(awaiting.circuit);
  PipeRecord* pipe = nullptr;
  if (parcel != nullptr) pipe = add(false, parcel->state.priority, now);
  if (pipe == nullptr) {
    if (circuit_end != nullptr) {
      answer(*circuit_end, wire::FrameType::moved, awaiting.move.pipe, PipeCode::lost);
    }
    return std::nullopt;
  }
  release(*pipe);
  static_cast<PipeState&>(*pipe) = parcel->state.give();
  pipe->answered = true;
  ++context_.stats.pipes;
  by_key_.insert(*pipe);
  node_->put(key, context_.options.shard);
  if (pipe->tells != 0) to_tell_.push_back(*pipe);
  if (circuit_end != nullptr) {
    static_cast<void>(move_here(*pipe, *circuit_end, awaiting.move, now));
  } else {
    park(*pipe, now);
  }
  return PipeId{pipe->handle.value};
}

// ---- a circuit ends -----------------------------------------------------------------------------

/// A server's pipe without a circuit.
void Pipes::park(PipeRecord& pipe, Now now) {
  if (parked_.size() >= kPipesParkedMax) {
    PipeRecord& oldest = *parked_.front();
    if (oldest.closed) {
      erase(oldest);
    } else {
      close(oldest, PipeEnd::How::lost, PipeCode::lost, false,
            {Errc::refused_queue_full, "too many pipes without a circuit"});
    }
  }
  parked_.push_back(pipe);
  if (pipe.answered) pipe.until = std::min(pipe.until, now.mono + kPipeParkedFor);
  set_deadline(pipe);
}

void Pipes::on_circuit_ended(CircuitEnd& circuit_end, const Error& why, Now now) {
  if (circuit_end.pipes == nullptr) return;
  while (PipeRecord* const pipe = circuit_end.pipes->here.front()) {
    detach(*pipe);
    pipe->last_failure = why;
    if (pipe->closed && pipe->peer_done) {  // both know that it has finished
      pipe->said_done = true;
      tell(*pipe, Telling::closed);
      continue;
    }
    if (!pipe->opener) {
      park(*pipe, now);
      continue;
    }
    if (pipe->answered) pipe->until = std::min(pipe->until, now.mono + kPipeParkedFor);
    wait(*pipe);
    set_deadline(*pipe);
  }
}

}  // namespace qudag::message
