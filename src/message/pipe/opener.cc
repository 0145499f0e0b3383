// The opener's circuits: waiting -> a place on a circuit of its flow (serve, or ready with what
// rode) -> OPEN or MOVE -> OPENED or MOVED; a circuit that ends or is worn -> waiting.
#include "message/circuit_pool.h"
#include "message/context.h"
#include "message/pipe/pipes.h"

#include <algorithm>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// A relay ends a circuit without a cell for 600 s.
constexpr Duration kPingEvery = 240s;
/// Numbers are 32 bits; a circuit that comes near their end takes no more.
constexpr std::uint32_t kNumbersMax = 0xf000'0000;

}  // namespace

/// It needs a circuit.
void Pipes::wait(PipeRecord& pipe) {
  pipe.flow->pipes_waiting.push_back(pipe);
  pool_->mark(*pipe.flow);
}

/// About every four minutes, so that circuits are not known by it.
TimePoint Pipes::next_ping(Now now) const {
  const auto span = static_cast<std::uint64_t>(Duration(kPingEvery).count());
  return now.mono +
         Duration(static_cast<Duration::rep>(span * 3 / 4 + context_.rng.below(span / 2)));
}

/// A circuit of the flow that takes another pipe; null: none, or not yet.
CircuitEnd* Pipes::place_in(const Flow& flow, const CircuitEnd* other_than, Now now) const {
  for (CircuitEnd* one : flow.circuits) {
    if (one == other_than || !one->takes_new()) continue;
    PipesOnCircuit& on_it = on(*one, now);
    if (on_it.here.size() >= PipesOnCircuit::kPipesMax || on_it.next_number >= kNumbersMax)
      continue;
    return one;
  }
  return nullptr;
}

/// OPEN or MOVE is to be said on the circuit that it is on. What was on its way there before comes
/// again from what the server has.
void Pipes::begin_asking(PipeRecord& pipe) {
  pipe.asking = true;
  ++pipe.attempt;
  pipe.in.go_on();
  if (pipe.answered) return say(pipe, Saying::move);
  QUDAG_ASSERT(pipe.out.go_on(0, 0, pipe.out.limit()));
  say(pipe, Saying::open);
}

void Pipes::serve(Flow& flow, Now now) {
  if (flow.pipes == 0) return;
  for (CircuitEnd* old : flow.circuits) {
    if (!old->ready || !old->has_pipes()) continue;
    PipesOnCircuit& on_it = *old->pipes;
    if (now.mono >= on_it.ping_at) {
      if (now.mono - old->last_sent >= kPingEvery / 2)
        context_.circuit_ends.ping(*old, context_.tables(), now);
      on_it.ping_at = kNever;
    }
    if (on_it.ping_at == kNever) on_it.ping_at = next_ping(now);
    if (old->takes_new() || place_in(flow, old, now) == nullptr) continue;
    while (PipeRecord* const pipe = on_it.here.front()) {
      if (pipe->answered && pipe->until == kNever) {
        pipe->until = now.mono + kPipeParkedFor;
        set_deadline(*pipe);
      }
      detach(*pipe);
      flow.pipes_waiting.push_back(*pipe);
    }
  }
  while (PipeRecord* const pipe = flow.pipes_waiting.front()) {
    CircuitEnd* const place = place_in(flow, nullptr, now);
    if (place == nullptr) return;
    if (!place->pipes->opens.take(1, now.mono)) return;  // next_look() comes again
    flow.pipes_waiting.erase(*pipe);
    attach(*pipe, *place, now);
    if (place->pipes->ping_at == kNever) place->pipes->ping_at = next_ping(now);
    begin_asking(*pipe);
  }
}

