#include "keeper/ports.h"

#include "base/secret.h"
#include "keeper/card/card.h"
#include "keeper/say.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// From the build to JOINED or NO: what the build may take, and a keeper before it says busy.
constexpr Duration kAnswerMax = 25s;
/// A call goes to the keeper and on to the receiver, and if no standby waits there one is built.
constexpr unsigned kLegs = 3;

HailFields fields_of(const KnownCard& known, crypto::Cipher cipher, bool kept, Now now) {
  return {.kind = kept ? HailKind::either : HailKind::live,
          .cipher = cipher,
          .expiry_minutes = hail_expiry(now.unix_seconds),
          .card_published = known.card.published};
}

Error error_of(wire::NoReason reason) {
  switch (reason) {
    case wire::NoReason::no_inbox:
      return {Errc::refused_by_peer, "the keeper has no such inbox"};
    case wire::NoReason::away:
      return {Errc::refused_by_peer, "the receiver is away"};
    case wire::NoReason::busy:
      return {Errc::refused_by_peer, "the receiver is busy"};
    case wire::NoReason::declined:
      return {Errc::refused_by_peer, "the receiver declined"};
    case wire::NoReason::too_fast:
      return {Errc::refused_by_peer, "too many calls of that inbox"};
    case wire::NoReason::receiver_ended:
      return {Errc::refused_by_peer, "the receiver did not answer"};
    case wire::NoReason::stopping:
      return {Errc::refused_by_peer, "the keeper stops"};
    case wire::NoReason::stored:
    case wire::NoReason::no_room:
    case wire::NoReason::too_large:
      break;
  }
  return {Errc::refused_by_peer, "the keeper refused"};
}

}  // namespace

// ---- ids ----------------------------------------------------------------------------------------

circuit::CircuitId Ports::next_id() {
  const std::uint64_t n = ++ids_;
  return {(n & 0xffffffff) << 32 | kTunnelBit | ((n >> 32) & (kTunnelBit - 1))};
}

Ports::Line* Ports::find(circuit::CircuitId tunnel) const {
  const auto at = lines_.find(tunnel.value);
  return at == lines_.end() ? nullptr : at->second.get();
}

Ports::Line* Ports::line_of(circuit::CircuitId circuit) const {
  const auto at = calls_.find(circuit.value);
  return at == calls_.end() ? nullptr : at->second;
}

/// The circuit that carries it; one that does not exist if it is gone.
circuit::CircuitId Ports::inner(circuit::CircuitId circuit) const {
  if (!is_tunnel(circuit)) return circuit;
  const Line* line = find(circuit);
  return line == nullptr ? circuit::CircuitId{} : line->circuit;
}

void Ports::erase(Line& line) {
  deadlines_.remove(line);
  if (line.deposits) --deposits_;
  if (line.host == nullptr && line.letters == nullptr) calls_.erase(line.circuit.value);
  lines_.erase(line.tunnel.value);
}

// ---- of receivers here --------------------------------------------------------------------------

circuit::CircuitId Ports::open(TunnelHost& host, const NodeId& receiver, circuit::CircuitId standby,
                               Priority priority, Tunnel keys, std::vector<LetterKey> hailed) {
  auto line = std::make_unique<Line>();
  const circuit::CircuitId tunnel = line->tunnel = next_id();
  line->circuit = standby;
  line->priority = priority;
  line->receiver = receiver;
  line->keys.emplace(std::move(keys));
  line->host = &host;
  line->hailed = std::move(hailed);
  lines_.emplace(tunnel.value, std::move(line));
  return tunnel;
}

void Ports::begin(circuit::CircuitId tunnel, Bytes frames, Now now) {
  const Line* line = find(tunnel);
  if (line == nullptr) return;
  above_->on_incoming(tunnel, line->priority, now);
  if (find(tunnel) != nullptr) static_cast<void>(above_->on_rider(tunnel, frames, now));
}

