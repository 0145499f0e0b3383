// The public face: each event finds its circuit by context and goes to the role that it has.
#include "circuit/circuits.h"

#include "circuit/core.h"
#include "circuit/destination.h"
#include "circuit/incoming.h"
#include "circuit/relay.h"
#include "circuit/source.h"

#include "base/assert.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace qudag::circuit {

class Circuits::Impl {
 public:
  Impl(CircuitsOptions options, memory::BlockPool& pool, Rng& rng, Sink& sink)
      : core(options, pool, rng, sink),
        source(core),
        relay(core),
        destination(core),
        incoming(core, relay, destination) {}

  void take(Circuit& circuit, Neighbor from, Bytes& data, Now now);
  void side_gone(std::uint64_t context, EndCode code, const Error& why, Now now);
  void due(Circuit& circuit, Now now);
  void handle_waiting(Now now);
  CircuitInfo describe(const Circuit& circuit) const;
  bool end_if_there(CircuitId id, const Ending& how, Now now);

  Core core;
  Source source;
  Relay relay;
  Destination destination;
  Incoming incoming;
};

// Takes one unit, or less, from the front of `data`; afterwards the circuit may be gone.
void Circuits::Impl::take(Circuit& circuit, Neighbor from, Bytes& data, Now now) {
  switch (circuit.phase) {
    case Phase::opening:
      return incoming.on_data(circuit, data, now);
    case Phase::awaiting_reply:
      if (from == Neighbor::previous) break;
      return circuit.role == CircuitRole::source ? source.on_reply_data(circuit, data, now)
                                                 : relay.on_reply_data(circuit, data, now);
    case Phase::ready:
      switch (circuit.role) {
        case CircuitRole::source:
          return source.on_cell_data(circuit, data, now);
        case CircuitRole::relay:
          return relay.on_cell_data(circuit, from, data, now);
        case CircuitRole::destination:
          return destination.on_cell_data(circuit, data, now);
      }
      return;
    case Phase::draining:
      data = {};
      return core.consume_all(circuit.side(from));
    case Phase::extending:
      break;
  }
  // A source has no keys before the reply, so nothing that comes from it this early can be a cell.
  core.end(circuit, {.why = Errc::malformed, .previous = EndCode::protocol}, now);
}

void Circuits::Impl::side_gone(std::uint64_t context, EndCode code, const Error& why, Now now) {
  Circuit* circuit = core.find(circuit_of(context));
  if (circuit == nullptr) return;
  const Neighbor which = side_of(context);
  if (!circuit->side(which).open()) return;
  core.detach(circuit->side(which));
  if (circuit->role == CircuitRole::relay) {
    return relay.on_side_gone(*circuit, which, code, why, now);
  }
  if (why == Errc::link_closed) {
    const bool at_hop_1 = circuit->role == CircuitRole::source && circuit->building;
    return core.end(*circuit, {.why = why, .failed_hop = at_hop_1 ? 0 : Circuits::kHopUnknown},
                    now);
  }
  if (circuit->role == CircuitRole::source) return source.on_side_gone(*circuit, code, now);
  core.end(*circuit, {.why = why}, now);
}

void Circuits::Impl::due(Circuit& circuit, Now now) {
  if (circuit.phase == Phase::ready) {
    const TimePoint idle_at = circuit.last_cell + core.options.idle_timeout;
    const TimePoint rest_at = circuit.last_cell + core.options.rest_after;
    if (idle_at > now.mono) {
      if (rest_at <= now.mono) return core.rest(circuit);
      return core.set_deadline(circuit, std::min(rest_at, idle_at));
    }
    ++core.stats.ended_idle;
    return core.end(circuit, {.why = {Errc::timed_out, "idle"}}, now);
  }
  if (circuit.phase == Phase::opening) return incoming.on_due(circuit, now);
  if (circuit.phase != Phase::draining) ++core.stats.builds_timed_out;
  core.end(circuit, {.why = {Errc::timed_out, "not built in time"}}, now);
}

