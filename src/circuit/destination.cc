#include "circuit/destination.h"

namespace qudag::circuit {

void Destination::begin(Circuit& circuit, onion::AcceptedBuild accepted, Bytes behind,
                        TimePoint came, Now now) {
  ++core_.stats.accepted_destination;
  circuit.role = CircuitRole::destination;
  const bool rider = accepted.rider;
  if (accepted.role == onion::Role::keeper) circuit.kind = EndKind::keeper;
  CircuitEvents& events = core_.events(circuit);
  onion::ReplyMessage reply;
  onion::seal_reply(accepted, onion::BuildStatus::ready, reply,
                    {.kept_ms = onion::HopTimes::whole_ms(now.mono - came)});
  circuit.crypto.emplace<onion::HopCrypto>(std::move(accepted.secrets), circuit.priority);
  core_.set_ready(circuit, now);

  const CircuitId id = circuit.id;
  if (!core_.write_unit(circuit, Neighbor::previous, {}, reply)) {
    return core_.end_exhausted(circuit, now);
  }
  Circuit* still = core_.find(id);
  if (still == nullptr) return;
  core_.note_sendable(*still);
  still->announced = true;
  events.on_incoming(id, still->priority, now);
  if (!rider || core_.find(id) == nullptr) return;
  ++core_.stats.riders_taken;
  core_.turns.spend(events.on_rider(id, behind.first(onion::kRiderBytes), now), now);
}

void Destination::on_cell_data(Circuit& circuit, Bytes& data, Now now) {
  memory::Block cell = core_.take_cell(circuit, circuit.previous, data, now);
  if (cell && core_.has_turn(circuit, cell, now)) handle(circuit, std::move(cell), now);
}

void Destination::handle(Circuit& circuit, memory::Block cell, Now now) {
  if (!std::get<onion::HopCrypto>(circuit.crypto).open(cell)) {
    return core_.end_bad_cell(circuit, Circuits::kHopUnknown, now);
  }
  ++circuit.cells_forward;
  ++core_.stats.cells_received;
  core_.turns.charge(core_.events(circuit).on_payload(circuit.id, std::move(cell), now));
}

void Destination::send(Circuit& circuit, memory::Block payload) {
  std::get<onion::HopCrypto>(circuit.crypto).seal(payload);
  ++circuit.cells_backward;
  core_.write_cell(circuit, Neighbor::previous, std::move(payload));
}

}  // namespace qudag::circuit