bool Ports::take(circuit::CircuitId tunnel, memory::Block payload, std::size_t& work, Now now) {
  Line* line = find(tunnel);
  if (line == nullptr) return true;  // messages have left it
  if (!line->keys->open(payload.bytes())) {
    ++stats_.payloads_bad;
    return false;
  }
  payload.drop_front(kTunnelHeaderBytes);
  work = above_->on_payload(tunnel, std::move(payload), now);
  return true;
}

void Ports::sendable_again(circuit::CircuitId tunnel, Now now) {
  if (find(tunnel) != nullptr) above_->on_sendable(tunnel, now);
}

void Ports::ended(circuit::CircuitId tunnel, const Error& why, Now now) {
  Line* line = find(tunnel);
  if (line == nullptr) return;
  erase(*line);
  above_->on_ended(tunnel, why, now);
}

// ---- calls --------------------------------------------------------------------------------------

Result<circuit::CircuitId> Ports::build(std::span<const onion::RouteHop> route, Priority priority,
                                        Now now, Bytes rider) {
  const KnownCardPtr known = route.size() < 2 ? nullptr : cards_->find(route.back().id);
  if (known == nullptr) return plain_.build(route, priority, now, rider);
  return call(*known, route, priority, rider, Keep::no, now);
}

Result<circuit::CircuitId> Ports::call(const KnownCard& known,
                                       std::span<const onion::RouteHop> route, Priority priority,
                                       Bytes frames, Keep keep, Now now) {
  const auto to_keeper = route.first(route.size() - 1);
  const auto& places = known.card.places;
  const auto place = std::ranges::find(places, to_keeper.back().id, &Card::Place::keeper);
  if (place == places.end()) return fail(Errc::unknown_destination, "another card came meanwhile");
  // Another keeper may know where the receiver is: only the last one is to keep it.
  const bool last = cards_->is_last(known.card.receiver, place->keeper, now);
  const bool kept = keep == Keep::if_away && last;
  const bool looks = cards_->looks_up(known, now);
  if (!looks && known.key == nullptr) return fail(Errc::unknown_destination, "no card");
  std::array<std::byte, onion::kRiderBytes> rider;
  Call begun;
  if (looks) {
    write_rider(wire::GetFrame{spot_here(place->inbox)}, rider);
  } else {
    Hail hail;
    auto call = make_hail({.receiver = known.card.receiver, .inbox = place->inbox}, *known.key,
                          fields_of(known, cipher_, kept, now), frames, hail);
    if (!call) return std::unexpected(call.error());
    begun = std::move(*call);
    write_rider(wire::JoinFrame{.inbox = place->inbox, .store = kept, .hail = hail}, rider);
  }
  auto circuit = ends_.build(*this, to_keeper, priority, rider, now);
  if (!circuit) return circuit;
  ++stats_.calls;
  auto line = std::make_unique<Line>();
  if (looks) {
    line->state = CallState::seeking;
    line->looked = true;
    line->frames.assign(frames.begin(), frames.end());
  }
  line->tunnel = next_id();
  line->circuit = *circuit;
  line->priority = priority;
  line->receiver = known.card.receiver;
  line->keeper = place->keeper;
  line->hops = route.size();
  line->last = last;
  line->kept = kept;
  line->call = std::move(begun);
  line->asked = now.mono;
  deadlines_.set(*line, now.mono + kAnswerMax);
  calls_.emplace(circuit->value, line.get());
  const circuit::CircuitId tunnel = line->tunnel;
  lines_.emplace(tunnel.value, std::move(line));
  return tunnel;
}

void Ports::on_built(circuit::CircuitId circuit, Duration, Now now) {
  Line* line = line_of(circuit);
  if (line == nullptr) return;
  line->state = after(line->state, CallEvent::built).value_or(line->state);
  if (line->deposits) send_pieces(*line, now);
}