/// Cells for this node whose turn has come.
void Circuits::Impl::handle_waiting(Now now) {
  while (auto next = core.turns.next(now)) {
    Circuit* circuit = core.find(next->circuit);
    circuit->waits = core.turns.cells(circuit->id) > 0;
    core.note_cell(*circuit, now);
    if (circuit->role == CircuitRole::source) {
      source.handle(*circuit, std::move(next->cell), now);
    } else {
      destination.handle(*circuit, std::move(next->cell), now);
    }
    circuit = core.find(next->circuit);
    if (circuit != nullptr) core.consume_handled(*circuit);
  }
}

CircuitInfo Circuits::Impl::describe(const Circuit& circuit) const {
  return {.id = circuit.id,
          .role = circuit.role,
          .priority = circuit.priority,
          .ready = circuit.phase == Phase::ready,
          .previous = circuit.previous.stream,
          .next = circuit.next.stream,
          .age = core.latest - circuit.created,
          .cells_forward = circuit.cells_forward,
          .cells_backward = circuit.cells_backward};
}

Circuits::Circuits(CircuitsOptions options, memory::BlockPool& pool, Rng& rng, Sink& sink)
    : impl_(std::make_unique<Impl>(options, pool, rng, sink)) {}
Circuits::~Circuits() = default;

void Circuits::set_events(CircuitEvents& events, EndKind kind) {
  impl_->core.listeners[static_cast<std::size_t>(kind)] = &events;
}
void Circuits::set_onion_keys(std::vector<onion::OnionKey> keys) {
  impl_->core.onion_keys = std::move(keys);
}

// ---- the two ends -------------------------------------------------------------------------------

Result<CircuitId> Circuits::build(std::span<const onion::RouteHop> route, Priority priority,
                                  Now now, Bytes rider, EndKind kind) {
  impl_->core.latest = now.mono;
  return impl_->source.build(route, priority, now, rider, kind);
}

void Circuits::send(CircuitId id, memory::Block payload, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  Circuit* circuit = core.find(id);
  if (circuit == nullptr || circuit->phase != Phase::ready) return;
  QUDAG_ASSERT(circuit->role != CircuitRole::relay);
  QUDAG_ASSERT(payload && payload.size() == onion::payload_bytes(circuit->priority));
  ++core.stats.cells_sent;
  core.note_cell(*circuit, now);
  if (circuit->role == CircuitRole::source) {
    impl_->source.send(*circuit, std::move(payload));
  } else {
    impl_->destination.send(*circuit, std::move(payload));
  }
}

std::size_t Circuits::sendable(CircuitId id) const {
  const Circuit* circuit = impl_->core.find(id);
  return circuit == nullptr ? 0 : impl_->core.sendable(*circuit);
}

bool Circuits::is_first_link_silent(CircuitId id, Now now) const {
  const Circuit* circuit = impl_->core.find(id);
  return circuit != nullptr && circuit->next.stream != StreamId{} &&
         impl_->core.sink.is_silent(circuit->next.stream, now);
}

std::size_t Circuits::held(CircuitId id) const {
  const Circuit* circuit = impl_->core.find(id);
  return circuit == nullptr ? 0 : impl_->core.held(*circuit).bytes;
}

std::size_t Circuits::queued(CircuitId id) const {
  Circuit* circuit = impl_->core.find(id);
  if (circuit == nullptr || circuit->role == CircuitRole::relay) return 0;
  const Side& out = circuit->role == CircuitRole::source ? circuit->next : circuit->previous;
  return out.open() ? impl_->core.sink.queued_bytes(out.stream) : 0;
}

void Circuits::keep_back(CircuitId id, std::size_t bytes) {
  if (Circuit* circuit = impl_->core.find(id)) {
    circuit->kept_back() += static_cast<std::uint32_t>(bytes);
  }
}

