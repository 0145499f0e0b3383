// The application's side, the tables, memory, and what the application is told.
#include "message/pipe/pipes.h"

#include "message/circuit_pool.h"
#include "message/context.h"
#include "message/pipe/parcel.h"
#include "message/pipe/share.h"

#include <algorithm>
#include <utility>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLimitRetry = 100ms;
/// What a record counts as, beside its places in tables.
constexpr std::size_t kRecordBytes = sizeof(PipeRecord) + 128;

}  // namespace

Pipes::Pipes(Context& context)
    : context_(context),
      records_(context.options.pipes_max),
      by_key_(KeyTraits{{context.rng.u64() | 1, context.rng.u64() | 1}}),
      node_(context.options.pipes ? context.options.pipes
                                  : std::make_shared<PipesOfNode>(context.options.pipes_max,
                                                                  std::uint64_t{64} << 20)) {}

Pipes::~Pipes() {
  records_.for_each([this](SlotHandle, PipeRecord& pipe) {
    release(pipe);
    pipe.circuit_end = nullptr;
    node_->places().release(1);
    context_.tables().release(kRecordBytes);
  });
}

PipeRecord* Pipes::find(PipeId id) { return records_.find(SlotHandle(id.value)); }

// ---- records ------------------------------------------------------------------------------------

/// Null if there is no place, or no memory for its first window.
PipeRecord* Pipes::add(bool opener, Priority priority, Now now) {
  if (!node_->places().reserve(1)) return nullptr;
  if (!context_.tables().reserve(kRecordBytes)) {
    node_->places().release(1);
    return nullptr;
  }
  const bool window = node_->reserve(context_.budget_of(priority), kPipeWindowFirst);
  const SlotHandle handle = window ? records_.insert() : SlotHandle{};
  PipeRecord* const pipe = records_.find(handle);
  if (pipe == nullptr) {
    if (window) {
      node_->bytes().release(kPipeWindowFirst);
      context_.budget_of(priority).release(kPipeWindowFirst);
    }
    context_.tables().release(kRecordBytes);
    node_->places().release(1);
    return nullptr;
  }
  pipe->handle = handle;
  pipe->opener = opener;
  pipe->priority = priority;
  pipe->began = pipe->epoch = now.mono;
  pipe->in = Incoming(kPipeWindowFirst);
  pipe->in_claim = pipe->in_bytes = kPipeWindowFirst;
  return pipe;
}

/// What it holds, and what its peer may send.
void Pipes::release(PipeRecord& pipe) {
  memory::Budget& claim = context_.budget_of(pipe.priority);
  claim.release(std::exchange(pipe.in_claim, 0) + pipe.out_held);
  node_->bytes().release(std::exchange(pipe.in_bytes, 0) + std::exchange(pipe.out_held, 0));
  pipe.pending.clear();
  pipe.out.drop();
}

void Pipes::erase(PipeRecord& pipe) {
  detach(pipe);
  if (PipesInPlace::contains(pipe)) {
    (pipe.opener ? pipe.flow->pipes_waiting : parked_).erase(pipe);
  }
  if (PipesToTell::contains(pipe)) to_tell_.erase(pipe);
  context_.deadlines.clear(pipe);
  release(pipe);
  if (pipe.opener) {
    --pipe.flow->pipes;
    pool_->mark(*pipe.flow);
  } else {
    if (!pipe.answered && !pipe.closed) --offered_;
    by_key_.erase(pipe);
    node_->erase(pipe.key, context_.options.shard);
  }
  --context_.stats.pipes;
  node_->places().release(1);
  context_.tables().release(kRecordBytes);
  records_.erase(pipe.handle);
}

// ---- places -------------------------------------------------------------------------------------

PipesOnCircuit& Pipes::on(CircuitEnd& circuit_end, Now now) {
  if (circuit_end.pipes == nullptr) {
    circuit_end.pipes = std::make_unique<PipesOnCircuit>(circuit_end.is_source(), now.mono);
  }
  return *circuit_end.pipes;
}

void Pipes::attach(PipeRecord& pipe, CircuitEnd& circuit_end, Now now) {
  QUDAG_ASSERT(!pipe.on_circuit());
  PipesOnCircuit& on_it = on(circuit_end, now);
  pipe.circuit_end = &circuit_end;
  pipe.numbered = pipe.asking = pipe.said_done = false;
  pipe.says = 0;
  on_it.here.push_back(pipe);
}