std::size_t Ports::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  Line* line = line_of(circuit);
  if (line == nullptr) return 0;
  const circuit::CircuitId tunnel = line->tunnel;
  const Error broke(Errc::circuit_failed, "the keeper broke the protocol");
  if (payload.bytes().front() == static_cast<std::byte>(wire::KeeperPayload::tunnel)) {
    std::size_t work = 0;
    if (line->stream.partial() || !after(line->state, CallEvent::payload) ||
        !take(tunnel, std::move(payload), work, now)) {
      line = find(tunnel);
      if (line != nullptr) end_call(*line, broke, line->hops - 2, now);
    }
    return work;
  }
  wire::KeeperStream stream = std::move(line->stream);
  const bool frames =
      payload.bytes().front() == static_cast<std::byte>(wire::KeeperPayload::frames);
  const bool ok = frames && stream.take(payload.bytes().subspan(1), [&](const auto& frame) {
    return on_frame(circuit, frame, now);
  });
  line = find(tunnel);
  if (line == nullptr) return 1;
  line->stream = std::move(stream);
  if (!ok) end_call(*line, broke, line->hops - 2, now);
  return 1;
}

/// False: the circuit has ended, or has to.
bool Ports::on_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now) {
  Line* line = line_of(circuit);
  if (line == nullptr) return false;
  if (const auto* joined = std::get_if<wire::JoinedFrame>(&frame)) {
    return on_joined(*line, *joined, now);
  }
  if (const auto* no = std::get_if<wire::NoFrame>(&frame)) {
    return !line->deposits && on_no(*line, *no, now);
  }
  if (const auto* stored = std::get_if<wire::StoredFrame>(&frame)) {
    return on_stored(*line, *stored, now);
  }
  if (const auto* card = std::get_if<wire::CardFrame>(&frame)) return on_card(*line, *card, now);
  if (std::holds_alternative<wire::PartFrame>(frame) && after(line->state, CallEvent::part)) {
    end_call(*line, {Errc::circuit_failed, "the conversation has ended"}, SIZE_MAX, now);
  }
  return false;
}

bool Ports::on_joined(Line& line, const wire::JoinedFrame& frame, Now now) {
  const auto next = after(line.state, CallEvent::joined);
  if (!next || line.deposits) return false;
  line.state = *next;
  deadlines_.remove(line);
  Answer answer;
  std::ranges::copy(frame.answer, answer.begin());
  auto answered = finish_call(std::move(line.call), answer);
  if (!answered) {
    ++stats_.answers_bad;
    end_call(line, answered.error(), line.hops - 2, now);
    return false;
  }
  line.keys.emplace(std::move(answered->tunnel));
  ++stats_.joined;
  if (answered->fields.newer_card) cards_->doubt(line.receiver, now);  // for the next call
  const circuit::CircuitId tunnel = line.tunnel;
  // As long as the circuit took, and the way from the keeper to the receiver again; before that the
  // way to the keeper's card.
  above_->on_built(tunnel, (now.mono - line.asked) / (line.looked ? 3 : 2), now);
  return find(tunnel) != nullptr;
}

bool Ports::on_no(Line& line, const wire::NoFrame& frame, Now now) {
  if (!after(line.state, CallEvent::no)) return false;
  if (note_kept(line, frame.reason, now)) return false;
  ++stats_.calls_refused;
  cards_->failed(line.receiver, line.keeper, now);
  const bool other =
      frame.reason == wire::NoReason::no_inbox || frame.reason == wire::NoReason::declined;
  if (other) cards_->doubt(line.receiver, now);
  if (frame.reason == wire::NoReason::away && line.last) {
    end_call(line, {Errc::away, "all its keepers say so"}, SIZE_MAX, now);
    return false;
  }
  end_call(line, error_of(frame.reason), line.hops - 1, now);
  return false;
}

/// The answer to our GET: the call begins.
bool Ports::on_card(Line& line, const wire::CardFrame& frame, Now now) {
  const auto next = after(line.state, CallEvent::card);
  if (!next) return false;
  line.state = *next;
  ++stats_.looked_up;
  const KnownCardPtr known = learn(line, frame, now);
  if (known == nullptr || known->key == nullptr) {
    return refuse(line, "the keeper has no good card of the receiver", now);
  }
  return join(line, *known, now);
}