void Circuits::give_back(CircuitId id, std::size_t bytes) {
  Circuit* circuit = impl_->core.find(id);
  if (circuit == nullptr) return;
  const std::size_t back = std::min<std::size_t>(bytes, circuit->kept_back());
  circuit->kept_back() -= static_cast<std::uint32_t>(back);
  impl_->core.pass(*circuit, circuit->only_side(), back, impl_->core.latest);
}

void Circuits::tell_sent(CircuitId id, bool tells) {
  if (Circuit* circuit = impl_->core.find(id)) circuit->tells_sent = tells;
}

memory::Block Circuits::payload_block(Priority priority) {
  memory::Block block =
      impl_->core.pool.take(onion::block_size(priority), onion::block_use(priority));
  if (block) {
    block.append(onion::payload_bytes(priority));
  } else {
    ++impl_->core.stats.blocks_exhausted;
  }
  return block;
}

/// False: there is no such circuit, or not any more.
bool Circuits::Impl::end_if_there(CircuitId id, const Ending& how, Now now) {
  core.latest = now.mono;
  Circuit* const circuit = core.find(id);
  if (circuit == nullptr) return false;
  core.end(*circuit, how, now);
  return true;
}

void Circuits::close(CircuitId id, Now now) {
  static_cast<void>(impl_->end_if_there(id, {.why = Errc::ok, .tell = false}, now));
}

void Circuits::give_up(CircuitId id, Now now) {
  const Ending how{
      .why = Errc::ok, .previous = EndCode::refused, .next = EndCode::refused, .tell = false};
  if (impl_->end_if_there(id, how, now)) ++impl_->core.stats.ended_reclaimed;
}

void Circuits::lost_race(CircuitId id, Now now) {
  const Ending how{.why = Errc::ok, .tell = false, .lost_race = true};
  static_cast<void>(impl_->end_if_there(id, how, now));
}

std::optional<CircuitInfo> Circuits::info(CircuitId id) const {
  const Circuit* circuit = impl_->core.find(id);
  if (circuit == nullptr) return std::nullopt;
  return impl_->describe(*circuit);
}

std::vector<CircuitInfo> Circuits::list() const {
  std::vector<CircuitInfo> out;
  out.reserve(size());
  impl_->core.for_each([&](const Circuit& c) { out.push_back(impl_->describe(c)); });
  return out;
}

std::size_t Circuits::size() const { return impl_->core.size(); }
double Circuits::fullness() const { return impl_->core.fullness(); }
void Circuits::look_at_places(Now now) {
  impl_->core.latest = now.mono;
  impl_->core.look_at_places(now);
}
std::size_t Circuits::building() const { return impl_->core.building(); }
bool Circuits::relays_busily(Duration quiet, Now now) const {
  bool busy = false;
  impl_->core.for_each([&](const Circuit& circuit) {
    busy = busy || (passes_on(circuit) && now.mono - circuit.last_cell < quiet);
  });
  return busy;
}

std::size_t Circuits::failed_hop() const { return impl_->core.failed_hop; }
CircuitsStats Circuits::stats() const { return impl_->core.stats; }
HopStats Circuits::hops() const { return impl_->core.hops; }
void Circuits::report(BoundedList& out) const {
  impl_->core.report(out);
  impl_->incoming.report(out);
}

// ---- streams ------------------------------------------------------------------------------------

void Circuits::on_stream_opened(StreamId stream, Now now) {
  impl_->core.latest = now.mono;
  impl_->incoming.on_opened(stream, now);
}

void Circuits::on_stream_data(StreamId stream, std::uint64_t context, Bytes data, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  core.note_brought(stream.link, data.size(), now);
  const CircuitId id = circuit_of(context);
  const Neighbor from = side_of(context);
  Circuit* circuit = core.find(id);
  // A stream that we reset may have been on its way to us; the link gives its bytes back.
  if (circuit == nullptr || circuit->side(from).stream != stream) return;
  circuit->side(from).unconsumed += static_cast<std::uint32_t>(data.size());  // inside a window
  while (!data.empty()) {
    impl_->take(*circuit, from, data, now);
    circuit = core.find(id);
    if (circuit == nullptr || !circuit->side(from).open()) return;
  }
  // A relay gives back what has left on the other side; an end what was taken, which is all.
  if (circuit->role != CircuitRole::relay) core.consume_handled(*circuit);
}