void Pipes::give_number(PipeRecord& pipe, std::uint32_t number) {
  pipe.number = number;
  pipe.numbered = true;
  pipe.circuit_end->pipes->by_number.emplace(number, &pipe);
}

/// Off its circuit, if it is on one. What the peer has under way for it may still come.
void Pipes::detach(PipeRecord& pipe) {
  if (!pipe.on_circuit()) return;
  PipesOnCircuit& on_it = *pipe.circuit_end->pipes;
  on_it.here.erase(pipe);
  if (PipesSignalling::contains(pipe)) on_it.signals.erase(pipe);
  if (PipesInTurn::contains(pipe)) on_it.turns.erase(pipe);
  if (pipe.numbered) {
    on_it.by_number.erase(pipe.number);
    on_it.crossing += pipe.in.limit() - pipe.in.at();
  }
  pipe.circuit_end = nullptr;
  pipe.numbered = pipe.asking = false;
  pipe.says = 0;
}

/// A number that has no pipe: false if none of ours ever had it, or so much cannot be on its way.
bool Pipes::over(CircuitEnd& circuit_end, std::uint32_t number, std::size_t bytes) const {
  if (circuit_end.pipes == nullptr || number >= circuit_end.pipes->next_number) return false;
  if (bytes > circuit_end.pipes->crossing) return false;
  circuit_end.pipes->crossing -= bytes;
  return true;
}

/// An answer that ends the pipe of that number. A full queue means that the peer reads nothing.
void Pipes::answer(CircuitEnd& circuit_end, wire::FrameType type, std::uint32_t number,
                   PipeCode code) {
  static_cast<void>(context_.circuit_ends.queue(
      circuit_end, {.type = type, .code = code, .ref = number}, context_.tables()));
}

void Pipes::say(PipeRecord& pipe, Saying what) {
  if (!pipe.on_circuit() || pipe.broken()) return;
  // The answer to a question on its way begins with what it said; the rest comes after it.
  if (what == Saying::limit && pipe.asking) return;
  pipe.says |= static_cast<std::uint8_t>(what);
  if (!PipesSignalling::contains(pipe)) pipe.circuit_end->pipes->signals.push_back(pipe);
  context_.circuit_ends.mark(*pipe.circuit_end);
}

/// It may have bytes to send now.
void Pipes::wake(PipeRecord& pipe) {
  if (!pipe.on_circuit() || !pipe.wants_turn() || PipesInTurn::contains(pipe)) return;
  pipe.deficit = 0;
  pipe.circuit_end->pipes->turns.push_back(pipe);
  context_.circuit_ends.mark(*pipe.circuit_end);
}

void Pipes::set_deadline(PipeRecord& pipe) {
  TimePoint due = std::min(pipe.until, pipe.limit_retry);
  if (pipe.on_circuit() && !pipe.asking && !pipe.speaks(Saying::limit))
    due = std::min(due, pipe.in.tell_at());
  if (pipe.timed() && pipe.deadline == due) return;
  due == kNever ? context_.deadlines.clear(pipe) : context_.deadlines.set(pipe, due);
}

// ---- the application ----------------------------------------------------------------------------

Result<PipeId> Pipes::open(const PipeAsk& ask, Now now) {
  const PipeOptions& options = ask.options;
  if (context_.stopping) return fail(Errc::shutting_down);
  if (context_.options.pipe_listener == nullptr) return fail(Errc::unsupported);
  if (!wire::is_service_name(ask.service)) return fail(Errc::invalid_argument, "service");
  if (options.priority != Priority::normal && options.priority != Priority::low) {
    return fail(Errc::invalid_argument, "priority");
  }
  if (options.relays > limits::kRelaysMax) return fail(Errc::invalid_argument, "relays");
  if (tight_) return fail(Errc::refused_overload, "no new pipes now");
  Flow* const flow = pool_->flow(
      {ask.destination, options.isolation, options.priority, options.relays, false}, now);
  if (flow == nullptr) return fail(Errc::refused_queue_full, "flows");
  PipeRecord* const pipe = add(true, options.priority, now);
  if (pipe == nullptr) return fail(Errc::refused_queue_full, "pipes, or their memory");
  context_.rng.fill(pipe->key);
  pipe->service = ask.service;
  pipe->receiver = ask.destination;
  pipe->out = Outgoing(kPipeWindowFirst);
  pipe->until = now.mono + options.open_max;
  pipe->flow = flow;
  ++flow->pipes;
  ++context_.stats.pipes;
  ++context_.stats.pipes_opened;
  wait(*pipe);
  set_deadline(*pipe);
  look_at_room(*pipe);
  return PipeId{pipe->handle.value};
}