/// What is known of the receiver then. A keeper that gives nothing, or what is not the receiver's,
/// cannot take from us what we have.
KnownCardPtr Ports::learn(Line& line, const wire::CardFrame& frame, Now now) {
  const KnownCardPtr before = cards_->find(line.receiver);
  if (before == nullptr || frame.of == 0) return before;
  const auto& places = before->card.places;
  const auto place = std::ranges::find(places, line.keeper, &Card::Place::keeper);
  if (place == places.end()) return before;  // another card came meanwhile
  CardBlob blob;
  std::ranges::copy(frame.blob, blob.begin());
  const auto card =
      open_card(blob, line.receiver, before->card.pin, spot_here(place->inbox), now.unix_seconds);
  if (card) return cards_->learn(*card, now);
  ++stats_.cards_bad;
  return before;
}

bool Ports::join(Line& line, const KnownCard& known, Now now) {
  const auto& places = known.card.places;
  const auto place = std::ranges::find(places, line.keeper, &Card::Place::keeper);
  if (place == places.end()) {
    return refuse(line, "the receiver is not at that keeper any more", now);
  }
  Hail hail;
  auto call = make_hail({.receiver = line.receiver, .inbox = place->inbox}, *known.key,
                        fields_of(known, cipher_, line.kept, now), line.frames, hail);
  const auto next = after(line.state, CallEvent::join);
  const circuit::CircuitId circuit = line.circuit;
  if (!call || !next) return refuse(line, "the hail could not be made", now);
  line.call = std::move(*call);
  line.state = *next;
  line.frames = {};
  if (!say(ends_.circuits(), circuit, line.priority,
           wire::JoinFrame{.inbox = place->inbox, .store = line.kept, .hail = hail}, now)) {
    return false;
  }
  return line_of(circuit) != nullptr;
}

bool Ports::refuse(Line& line, const char* why, Now now) {
  cards_->failed(line.receiver, line.keeper, now);
  end_call(line, {Errc::refused_by_peer, why}, line.hops - 1, now);
  return false;
}

/// Ours to end: the circuit goes, and messages hear why.
void Ports::end_call(Line& line, const Error& why, std::size_t failed_hop, Now now) {
  const circuit::CircuitId tunnel = line.tunnel, circuit = line.circuit;
  erase(line);
  ends_.close(circuit, now);
  failed_hop_ = failed_hop;
  above_->on_ended(tunnel, why, now);
  failed_hop_.reset();
}

void Ports::on_sendable(circuit::CircuitId circuit, Now now) {
  Line* line = line_of(circuit);
  if (line != nullptr && line->deposits) return send_pieces(*line, now);
  if (line != nullptr && line->keys) above_->on_sendable(line->tunnel, now);
}

void Ports::on_draining(circuit::CircuitId circuit, bool stops, Now now) {
  const Line* line = line_of(circuit);
  if (line != nullptr) above_->on_draining(line->tunnel, stops, now);
}

void Ports::on_ended(circuit::CircuitId circuit, const Error& why, Now now) {
  Line* line = line_of(circuit);
  if (line == nullptr) return;
  // A build that went no further than a relay before the keeper says nothing of the keeper.
  const std::size_t failed_hop = ends_.circuits().failed_hop();
  const bool before = line->state == CallState::building || line->state == CallState::seeking;
  if (!before || failed_hop + 2 >= line->hops || failed_hop == circuit::Circuits::kHopUnknown) {
    const bool gone = before && why == Errc::unreachable && failed_hop + 2 == line->hops;
    cards_->failed(line->receiver, line->keeper, now, gone);
  }
  const circuit::CircuitId tunnel = line->tunnel;
  erase(*line);
  above_->on_ended(tunnel, why, now);
}

void Ports::on_time(Now now) {
  tell_letter_answers(now);
  while (deadlines_.earliest() <= now.mono) {
    Line& late = *deadlines_.first();
    cards_->failed(late.receiver, late.keeper, now);
    end_call(late, {Errc::timed_out, "the keeper does not answer"}, late.hops - 2, now);
  }
}

