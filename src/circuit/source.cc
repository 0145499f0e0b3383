#include "circuit/source.h"

#include "circuit/wire.h"

#include <string>

namespace qudag::circuit {

namespace {

/// What a reply with a status other than ready says, and of whom: a relay that cannot reach the
/// next hop speaks of that one.
Ending ending_of(const onion::BuildResult& result) {
  const std::string hop = "hop " + std::to_string(result.failed_hop + 1);
  switch (result.status) {
    case onion::BuildStatus::refused:
      return {.why = {Errc::refused_by_peer, hop + " refused"}, .failed_hop = result.failed_hop};
    case onion::BuildStatus::next_refused:
      return {.why = {Errc::refused_by_peer, "the hop after " + hop + " refused"},
              .failed_hop = result.failed_hop + 1};
    case onion::BuildStatus::unknown_next:
      return {.why = {Errc::unreachable, hop + " does not know the next hop"},
              .failed_hop = result.failed_hop + 1};
    default:
      return {.why = {Errc::unreachable, hop + " does not reach the next hop"},
              .failed_hop = result.failed_hop + 1};
  }
}

}  // namespace

Result<CircuitId> Source::build(std::span<const onion::RouteHop> route, Priority priority, Now now,
                                Bytes rider, EndKind kind) {
  if (core_.stopping) return fail(Errc::shutting_down);
  if (route.empty() || route.size() > limits::kHopsMax) return fail(Errc::invalid_argument);
  const std::uint64_t no_memory = core_.stats.refused_memory;
  if (!core_.has_place(priority, 1) || core_.full())
    core_.make_place(Core::kOurOwn, priority, 1, now);
  if (!core_.has_place(priority, 1)) return fail(Errc::refused_circuits);
  Circuit* circuit = core_.add(CircuitRole::source, Phase::extending, now);
  if (circuit == nullptr) {
    const bool memory = core_.stats.refused_memory != no_memory;
    return fail(memory ? Errc::refused_memory : Errc::refused_circuits);
  }
  ++core_.stats.builds_started;
  circuit->priority = priority;
  circuit->kind = kind;
  circuit->announced = true;

  const CircuitId id = circuit->id;
  auto asking = std::make_unique<Asking>();
  asking->message = std::make_unique<onion::BuildMessage>();
  auto pending = onion::start_build(
      route, priority, now.unix_seconds, core_.rng, *asking->message, core_.options.stock, rider,
      kind == EndKind::keeper ? onion::Role::keeper : onion::Role::destination);
  if (!pending) {
    core_.end(*circuit, {.why = pending.error(), .tell = false}, now);
    return std::unexpected(pending.error());
  }
  asking->pending = std::move(*pending);
  if (!rider.empty()) ++core_.stats.riders_sent;

  // The sink may answer from inside extend(), and may say no: then this call is what fails, because
  // nobody knows the circuit yet.
  Error failed(Errc::circuit_failed);
  asking->failed_inside = &failed;
  circuit->handshake = std::move(asking);
  core_.sink.extend(id.value, route.front().id, priority, now);
  circuit = core_.find(id);
  if (circuit == nullptr) return std::unexpected(failed);
  if (auto* held = std::get_if<std::unique_ptr<Asking>>(&circuit->handshake)) {
    (*held)->failed_inside = nullptr;
  }
  return id;
}

void Source::on_extended(Circuit& circuit, Result<StreamId> stream, Now now) {
  if (!stream) {
    ++core_.stats.extend_failed;
    return core_.end(circuit, {.why = stream.error(), .failed_hop = 0}, now);
  }
  Asking& asking = *std::get<std::unique_ptr<Asking>>(circuit.handshake);
  const std::unique_ptr<onion::BuildMessage> message = std::move(asking.message);
  circuit.phase = Phase::awaiting_reply;
  asking.went = now.mono;
  core_.attach(circuit, Neighbor::next, *stream);
  if (!core_.write_unit(circuit, Neighbor::next, preface(circuit.priority), *message)) {
    core_.end_exhausted(circuit, now);
  }
}

void Source::on_reply_data(Circuit& circuit, Bytes& data, Now now) {
  Asking& asking = *std::get<std::unique_ptr<Asking>>(circuit.handshake);
  if (!asking.reply.take(data)) return;
  const std::unique_ptr<onion::ReplyMessage> reply = asking.reply.release();
  const Duration waited = now.mono - asking.went;
  auto result = onion::finish_build(std::move(asking.pending), *reply);
  if (!result) return core_.end(circuit, {.why = result.error()}, now);
  if (result->malformed) {
    return core_.end(circuit,
                     {.why = {Errc::malformed, "a reply has something behind its record"},
                      .failed_hop = result->failed_hop},
                     now);
  }
  if (result->status != onion::BuildStatus::ready) {
    return core_.end(circuit, ending_of(*result), now);
  }
  count_hops(waited, result->times);
  circuit.crypto.emplace<onion::SourceCrypto>(std::move(result->hops), circuit.priority, core_.rng);
  core_.set_ready(circuit, now);
  core_.note_sendable(circuit);
  ++core_.stats.builds_ready;
  core_.events(circuit).on_built(circuit.id, now.mono - circuit.created, now);
}

/// What a hop waited for the next one, less what that one says it took, is the way there and back.
void Source::count_hops(Duration waited, std::span<const onion::HopTimes> times) {
  for (std::size_t i = 0; i < times.size(); ++i) {
    core_.hops.kept[i].record(times[i].kept());
    core_.hops.round_trip[i].record(waited - times[i].kept() - times[i].waited());
    waited = times[i].waited();
  }
}

void Source::on_cell_data(Circuit& circuit, Bytes& data, Now now) {
  memory::Block cell = core_.take_cell(circuit, circuit.next, data, now);
  if (cell && core_.has_turn(circuit, cell, now)) handle(circuit, std::move(cell), now);
}

void Source::handle(Circuit& circuit, memory::Block cell, Now now) {
  if (const auto bad = std::get<onion::SourceCrypto>(circuit.crypto).open(cell)) {
    if (*bad == onion::SourceCrypto::kTailNotZero) return core_.end_bad_tail(circuit, now);
    return core_.end_bad_cell(circuit, *bad, now);
  }
  ++circuit.cells_backward;
  ++core_.stats.cells_received;
  core_.turns.charge(core_.events(circuit).on_payload(circuit.id, std::move(cell), now));
}

void Source::send(Circuit& circuit, memory::Block payload) {
  std::get<onion::SourceCrypto>(circuit.crypto).seal(payload);
  ++circuit.cells_forward;
  core_.write_cell(circuit, Neighbor::next, std::move(payload));
}

void Source::on_side_gone(Circuit& circuit, EndCode code, Now now) {
  Ending how{.why = {Errc::circuit_failed, "the circuit ended on the way"}};
  // A code other than `destroyed` is hop 1 speaking of itself.
  if (circuit.building && code != EndCode::destroyed) how.failed_hop = 0;
  if (code == EndCode::refused) how.why = {Errc::refused_by_peer, "hop 1 refused"};
  if (code == EndCode::overload) how.why = {Errc::refused_by_peer, "hop 1 sheds load"};
  if (code == EndCode::rate) how.why = {Errc::refused_by_peer, "hop 1: too many in a second"};
  if (code == EndCode::unreachable)
    how.why = {Errc::unreachable, "hop 1 does not reach the next hop"};
  core_.end(circuit, how, now);
}

}  // namespace qudag::circuit