void Pipes::accept(PipeId id, Now now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->opener || pipe->answered || pipe->closed) return;
  pipe->answered = true;
  --offered_;
  pipe->until = pipe->on_circuit() ? kNever : now.mono + kPipeParkedFor;
  say(*pipe, Saying::opened);
  look_at_room(*pipe);
  on_in(*pipe, now);
}

void Pipes::refuse(PipeId id, PipeCode code, Now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->opener || pipe->answered || pipe->closed) return;
  if (pipe->on_circuit()) {
    answer(*pipe->circuit_end, wire::FrameType::opened, pipe->number, code);
  }
  erase(*pipe);
}

void Pipes::write(PipeId id, Priority priority, memory::Chain&& bytes, Now) {
  PipeRecord* const pipe = find(id);
  const std::uint64_t n = bytes.bytes();
  if (pipe == nullptr || pipe->closed || pipe->out.ended()) {
    node_->bytes().release(n);
    context_.budget_of(priority).release(n);
    return bytes.clear();
  }
  pipe->out_held += n;
  pipe->out.write(std::move(bytes));
  wake(*pipe);
}

void Pipes::end(PipeId id, Now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->closed || pipe->out.ended()) return;
  pipe->out.end();
  wake(*pipe);
}

void Pipes::reset(PipeId id, PipeCode code, Now now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->closed) return;
  if (code == PipeCode::none) code = PipeCode::broken_off;
  break_off(*pipe, code, PipeEnd::How::reset, {Errc::cancelled, "broken off here"}, now);
}

void Pipes::take(PipeId id, std::uint64_t bytes, Now now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->broken()) return;
  const std::uint64_t before = pipe->in.taken();
  pipe->in.take(bytes, now.mono);
  const std::uint64_t taken = pipe->in.taken() - before;
  pipe->in_bytes -= taken;
  node_->bytes().release(taken);
  widen(*pipe, now);
  look_at_window(*pipe, now);
}

void Pipes::ask_room(PipeId id, Now now) {
  PipeRecord* const pipe = find(id);
  if (pipe == nullptr || pipe->closed) return;
  pipe->room_told = 0;
  pipe->limit_retry = std::min(pipe->limit_retry, now.mono + kLimitRetry);
  set_deadline(*pipe);
}

std::uint64_t Pipes::taken_by_peer(PipeId id) const {
  const PipeRecord* const pipe = records_.find(SlotHandle(id.value));
  return pipe == nullptr ? 0 : pipe->out.taken();
}

// ---- windows ------------------------------------------------------------------------------------

/// Twice what the program takes in a round trip, so that the path is never the slower one.
void Pipes::widen(PipeRecord& pipe, Now now) {
  if (pipe.in.taken() - pipe.epoch_taken < pipe.in.window()) return;
  if (pipe.on_circuit()) {
    const Duration round_trip = pipe.circuit_end->answering.round_trip();
    const bool short_of = round_trip > Duration{} && now.mono - pipe.epoch < 2 * round_trip;
    if (short_of && !tight_) pipe.in.widen(2 * pipe.in.window());
    context_.circuit_ends.ping(*pipe.circuit_end, context_.tables(), now);
  }
  pipe.epoch = now.mono;
  pipe.epoch_taken = pipe.in.taken();
}

/// Reserves what the peer is told next: its window, or, when all windows together are too wide,
/// what it needs to go on. Where there is nothing it is asked for again soon.
void Pipes::look_at_window(PipeRecord& pipe, Now now) {
  const std::uint64_t wanted = pipe.in.limit_wanted();
  memory::Budget& claim = context_.budget_of(pipe.priority);
  pipe.limit_retry = kNever;
  std::uint64_t more = wanted;
  if (more > 0 && !reserve_more(*node_, claim, more)) {
    const std::uint64_t least = pipe.in.taken() + kPipeShareFirst;
    more = least > pipe.in.limit() ? least - pipe.in.limit() : 0;
    if (more > 0 && !node_->reserve(claim, more)) more = 0;
  }
  if (more > 0) {
    pipe.in.raise(more);
    pipe.in_claim += more;
    pipe.in_bytes += more;
    say(pipe, Saying::limit);
  }
  if (more < wanted) pipe.limit_retry = now.mono + kLimitRetry;
  if (pipe.in.tell_at() <= now.mono) say(pipe, Saying::limit);
  set_deadline(pipe);
}