void Circuits::on_stream_sent(StreamId stream, std::uint64_t context, std::size_t bytes, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  const Neighbor to = side_of(context);
  Circuit* circuit = core.find(circuit_of(context));
  if (circuit == nullptr || circuit->side(to).stream != stream) return;
  if (circuit->role == CircuitRole::relay) return impl_->relay.on_sent(*circuit, to, bytes, now);
  const CircuitId id = circuit->id;
  if (circuit->tells_sent) core.events(*circuit).on_sent(id, bytes, now);
  circuit = core.find(id);
  if (circuit != nullptr) core.offer_room(*circuit, now);
}

void Circuits::on_stream_closed(StreamId stream, std::uint64_t context, EndCode code, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  Circuit* circuit = core.find(circuit_of(context));
  if (circuit == nullptr || circuit->side(side_of(context)).stream != stream) return;
  ++core.stats.ended_peer;
  impl_->side_gone(context, code, {Errc::circuit_failed, "the circuit ended on the way"}, now);
}

void Circuits::on_link_closed(LinkId link, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  // A copy: what is heard above may build, extend and close circuits.
  for (const std::uint64_t context : core.sides_on(link)) {
    if (core.find(circuit_of(context)) == nullptr) continue;
    ++core.stats.ended_link;
    impl_->side_gone(context, EndCode::none, Errc::link_closed, now);
  }
  core.link_gone(link);
}

void Circuits::on_link_draining(LinkId link, bool stops, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  for (const std::uint64_t context : core.sides_on(link)) {
    const Circuit* circuit = core.find(circuit_of(context));
    if (circuit == nullptr || circuit->role != CircuitRole::source) continue;
    core.events(*circuit).on_draining(circuit->id, stops, now);
  }
}

void Circuits::on_extended(std::uint64_t ticket, Result<StreamId> stream, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  Circuit* circuit = core.find({ticket});
  if (circuit == nullptr || circuit->phase != Phase::extending) {
    // Nobody waits any more.
    if (stream) core.sink.reset(*stream, EndCode::destroyed);
    return;
  }
  if (circuit->role == CircuitRole::source) {
    impl_->source.on_extended(*circuit, std::move(stream), now);
  } else {
    impl_->relay.on_extended(*circuit, std::move(stream), now);
  }
}

// ---- protection ---------------------------------------------------------------------------------

void Circuits::set_refusal(Refusal held, Refusal brought) {
  impl_->core.refusal_held = held;
  impl_->core.refusal_brought = brought;
}

// A circuit that backpressure has stopped holds cells and gets no new ones. Of those, the one whose
// last cell is oldest has been stopped for longest.
std::size_t Circuits::shed(Priority priority, std::size_t count, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  std::vector<std::pair<TimePoint, CircuitId>> stuck;
  const double little = core.little_brought(now);
  core.for_each([&](const Circuit& circuit) {
    const std::size_t held = std::size_t{circuit.previous.unconsumed} + circuit.next.unconsumed;
    if (passes_on(circuit) && circuit.phase == Phase::ready && circuit.priority == priority &&
        held >= onion::cell_bytes(priority) &&
        (now.mono - circuit.last_cell >= kIdle ||
         !core.brings_little(circuit.previous.stream.link, little, now))) {
      stuck.emplace_back(circuit.last_cell, circuit.id);
    }
  });
  count = std::min(count, stuck.size());
  const auto end = stuck.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(stuck.begin(), end, stuck.end());
  for (auto at = stuck.begin(); at != end; ++at) {
    Circuit* circuit = core.find(at->second);
    if (circuit == nullptr) continue;
    ++core.stats.ended_shed[static_cast<std::size_t>(priority)];
    core.end(*circuit,
             {.why = {Errc::refused_overload, "shed"},
              .previous = EndCode::overload,
              .next = EndCode::overload},
             now);
  }
  return count;
}