TimePoint Pipes::next_look(const Flow& flow, Now now) const {
  TimePoint due = kNever;
  // What is due has been looked at: it waits for something else.
  const auto look = [&](TimePoint at) {
    if (at > now.mono) due = std::min(due, at);
  };
  for (const CircuitEnd* one : flow.circuits) {
    if (!one->ready || one->pipes == nullptr) continue;
    if (!one->pipes->here.empty()) {
      look(one->pipes->ping_at);
      if (one->age_max != Duration::max()) look(one->asked + one->age_max);
    }
    if (!flow.pipes_waiting.empty() && one->takes_new()) {
      look(one->pipes->opens.ready_at(1, now.mono));
    }
  }
  return due;
}

void Pipes::on_no_way(Flow& flow, const Error& why, Now) {
  for (PipeRecord* next = flow.pipes_waiting.front(); next != nullptr;) {
    PipeRecord& pipe = *std::exchange(next, PipesInPlace::next(*next));
    pipe.last_failure = why;
    if (!pipe.answered) close(pipe, PipeEnd::How::lost, PipeCode::lost, false, why);
  }
}

void Pipes::on_build_failed(Flow& flow, const Error& why) {
  for (PipeRecord* one = flow.pipes_waiting.front(); one != nullptr;
       one = PipesInPlace::next(*one)) {
    one->last_failure = why;
  }
}

// ---- builds -------------------------------------------------------------------------------------

bool Pipes::ride(Flow& flow, ByteWriter& out, std::vector<PipeRidden>& ridden) {
  constexpr std::size_t kMost = 16;
  // One that moves rides in one build alone: the server follows what came last, so if it rode in a
  // later one as well and the former were faster, it would have to ask again.
  const PipeRecord* const first = flow.pipes_waiting.front();
  const auto has_pipes = [](const CircuitEnd* one) {
    return !one->ready && one->pipes != nullptr && !one->pipes->ridden.empty();
  };
  if (first != nullptr && first->answered && std::ranges::any_of(flow.circuits, has_pipes)) {
    return false;
  }
  for (PipeRecord* one = flow.pipes_waiting.front(); one != nullptr && ridden.size() < kMost;
       one = PipesInPlace::next(*one)) {
    PipeRecord& pipe = *one;
    const auto number = static_cast<std::uint32_t>(ridden.size());
    const std::size_t size =
        pipe.answered ? wire::kMoveFrameBytes : wire::kOpenFrameBytes + pipe.service.size();
    if (out.remaining() < size) break;
    pipe.in.go_on();
    if (!pipe.answered) QUDAG_ASSERT(pipe.out.go_on(0, 0, pipe.out.limit()));
    ++pipe.attempt;
    put_question(pipe, number, out);
    if (!pipe.answered) put_first_bytes(pipe, number, out);
    ridden.push_back({.pipe = pipe.handle, .attempt = pipe.attempt, .bytes = pipe.out.at()});
  }
  return !ridden.empty();
}

/// OPEN, or MOVE of one that was open.
void Pipes::put_question(const PipeRecord& pipe, std::uint32_t number, ByteWriter& out) {
  if (pipe.answered) {
    return wire::append(out, wire::MoveFrame{.pipe = number,
                                             .key = pipe.key,
                                             .attempt = pipe.attempt,
                                             .received = pipe.in.received_count(),
                                             .taken = pipe.in.taken_count(),
                                             .limit = pipe.in.limit_count()});
  }
  wire::append(out, wire::OpenFrame{.pipe = number,
                                    .key = pipe.key,
                                    .attempt = pipe.attempt,
                                    .limit = pipe.in.limit(),
                                    .name = std::as_bytes(std::span(pipe.service))});
}

void Pipes::put_first_bytes(PipeRecord& pipe, std::uint32_t number, ByteWriter& out) {
  if (out.remaining() <= wire::kBytesHeaderBytes) return;
  const std::size_t n = std::min(pipe.out.sendable(), out.remaining() - wire::kBytesHeaderBytes);
  if (n == 0) return;
  static_cast<void>(pipe.out.copy(wire::append_bytes_header(out, number, n)));
  context_.stats.pipe_bytes_sent += n;
}