/// As much as the peer may be sent, and some to go on with while its answer is under way.
void Pipes::look_at_room(PipeRecord& pipe) {
  const std::uint64_t may_write = pipe.out.limit() + kPipeRoomMin;
  if (may_write > pipe.room_told) tell(pipe, Telling::room);
}

// ---- ends ---------------------------------------------------------------------------------------

/// The application is told once; of what broke nothing is left but that.
void Pipes::close(PipeRecord& pipe, PipeEnd::How how, PipeCode code, bool by_peer, Error reason) {
  QUDAG_ASSERT(!pipe.closed);
  pipe.closed = true;
  if (!pipe.opener && !pipe.answered) --offered_;
  pipe.end = {.how = how,
              .code = code,
              .by_peer = by_peer,
              .opened = pipe.answered,
              .reason = std::move(reason),
              .sent = pipe.out.written(),
              .taken_by_peer = pipe.out.taken(),
              .received = pipe.in.given()};
  ++context_.stats.pipes_ended[static_cast<std::size_t>(how)];
  tell(pipe, Telling::closed);
  if (how == PipeEnd::How::finished) return;
  detach(pipe);
  if (PipesInPlace::contains(pipe)) {
    (pipe.opener ? pipe.flow->pipes_waiting : parked_).erase(pipe);
  }
  release(pipe);
  pipe.until = pipe.limit_retry = kNever;
  set_deadline(pipe);
}

/// This end ends it: the peer hears of it, if there is a circuit on which it knows the pipe.
void Pipes::break_off(PipeRecord& pipe, PipeCode code, PipeEnd::How how, Error reason, Now) {
  if (pipe.on_circuit() && pipe.numbered) {
    const bool unanswered = !pipe.opener && (!pipe.answered || pipe.speaks(Saying::opened));
    answer(*pipe.circuit_end, unanswered ? wire::FrameType::opened : wire::FrameType::reset,
           pipe.number, code);
  }
  close(pipe, how, code, false, std::move(reason));
}

/// Both ways have ended and everything is taken: told here, and said to the peer.
void Pipes::look_if_done(PipeRecord& pipe, Now now) {
  if (pipe.broken() || !pipe.done()) return;
  if (!pipe.closed) close(pipe, PipeEnd::How::finished, PipeCode::none, false, Errc::ok);
  if (pipe.until == kNever) pipe.until = now.mono + kPipeLingerFor;
  if (pipe.on_circuit() && pipe.numbered && !pipe.asking && !pipe.speaks(Saying::moved) &&
      !pipe.said_done) {
    pipe.said_done = true;
    answer(*pipe.circuit_end, wire::FrameType::reset, pipe.number, PipeCode::none);
  }
  set_deadline(pipe);
  if (pipe.said_done && pipe.peer_done) tell(pipe, Telling::closed);  // and lets go of it
}

void Pipes::on_due(PipeRecord& pipe, Now now) {
  if (now.mono >= pipe.until) {
    if (pipe.closed) return erase(pipe);
    Error why(Errc::timed_out, "no circuit held: " + pipe.last_failure.message());
    if (pipe.last_failure == Errc::ok) why = {Errc::timed_out, "no answer"};
    if (!pipe.opener && !pipe.answered) {
      return break_off(pipe, PipeCode::too_slow, PipeEnd::How::reset, std::move(why), now);
    }
    return break_off(pipe, PipeCode::lost, PipeEnd::How::lost, std::move(why), now);
  }
  look_at_room(pipe);
  look_at_window(pipe, now);
}

void Pipes::stop(Now now) {
  records_.for_each([&](SlotHandle, PipeRecord& pipe) {
    if (!pipe.closed) {
      break_off(pipe, PipeCode::stopping, PipeEnd::How::reset, Errc::shutting_down, now);
    }
  });
  tight_ = true;
}

void Pipes::clear(Now now) {
  flush(now);
  records_.for_each([this](SlotHandle, PipeRecord& pipe) { erase(pipe); });
}

// ---- telling ------------------------------------------------------------------------------------

void Pipes::tell(PipeRecord& pipe, Telling what) {
  pipe.tells |= static_cast<std::uint8_t>(what);
  if (!PipesToTell::contains(pipe)) to_tell_.push_back(pipe);
}

/// Bytes or an end came: the application hears of them, if it has the pipe.
void Pipes::on_in(PipeRecord& pipe, Now now) {
  if (pipe.pending.empty() && !pipe.in.end()) return;
  if (pipe.answered) tell(pipe, pipe.pending.empty() ? Telling::end : Telling::bytes);
  look_at_window(pipe, now);
}