// ---- message::Port ------------------------------------------------------------------------------

std::size_t Ports::rider_room_of(std::span<const onion::RouteHop> route) const {
  const bool calls = route.size() >= 2 && cards_->find(route.back().id) != nullptr;
  return calls ? kHailFramesBytes : plain_.rider_room(route.size());
}

std::size_t Ports::payload_bytes(circuit::CircuitId circuit, Priority priority) const {
  return onion::payload_bytes(priority) - (is_tunnel(circuit) ? kTunnelHeaderBytes : 0);
}

memory::Block Ports::payload_block_of(circuit::CircuitId circuit, Priority priority) {
  memory::Block block = plain_.payload_block(priority);
  if (block && is_tunnel(circuit)) block.drop_front(kTunnelHeaderBytes);
  return block;
}

std::optional<NodeId> Ports::receiver_of(circuit::CircuitId circuit) const {
  const Line* line = is_tunnel(circuit) ? find(circuit) : nullptr;
  if (line == nullptr || (line->host == nullptr && line->letters == nullptr)) return std::nullopt;
  return line->receiver;
}

unsigned Ports::legs(circuit::CircuitId circuit) const {
  if (!is_tunnel(circuit)) return 1;
  const Line* line = find(circuit);
  return line != nullptr && line->looked ? kLegs + 1 : kLegs;
}

bool Ports::has_left(circuit::CircuitId circuit) const { return plain_.has_left(inner(circuit)); }

bool Ports::is_first_link_silent(circuit::CircuitId circuit, Now now) const {
  return plain_.is_first_link_silent(inner(circuit), now);
}

std::size_t Ports::sendable(circuit::CircuitId circuit) const {
  if (!is_tunnel(circuit)) return plain_.sendable(circuit);
  const Line* line = find(circuit);
  if (line != nullptr && line->letters != nullptr) return line->answered ? 0 : 1;
  return line == nullptr || !line->keys ? 0 : plain_.sendable(line->circuit);
}

void Ports::send(circuit::CircuitId circuit, memory::Block payload, Now now) {
  if (!is_tunnel(circuit)) return plain_.send(circuit, std::move(payload), now);
  Line* line = find(circuit);
  if (line != nullptr && line->letters != nullptr) return read_answers(*line, payload.bytes());
  if (line == nullptr || !line->keys) return;
  if (!line->hailed.empty()) note_taken(*line, payload.bytes());
  payload.prepend(kTunnelHeaderBytes);
  line->keys->seal(payload.bytes());
  plain_.send(line->circuit, std::move(payload), now);
}

LinkId Ports::link_of(circuit::CircuitId circuit) const {
  if (!is_tunnel(circuit)) return plain_.link_of(circuit);
  // We built what carries it: its first link, which all that comes to a receiver shares.
  const auto info = ends_.circuits().info(inner(circuit));
  return info ? info->next.link : LinkId{};
}

std::size_t Ports::held(circuit::CircuitId circuit) const { return plain_.held(inner(circuit)); }

std::size_t Ports::failed_hop() const { return failed_hop_ ? *failed_hop_ : plain_.failed_hop(); }

void Ports::close(circuit::CircuitId circuit, How how, Now now) {
  if (is_tunnel(circuit)) {
    Line* line = find(circuit);
    if (line == nullptr) return;
    if (line->letters != nullptr) return answer_letter(*line, wire::AckStatus::refused_queue);
    const circuit::CircuitId carries = line->circuit;
    TunnelHost* const host = line->host;
    erase(*line);
    return host != nullptr ? host->leave(carries, now) : ends_.close(carries, now);
  }
  switch (how) {
    case How::close:
      return plain_.close(circuit, now);
    case How::give_up:
      return plain_.give_up(circuit, now);
    case How::lost_race:
      return plain_.lost_race(circuit, now);
  }
}

PortsStats Ports::stats() const {
  PortsStats out = stats_;
  out.tunnels = lines_.size();
  return out;
}

}  // namespace qudag::keeper
