#include "circuit/relay.h"

#include "circuit/wire.h"

#include <algorithm>

namespace qudag::circuit {

namespace {

constexpr Duration kReplyLinger = std::chrono::seconds(5);

onion::BuildStatus status_of(const Error& why) {
  switch (why.code) {
    case Errc::unknown_destination:
      return onion::BuildStatus::unknown_next;
    case Errc::refused_by_peer:
      return onion::BuildStatus::next_refused;
    case Errc::refused_memory:
    case Errc::refused_circuits:
    case Errc::refused_links:
    case Errc::refused_overload:
    case Errc::refused_rate:
    case Errc::would_block:
      return onion::BuildStatus::refused;
    default:
      return onion::BuildStatus::unreachable;
  }
}

}  // namespace

void Relay::begin(Circuit& circuit, onion::AcceptedBuild accepted,
                  std::unique_ptr<onion::BuildMessage> message, TimePoint came, Now now) {
  if (!core_.options.relay) {
    ++core_.stats.refused_not_relay;
    return refuse(circuit, accepted, onion::BuildStatus::refused, now);
  }
  if (core_.quota_refuses(circuit.previous.stream.link)) {
    ++core_.stats.refused_quota;
    return refuse(circuit, accepted, onion::BuildStatus::refused, now);
  }
  ++core_.stats.accepted_relay;
  auto joining = std::make_unique<Joining>();
  joining->accepted = std::move(accepted);
  joining->message = std::move(message);
  joining->came = came;
  const NodeId next = joining->accepted.next;
  circuit.handshake = std::move(joining);
  circuit.phase = Phase::extending;
  core_.sink.extend(circuit.id.value, next, circuit.priority, now);
}

void Relay::on_extended(Circuit& circuit, Result<StreamId> stream, Now now) {
  Joining& joining = *std::get<std::unique_ptr<Joining>>(circuit.handshake);
  const std::unique_ptr<onion::BuildMessage> message = std::move(joining.message);
  if (!stream) {
    ++core_.stats.extend_failed;
    return refuse(circuit, joining.accepted, status_of(stream.error()), now);
  }
  circuit.phase = Phase::awaiting_reply;
  joining.went = now.mono;
  core_.attach(circuit, Neighbor::next, *stream);
  if (!core_.write_unit(circuit, Neighbor::next, preface(circuit.priority), *message)) {
    core_.end_exhausted(circuit, now);
  }
}

void Relay::on_reply_data(Circuit& circuit, Bytes& data, Now now) {
  Joining& joining = *std::get<std::unique_ptr<Joining>>(circuit.handshake);
  if (!joining.reply.take(data)) return;
  const std::unique_ptr<onion::ReplyMessage> reply = joining.reply.release();
  onion::relay_reply(joining.accepted, *reply,
                     {.kept_ms = onion::HopTimes::whole_ms(joining.went - joining.came),
                      .waited_ms = onion::HopTimes::whole_ms(now.mono - joining.went)});
  circuit.crypto.emplace<onion::HopCrypto>(std::move(joining.accepted.secrets), circuit.priority);
  core_.set_ready(circuit, now);
  write_reply(circuit, *reply, now);
}

void Relay::on_cell_data(Circuit& circuit, Neighbor from, Bytes& data, Now now) {
  memory::Block cell = core_.take_cell(circuit, circuit.side(from), data, now);
  if (!cell) return;
  auto& crypto = std::get<onion::HopCrypto>(circuit.crypto);
  StreamId out;
  if (from == Neighbor::previous) {
    if (!crypto.forward(cell)) return core_.end_bad_cell(circuit, Circuits::kHopUnknown, now);
    ++circuit.cells_forward;
    out = circuit.next.stream;
  } else {
    crypto.backward(cell);
    ++circuit.cells_backward;
    out = circuit.previous.stream;
  }
  ++core_.stats.cells_relayed;
  core_.stats.bytes_relayed += cell.size();
  core_.sink.write(out, std::move(cell));
}

void Relay::on_sent(Circuit& circuit, Neighbor to, std::size_t bytes, Now now) {
  if (to == Neighbor::next) return core_.pass(circuit, circuit.previous, bytes, now.mono);
  circuit.reply_unsent -=
      static_cast<std::uint32_t>(std::min<std::size_t>(bytes, circuit.reply_unsent));
  if (circuit.phase == Phase::draining) {
    // In a packet is not yet with the peer, and a reset would cancel what a lost packet carried.
    // The source resets when it has read the reply; the deadline is for one that does not.
    if (circuit.reply_unsent == 0) core_.set_deadline(circuit, now.mono + kReplyLinger);
    return;
  }
  core_.pass(circuit, circuit.next, bytes, now.mono);
}

void Relay::on_side_gone(Circuit& circuit, Neighbor from, EndCode code, const Error& why, Now now) {
  if (from == Neighbor::previous) {
    return core_.end(circuit, {.why = why}, now);
  }
  if (circuit.phase == Phase::awaiting_reply) {
    Joining& joining = *std::get<std::unique_ptr<Joining>>(circuit.handshake);
    const bool refused =
        code == EndCode::refused || code == EndCode::overload || code == EndCode::rate;
    return refuse(circuit, joining.accepted,
                  refused ? onion::BuildStatus::next_refused : onion::BuildStatus::unreachable,
                  now);
  }
  // The reply may be the next hop's word that it cannot go on: it must not be lost.
  if (circuit.reply_unsent > 0) return core_.set_draining(circuit, now);
  core_.end(circuit, {.why = why}, now);
}

void Relay::refuse(Circuit& circuit, const onion::AcceptedBuild& accepted,
                   onion::BuildStatus status, Now now) {
  onion::ReplyMessage reply;
  onion::seal_reply(accepted, status, reply);
  core_.set_draining(circuit, now);  // `accepted` may be gone with the handshake
  write_reply(circuit, reply, now);
}

void Relay::write_reply(Circuit& circuit, const onion::ReplyMessage& reply, Now now) {
  circuit.reply_unsent = static_cast<std::uint32_t>(reply.size());
  if (!core_.write_unit(circuit, Neighbor::previous, {}, reply)) {
    core_.end_exhausted(circuit, now);
  }
}

}  // namespace qudag::circuit