void Pipes::flush(Now now) {
  if (flushing_) return;
  flushing_ = true;
  while (PipeRecord* const pipe = to_tell_.pop_front()) tell_one(*pipe, now);
  flushing_ = false;
}

/// In this order: what came before its end, and that last. Any call of the application may end it.
void Pipes::tell_one(PipeRecord& record, Now now) {
  const SlotHandle handle = record.handle;
  const PipeId id{handle.value};
  PipeListener* const listener = context_.options.pipe_listener;
  const auto take = [&](Telling what) -> PipeRecord* {
    PipeRecord* const pipe = records_.find(handle);
    if (pipe == nullptr || !pipe->tells_of(what)) return nullptr;
    pipe->tells &= static_cast<std::uint8_t>(~static_cast<unsigned>(what));
    return pipe;
  };
  if (PipeRecord* const pipe = take(Telling::offer)) {
    if (pipe->closed) {
      pipe->told_end = true;  // nobody has heard of it
    } else {
      const PipeOffered offered{pipe->service, pipe->receiver, pipe->priority};
      listener->on_pipe_offer(id, offered, now);
    }
  }
  if (take(Telling::open) != nullptr) listener->on_pipe_open(id, now);
  if (PipeRecord* const pipe = take(Telling::bytes);
      pipe != nullptr && !pipe->broken() && !pipe->pending.empty()) {
    const std::size_t n = pipe->pending.bytes();
    pipe->in.give(n);
    pipe->in_claim -= n;
    if (pipe->in.end()) pipe->tells |= static_cast<std::uint8_t>(Telling::end);
    listener->on_pipe_bytes(id, std::exchange(pipe->pending, {}),
                            memory::Reservation::adopt(context_.budget_of(pipe->priority), n), now);
  }
  if (PipeRecord* const pipe = take(Telling::end); pipe != nullptr && !pipe->broken()) {
    listener->on_pipe_end(id, now);
  }
  if (PipeRecord* const pipe = take(Telling::room); pipe != nullptr && !pipe->closed) {
    pipe->room_told = pipe->out.limit() + kPipeRoomMin;
    listener->on_pipe_room(id, pipe->room_told, now);
  }
  PipeRecord* pipe = take(Telling::closed);
  if (pipe == nullptr) return;
  if (!std::exchange(pipe->told_end, true)) {
    const PipeEnd end = pipe->end;
    listener->on_pipe_closed(id, end, now);
    pipe = records_.find(handle);
  }
  if (pipe != nullptr && (pipe->broken() || (pipe->said_done && pipe->peer_done))) erase(*pipe);
}

// ---- what is there ------------------------------------------------------------------------------

std::vector<PipeStatus> Pipes::list(Now now) const {
  std::vector<PipeStatus> out;
  const_cast<SlotMap<PipeRecord>&>(records_).for_each([&](SlotHandle, const PipeRecord& pipe) {
    if (pipe.closed) return;
    PipeStatus& one = out.emplace_back();
    one.state = !pipe.answered      ? PipeStatus::State::opening
                : pipe.on_circuit() ? PipeStatus::State::open
                                    : PipeStatus::State::parked;
    one.opener = pipe.opener;
    one.service = pipe.service;
    one.receiver = pipe.receiver;
    one.priority = pipe.priority;
    one.written = pipe.out.written();
    one.taken_by_peer = pipe.out.taken();
    one.received = pipe.in.given();
    one.taken = pipe.in.taken();
    one.held = pipe.out.held() + pipe.in.received() - pipe.in.taken();
    one.resumed = pipe.moves;
    one.age = std::chrono::duration_cast<std::chrono::seconds>(now.mono - pipe.began);
  });
  return out;
}

void Pipes::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "pipes", "refuse new", records_.size(),
                        context_.options.pipes_max, sizeof(PipeRecord)));
  out.push_back(bounded(Kind::table, "pipes without a circuit", "the oldest is lost",
                        parked_.size(), kPipesParkedMax));
  out.push_back(bounded(Kind::table, "pipes that no service has answered", "refuse new", offered_,
                        kPipesOfferedMax));
  out.push_back(bounded(Kind::table, "pipes that come from other shards", "lost", awaiting_.size(),
                        kPipesAwaitedMax, sizeof(Awaiting)));
}

}  // namespace qudag::message