/// What rode is on that circuit from now on, unless it rode in a later build or has ended: then the
/// server hears of it elsewhere, or that it is over.
void Pipes::on_ready(CircuitEnd& circuit_end, Now now) {
  if (circuit_end.pipes == nullptr) return;
  PipesOnCircuit& on_it = *circuit_end.pipes;
  const auto ridden = std::exchange(on_it.ridden, {});
  on_it.next_number = static_cast<std::uint32_t>(ridden.size());
  std::uint32_t number = 0;
  for (const PipeRidden& one : ridden) {
    PipeRecord* const pipe = records_.find(one.pipe);
    if (pipe != nullptr && !pipe->broken() && PipesInPlace::contains(*pipe) &&
        !pipe->on_circuit() && pipe->attempt == one.attempt) {
      pipe->flow->pipes_waiting.erase(*pipe);
      attach(*pipe, circuit_end, now);
      if (on_it.ping_at == kNever) on_it.ping_at = next_ping(now);
      give_number(*pipe, number);
      pipe->asking = true;
      if (!pipe->answered) {
        QUDAG_ASSERT(pipe->out.go_on(one.bytes, 0, pipe->out.limit()));
      } else {
        pipe->in.told();
      }
      wake(*pipe);
      set_deadline(*pipe);
    } else {
      on_it.crossing += wire::kPipeAheadMax;
      if (pipe == nullptr || pipe->broken()) {
        answer(circuit_end, wire::FrameType::reset, number, PipeCode::broken_off);
      }
    }
    ++number;
  }
}

// ---- answers ------------------------------------------------------------------------------------

bool Pipes::on_opened(CircuitEnd& circuit_end, const wire::OpenedFrame& frame, Now) {
  if (!circuit_end.is_source()) return false;
  PipeRecord* const pipe = circuit_end.pipes ? circuit_end.pipes->find(frame.pipe) : nullptr;
  if (pipe == nullptr) return over(circuit_end, frame.pipe, 0);
  if (!pipe->asking || pipe->answered) return false;
  prove(circuit_end);
  if (frame.status != PipeCode::none) {
    ++context_.stats.pipes_refused;
    close(*pipe, PipeEnd::How::reset, frame.status, true, {Errc::refused_by_peer, "refused"});
    return true;
  }
  if (!pipe->out.on_limit(0, frame.limit)) return false;
  pipe->answered = true;
  pipe->asking = false;
  pipe->until = kNever;
  ++context_.stats.pipes_answered;
  tell(*pipe, Telling::open);
  look_at_room(*pipe);
  wake(*pipe);
  set_deadline(*pipe);
  return true;
}

bool Pipes::on_moved(CircuitEnd& circuit_end, const wire::MovedFrame& frame, Now now) {
  if (!circuit_end.is_source()) return false;
  PipeRecord* const pipe = circuit_end.pipes ? circuit_end.pipes->find(frame.pipe) : nullptr;
  if (pipe == nullptr) return over(circuit_end, frame.pipe, 0);
  if (!pipe->asking || !pipe->answered) return false;
  prove(circuit_end);
  if (frame.status != PipeCode::none) {
    if (pipe->closed) {  // both had finished, and the server has forgotten it
      pipe->said_done = pipe->peer_done = true;
      tell(*pipe, Telling::closed);
    } else {
      close(*pipe, PipeEnd::How::lost, PipeCode::lost, true,
            {Errc::circuit_failed, "the other end knows nothing of it"});
    }
    return true;
  }
  if (!go_on(*pipe, frame.received, frame.taken, frame.limit)) return false;
  pipe->asking = false;
  pipe->until = kNever;
  ++pipe->moves;
  ++context_.stats.pipes_moved;
  look_at_room(*pipe);
  wake(*pipe);
  say(*pipe, Saying::limit);
  look_if_done(*pipe, now);
  look_at_window(*pipe, now);
  return true;
}

}  // namespace qudag::message
