// Letters as circuits that messages see. Of a caller: a deposit is a build that ends by being
// stored. Of a receiver: a message of a letter comes over a circuit at whose other end nobody is;
// what is answered there goes to who has the letter.
#include "base/secret.h"
#include "crypto/kdf.h"
#include "keeper/letters/letter_answers.h"
#include "keeper/letters/letter_seal.h"
#include "keeper/ports.h"
#include "keeper/say.h"
#include "wire/message_frames.h"

#include <algorithm>
#include <utility>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// From the build of a deposit to STORED: its pieces and the disk take their time.
constexpr Duration kStoredMax = 60s;

}  // namespace

// ---- a caller's ---------------------------------------------------------------------------------

bool Ports::may_be_away(std::span<const onion::RouteHop> route) const {
  return route.size() >= 2 && cards_->find(route.back().id) != nullptr;
}

std::size_t Ports::deposit_room(std::size_t bytes) const {
  for (const std::uint32_t size : wire::kLetterSizes) {
    const std::size_t room = letter_frames_bytes(size);
    if (size != kHailBytes && room >= bytes) return room;
  }
  return 0;
}

Result<circuit::CircuitId> Ports::build_kept(std::span<const onion::RouteHop> route,
                                             Priority priority, Now now, Bytes rider, Keep keep) {
  const KnownCardPtr known = cards_->find(route.back().id);
  if (known == nullptr || route.size() < 2) return fail(Errc::unknown_destination);
  return keep == Keep::always ? deposit(*known, route, priority, rider, now)
                              : call(*known, route, priority, rider, keep, now);
}

/// DEPOSIT and the first bytes ride in the build; the others follow when it is there.
Result<circuit::CircuitId> Ports::deposit(const KnownCard& known,
                                          std::span<const onion::RouteHop> route, Priority priority,
                                          Bytes frames, Now now) {
  if (deposits_ >= kDepositsMax) return fail(Errc::refused_queue_full, "deposits");
  const auto to_keeper = route.first(route.size() - 1);
  const auto& places = known.card.places;
  const auto place = std::ranges::find(places, to_keeper.back().id, &Card::Place::keeper);
  if (place == places.end()) return fail(Errc::unknown_destination, "another card came meanwhile");
  if (known.key == nullptr) return fail(Errc::unreachable, "no card yet");  // calls look it up
  auto sealed = seal_letter(
      {.receiver = known.card.receiver, .inbox = place->inbox}, *known.key,
      {.kind = HailKind::letter, .expiry_minutes = hail_expiry(now.unix_seconds)}, frames);
  if (!sealed) return std::unexpected(sealed.error());
  const crypto::Digest digest = crypto::sha256(Bytes(*sealed).first(crypto::kKemCiphertextSize));
  wire::LetterId id;
  std::copy_n(digest.begin(), id.size(), id.begin());

  std::vector<std::byte> rider;
  wire::append(rider, wire::DepositFrame{.inbox = place->inbox,
                                         .id = id,
                                         .size = static_cast<std::uint32_t>(sealed->size())});
  const std::size_t sent = onion::kRiderBytes - rider.size() - wire::kKeeperHeadBytes;
  wire::append(rider, wire::PieceFrame{Bytes(*sealed).first(sent)});
  auto circuit = ends_.build(*this, to_keeper, priority, rider, now);
  if (!circuit) return circuit;
  ++stats_.deposits;
  ++deposits_;
  auto line = std::make_unique<Line>();
  const circuit::CircuitId tunnel = line->tunnel = next_id();
  line->circuit = *circuit;
  line->priority = priority;
  line->receiver = known.card.receiver;
  line->keeper = place->keeper;
  line->hops = route.size();
  line->asked = now.mono;
  line->deposits = true;
  line->letter = id;
  line->sealed = std::move(*sealed);
  line->sent = sent;
  deadlines_.set(*line, now.mono + kStoredMax);
  calls_.emplace(circuit->value, line.get());
  lines_.emplace(tunnel.value, std::move(line));
  return tunnel;
}

/// A frame for each payload, as many as the circuit takes.
void Ports::send_pieces(Line& line, Now now) {
  const circuit::CircuitId tunnel = line.tunnel;
  if (line.state != CallState::waiting) return;
  const std::size_t most = std::min(
      onion::payload_bytes(line.priority) - 1 - wire::kKeeperHeadBytes, wire::kPieceBytesMax);
  for (Line* one = &line; one != nullptr && one->sent < one->sealed.size(); one = find(tunnel)) {
    if (plain_.sendable(one->circuit) == 0) return;  // on_sendable comes
    const Bytes rest = Bytes(one->sealed).subspan(one->sent);
    const Bytes piece = rest.first(std::min(rest.size(), most));
    one->sent += piece.size();
    if (say(ends_.circuits(), one->circuit, one->priority, wire::PieceFrame{piece}, now)) continue;
    one = find(tunnel);
    if (one != nullptr) end_call(*one, {Errc::refused_memory, "blocks"}, SIZE_MAX, now);
    return;
  }
}