static const Ending kMemoryIsShort{.why = {Errc::refused_memory, "memory is short"},
                                   .previous = EndCode::refused,
                                   .next = EndCode::refused};

/// With normal also what is of high priority and has not come on for so long: it serves nobody.
std::size_t Circuits::reclaim(Priority priority, std::size_t bytes, Now now) {
  constexpr std::chrono::milliseconds kStuck{500};
  Core& core = impl_->core;
  core.latest = now.mono;
  struct Candidate {
    std::chrono::milliseconds waited;
    std::size_t bytes;
    CircuitId id;
  };
  std::vector<Candidate> holding;
  core.for_each([&](const Circuit& c) {
    // What a source sends is a message that waits, whatever becomes of the circuit.
    const bool last = priority == Priority::normal && c.priority == Priority::high;
    if ((c.priority != priority && !last) || c.role == CircuitRole::source) return;
    const Sink::CellsHeld held = core.held(c);
    if (last && held.waited < kStuck) return;
    if (held.bytes > 0) holding.push_back({held.waited, held.bytes, c.id});
  });
  std::sort(holding.begin(), holding.end(),
            [](const Candidate& a, const Candidate& b) { return a.waited > b.waited; });
  std::size_t freed = 0;
  for (const Candidate& next : holding) {
    if (freed >= bytes) break;
    Circuit* circuit = core.find(next.id);
    if (circuit == nullptr) continue;
    ++core.stats.ended_reclaimed;
    freed += next.bytes;
    core.end(*circuit, kMemoryIsShort, now);
  }
  return freed;
}

std::size_t Circuits::reclaim_waiting(std::size_t bytes_max, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  const std::size_t before = core.turns.bytes();
  while (core.turns.bytes() > bytes_max) {
    ++core.stats.ended_reclaimed;
    core.end(*core.find(core.turns.heaviest()), kMemoryIsShort, now);
  }
  return before - core.turns.bytes();
}

std::size_t Circuits::end_idle(Duration quiet, std::size_t visits, Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  std::vector<CircuitId> idle;  // to end one may end others
  core.for_next(visits, [&](const Circuit& circuit) {
    // Who waits at a keeper is quiet by nature; the keeper has its own times for that.
    if (circuit.phase == Phase::ready && circuit.role != CircuitRole::source &&
        circuit.kind != EndKind::keeper && now.mono - circuit.last_cell >= quiet) {
      idle.push_back(circuit.id);
    }
  });
  std::size_t ended = 0;
  for (const CircuitId id : idle) {
    Circuit* circuit = core.find(id);
    if (circuit == nullptr) continue;
    ++core.stats.ended_idle;
    ++ended;
    core.end(*circuit, {.why = {Errc::timed_out, "idle"}}, now);
  }
  return ended;
}

// ---- time ---------------------------------------------------------------------------------------

void Circuits::on_time(Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  while (Circuit* circuit = core.pop_due(now)) impl_->due(*circuit, now);
  impl_->incoming.on_time(now);
  impl_->handle_waiting(now);
  core.look_at_quota(now);
}

TimePoint Circuits::next_deadline() const {
  if (!impl_->core.turns.empty()) return TimePoint::min();
  return std::min(
      {impl_->core.next_deadline(), impl_->incoming.next_deadline(), impl_->core.quota_due()});
}

void Circuits::shutdown(Now now) {
  Core& core = impl_->core;
  core.latest = now.mono;
  core.stopping = true;
  for (const CircuitId id : core.ids()) {
    if (Circuit* circuit = core.find(id)) {
      core.end(
          *circuit,
          {.why = Errc::shutting_down, .previous = EndCode::shutdown, .next = EndCode::shutdown},
          now);
    }
  }
}

}  // namespace qudag::circuit
