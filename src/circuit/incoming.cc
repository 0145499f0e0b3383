#include "circuit/incoming.h"

#include "circuit/destination.h"
#include "circuit/relay.h"
#include "circuit/wire.h"

#include "base/secret.h"

#include <algorithm>
#include <utility>

namespace qudag::circuit {

// At a limit the stream is reset and nothing read: a sealed refusal would cost a decapsulation for
// every stream of a flood.
void Incoming::on_opened(StreamId stream, Now now) {
  if (core_.stopping) return core_.sink.reset(stream, EndCode::shutdown);
  core_.make_build_place(stream.link, now);
  if (core_.full()) core_.make_place(stream.link, Priority::high, 1, now);
  const std::uint64_t no_memory = core_.stats.refused_memory;
  Circuit* circuit = core_.add(CircuitRole::relay, Phase::opening, now);
  if (circuit == nullptr) {
    if (core_.stats.refused_memory == no_memory) ++core_.stats.refused_limit;
    return core_.sink.reset(stream, EndCode::refused);
  }
  circuit->handshake = std::make_unique<Opening>();
  core_.attach(*circuit, Neighbor::previous, stream);
  set_opening_deadline(*circuit, now);
}

// Two seconds for the preface and for each fifth of the build, and build_timeout for all of it.
void Incoming::set_opening_deadline(Circuit& circuit, Now now) {
  core_.set_deadline(circuit, std::min(circuit.created + core_.options.build_timeout,
                                       now.mono + core_.options.opening_timeout));
}

void Incoming::on_due(Circuit& circuit, Now now) {
  constexpr std::size_t kProgressBytes = limits::kBuildMessageBytes / 5;
  Opening& opening = *std::get<std::unique_ptr<Opening>>(circuit.handshake);
  const std::size_t come = opening.build.filled() - opening.seen_bytes;
  if (come >= kProgressBytes && now.mono < circuit.created + core_.options.build_timeout) {
    opening.seen_bytes = opening.build.filled();
    return set_opening_deadline(circuit, now);
  }
  ++core_.stats.builds_timed_out;
  ++core_.stats.refused_slow;
  core_.end(circuit,
            {.why = {Errc::timed_out, "the build came too slowly"}, .previous = EndCode::refused},
            now);
}

void Incoming::on_data(Circuit& circuit, Bytes& data, Now now) {
  Opening& opening = *std::get<std::unique_ptr<Opening>>(circuit.handshake);
  if (opening.preface_bytes < Preface{}.size()) return take_preface(circuit, opening, data, now);
  if (opening.waits) {  // nothing may follow a build before its reply
    return core_.end(circuit, {.why = Errc::malformed, .previous = EndCode::protocol}, now);
  }
  if (!opening.build.take(data)) return;
  opening.came = now.mono;
  whole(circuit, opening, now);
}

void Incoming::whole(Circuit& circuit, Opening& opening, Now now) {
  if (waiting_.empty() && has_turn(now)) return accept(circuit, opening, now);
  opening.waits = true;
  core_.set_deadline(circuit, circuit.created + core_.options.build_timeout);
  // Each circuit waits once, so with those that have ended gone there is room.
  if (waiting_.size() >= core_.options.building_max) forget_gone();
  waiting_.push(circuit.previous.stream.link, circuit.id);
}

/// Those that ended while they waited.
void Incoming::forget_gone() {
  waiting_.erase_if([this](CircuitId id) { return core_.find(id) == nullptr; });
}

/// Turns differ in their time.
bool Incoming::has_turn(Now now) {
  if (std::exchange(turn_, now.mono) != now.mono) opened_ = 0;
  return core_.options.builds_per_turn == 0 || opened_++ < core_.options.builds_per_turn;
}

void Incoming::on_time(Now now) {
  while (!waiting_.empty() && has_turn(now)) {
    Circuit* circuit = nullptr;
    while (circuit == nullptr) {
      const auto next = waiting_.pop();
      if (!next) return;
      circuit = core_.find(next->item);
    }
    const CircuitId id = circuit->id;
    accept(*circuit, *std::get<std::unique_ptr<Opening>>(circuit->handshake), now);
    circuit = core_.find(id);
    if (circuit != nullptr && circuit->role != CircuitRole::relay && circuit->previous.open()) {
      core_.consume_all(circuit->previous);
    }
  }
}

void Incoming::report(BoundedList& out) const {
  out.push_back(bounded(Bounded::Kind::queue, "builds that wait for their turn",
                        "their places go to others", waiting_.size(), core_.options.building_max));
}

void Incoming::take_preface(Circuit& circuit, Opening& opening, Bytes& data, Now now) {
  const std::byte value = data.front();
  data = data.subspan(1);
  const bool good = opening.preface_bytes == 0
                        ? value == kPrefaceVersion
                        : std::to_integer<std::size_t>(value) < kPriorityCount;
  if (!good) return refuse(circuit, Errc::malformed, now);
  if (++opening.preface_bytes < Preface{}.size()) return;
  circuit.priority = static_cast<Priority>(value);
  core_.sink.set_priority(circuit.previous.stream, circuit.priority);
  // Now the priority is known, and the build of 14 KB is not there yet.
  if (core_.refuses(circuit.previous.stream.link, circuit.priority, now)) {
    return refuse_priority(circuit, true, now);
  }
  if (!core_.has_place(circuit.priority, 0)) {
    const CircuitId id = circuit.id;
    core_.make_place(circuit.previous.stream.link, circuit.priority, 0, now);
    if (core_.find(id) == nullptr) return;
    if (!core_.has_place(circuit.priority, 0)) return refuse_priority(circuit, false, now);
  }
  set_opening_deadline(circuit, now);
}

void Incoming::refuse_priority(Circuit& circuit, bool overload, Now now) {
  ++(overload ? core_.stats.refused_overload : core_.stats.refused_limit);
  core_.end(circuit,
            {.why = {overload ? Errc::refused_overload : Errc::refused_circuits},
             .previous = overload ? EndCode::overload : EndCode::refused},
            now);
}

void Incoming::accept(Circuit& circuit, Opening& opening, Now now) {
  std::unique_ptr<onion::BuildMessage> message = opening.build.release();
  const TimePoint came = opening.came;
  circuit.handshake = std::monostate{};
  core_.set_deadline(circuit, circuit.created + core_.options.build_timeout);
  auto accepted = onion::accept_build(core_.options.self, core_.onion_keys, *core_.replays,
                                      circuit.priority, now.unix_seconds, *message);
  if (!accepted) return refuse(circuit, accepted.error(), now);
  if (accepted->role == onion::Role::keeper && !core_.options.keeper) {
    ++core_.stats.refused_not_keeper;
    wipe(*message);
    return relay_.refuse(circuit, *accepted, onion::BuildStatus::refused, now);
  }
  if (accepted->role == onion::Role::keeper && core_.quota_refuses(circuit.previous.stream.link)) {
    ++core_.stats.refused_quota;
    wipe(*message);
    return relay_.refuse(circuit, *accepted, onion::BuildStatus::refused, now);
  }
  if (accepted->role != onion::Role::relay) {
    destination_.begin(circuit, std::move(*accepted), *message, came, now);
    wipe(*message);  // what rode in it was in the clear
  } else {
    relay_.begin(circuit, std::move(*accepted), std::move(message), came, now);
  }
}

// docs/reference/protocol.md, 5.2: `protocol` for what breaks a rule, `refused` for what is right
// in itself.
void Incoming::refuse(Circuit& circuit, const Error& why, Now now) {
  CircuitsStats& stats = core_.stats;
  EndCode code = EndCode::protocol;
  switch (why.code) {
    case Errc::authentication_failed:
      ++stats.refused_auth;
      break;
    case Errc::replayed:
      ++stats.refused_replay;
      code = EndCode::refused;
      break;
    case Errc::expired:
      ++stats.refused_expired;
      code = EndCode::refused;
      break;
    case Errc::refused_overload:
      ++stats.refused_limit;
      code = EndCode::refused;
      break;
    default:
      ++stats.refused_malformed;
      break;
  }
  core_.end(circuit, {.why = why, .previous = code}, now);
}

}  // namespace qudag::circuit