/// False: the circuit has ended, or has to.
bool Ports::on_stored(Line& line, const wire::StoredFrame& frame, Now now) {
  if (!line.deposits || frame.id != line.letter || !after(line.state, CallEvent::stored)) {
    return false;
  }
  switch (frame.status) {
    case wire::StoredStatus::stored:
      end_kept(line, KeptEnd::stored, now);
      return false;
    case wire::StoredStatus::no_room:
      end_kept(line, KeptEnd::no_room, now);
      return false;
    case wire::StoredStatus::no_inbox:
    case wire::StoredStatus::too_fast:
    case wire::StoredStatus::failed:
      break;
  }
  cards_->failed(line.receiver, line.keeper, now);
  end_call(line, {Errc::refused_by_peer, "the keeper does not take the letter now"}, line.hops - 1,
           now);
  return false;
}

/// A NO that says what became of the hail as a letter.
bool Ports::note_kept(Line& line, wire::NoReason reason, Now now) {
  if (reason == wire::NoReason::stored) {
    end_kept(line, KeptEnd::stored, now);
  } else if (reason == wire::NoReason::no_room) {
    end_kept(line, KeptEnd::no_room, now);
  } else {
    return false;
  }
  return true;
}

void Ports::end_kept(Line& line, KeptEnd end, Now now) {
  if (end == KeptEnd::stored) ++stats_.stored;
  kept_end_ = end;
  end_call(line, Errc::away, SIZE_MAX, now);
  kept_end_ = KeptEnd::none;
}

// ---- a receiver's -------------------------------------------------------------------------------

void Ports::open_letter(LetterHost& host, std::uint64_t token, const NodeId& receiver,
                        Priority priority, Bytes frames, Now now) {
  auto line = std::make_unique<Line>();
  const circuit::CircuitId tunnel = line->tunnel = next_id();
  line->priority = priority;
  line->receiver = receiver;
  line->letters = &host;
  line->token = token;
  lines_.emplace(tunnel.value, std::move(line));
  above_->on_incoming(tunnel, priority, now);
  if (find(tunnel) != nullptr) static_cast<void>(above_->on_rider(tunnel, frames, now));
}

void Ports::forget(LetterHost& host, Now now) {
  std::vector<circuit::CircuitId> all;
  for (const auto& [id, line] : lines_) {
    if (line->letters == &host) all.push_back({id});
  }
  for (const circuit::CircuitId tunnel : all) {
    ended(tunnel, {Errc::circuit_failed, "the receiver is closed"}, now);
  }
}

bool Ports::is_letter(circuit::CircuitId circuit) const {
  const Line* line = is_tunnel(circuit) ? find(circuit) : nullptr;
  return line != nullptr && line->letters != nullptr;
}

/// What messages say there: of interest is what became of the one message.
void Ports::read_answers(Line& line, Bytes payload) {
  wire::FrameReader frames(payload);
  wire::Frame frame;
  while (frames.read(frame)) {
    const auto* ack = std::get_if<wire::AckFrame>(&frame);
    if (ack != nullptr && ack->ref == 0) return answer_letter(line, ack->status);
  }
}

/// Of a tunnel whose hail may come again, as a letter: what was taken is not to be taken then.
void Ports::note_taken(const Line& line, Bytes payload) {
  std::vector<LetterKey> keys;
  wire::FrameReader frames(payload);
  wire::Frame frame;
  while (frames.read(frame)) {
    const auto* ack = std::get_if<wire::AckFrame>(&frame);
    if (ack == nullptr || ack->ref >= line.hailed.size()) continue;
    if (is_taken(ack->status)) keys.push_back(line.hailed[ack->ref]);
  }
  if (!keys.empty()) line.host->taken(keys);
}

/// Told later: who says it is in the middle of its own turn.
void Ports::answer_letter(Line& line, wire::AckStatus status) {
  if (std::exchange(line.answered, true)) return;
  letter_answers_.push_back({line.tunnel, status});
}

void Ports::tell_letter_answers(Now now) {
  for (const auto& [tunnel, status] : std::exchange(letter_answers_, {})) {
    const Line* line = find(tunnel);
    if (line == nullptr) continue;
    LetterHost& host = *line->letters;
    const std::uint64_t token = line->token;
    ended(tunnel, {Errc::circuit_failed, "the letter is read"}, now);
    host.answered(token, status, now);
  }
}

}  // namespace qudag::keeper
