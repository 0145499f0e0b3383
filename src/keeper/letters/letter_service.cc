// Steps of a letter at a keeper: JOIN with STORE and nobody there, or DEPOSIT and its PIECEs -> a
// place in LetterRoom -> the disk -> after the commit NO: stored, or STORED -> LETTER and PIECEs to
// the receiver, as far as it said FETCH -> TAKEN -> deleted.
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "keeper/service.h"

#include <algorithm>
#include <utility>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// What a receiver may have asked for ahead: more is no window, but a mistake.
constexpr std::uint64_t kFetchMax = 4 * wire::kLetterSizeMax;
/// Of letters on a control circuit that have not left it.
constexpr std::size_t kQueuedMax = 16 * 1024;
/// A letter that nobody reads holds its memory for so long.
constexpr Duration kSendingMax = 60s;
/// Where others wait for a place, a letter has to come or go at the pace that takes it across in so
/// long, from the second on; of those that do not, the slowest gives its place.
constexpr Duration kPressedMax = 20s, kPressedFrom = 2s;
/// One at a time: a flood does not end all of them.
constexpr Duration kSlowestEvery = 50ms;
/// No place to read a letter into: tried again then.
constexpr Duration kStalledFor = 1s;

wire::LetterId id_of(Bytes sealed) {
  const crypto::Digest digest = crypto::sha256(sealed.first(crypto::kKemCiphertextSize));
  wire::LetterId out;
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

}  // namespace

// ---- letters that come --------------------------------------------------------------------------

/// A copy of the hail, in case that nobody answers; without a place for it the caller just waits.
void Service::may_keep(End& end, const wire::JoinFrame& frame) {
  if (!parts_.letters || !parts_.letters->keeps()) return;
  auto letter = std::make_unique<Incoming>();
  letter->inbox = frame.inbox;
  letter->box = box_of(frame.inbox);
  letter->size = wire::kHailBytes;
  letter->sealed.assign(frame.hail.begin(), frame.hail.end());
  end.letter = std::move(letter);
}

/// True: what the caller hears next is that its hail is stored, or why not.
bool Service::keeps_instead(End& end, wire::NoReason reason, Now now) {
  const bool nobody = reason == wire::NoReason::away || reason == wire::NoReason::busy ||
                      reason == wire::NoReason::receiver_ended;
  if (!nobody || !end.letter) {
    drop_letter(end);
    return false;
  }
  Incoming& letter = *end.letter;
  letter.id = id_of(letter.sealed);
  static_cast<void>(step(end, EndEvent::kept, now));
  const auto place = parts_.letters->reserve(letter.box, letter.size);
  letter.reserved = place == LetterRoom::Place::ok;
  if (letter.reserved) {
    store(end, now);
  } else {
    const Incoming refused = std::move(letter);
    end.letter.reset();
    say_stored(end.circuit, refused, wire::StoredStatus::no_room, now);
  }
  return true;
}

bool Service::on_deposit(End& end, const wire::DepositFrame& frame, Now now) {
  if (!step(end, EndEvent::deposit, now)) return false;
  ++stats_.deposits;
  drop_letter(end);
  const circuit::CircuitId circuit = end.circuit;
  end.letter = std::make_unique<Incoming>();
  Incoming& letter = *end.letter;
  letter.inbox = frame.inbox;
  letter.box = box_of(frame.inbox);
  letter.id = frame.id;
  letter.deposit = true;
  letter.size = frame.size;
  letter.since = now.mono;
  const auto refuse = [&](wire::StoredStatus status) {
    turn_away(end, status, now);
    return find(circuit) != nullptr;
  };
  if (!parts_.letters || !parts_.letters->keeps()) return refuse(wire::StoredStatus::no_room);
  switch (parts_.registry->may_deposit(frame.inbox, now)) {
    case Registry::Keeps::no_inbox:
      return refuse(wire::StoredStatus::no_inbox);
    case Registry::Keeps::too_fast:
      return refuse(wire::StoredStatus::too_fast);
    case Registry::Keeps::yes:
      break;
  }
  auto place = take_place(letter);
  if (place == LetterRoom::Place::memory) {
    make_letter_room(true, now);
    place = take_place(letter);  // in vain if it is on another shard that one goes
  }
  if (place != LetterRoom::Place::ok) return refuse(wire::StoredStatus::no_room);
  depositing_.insert(circuit.value);
  letter.sealed.reserve(letter.size);
  return true;
}

/// Of those that arrive, and for its bytes; both or none. `memory`: others under way have it.
LetterRoom::Place Service::take_place(Incoming& letter) {
  letter.arriving = parts_.letters->begin_arriving();
  if (!letter.arriving) return LetterRoom::Place::memory;
  const auto place = parts_.letters->reserve(letter.box, letter.size);
  letter.reserved = place == LetterRoom::Place::ok;
  if (letter.reserved) return place;
  parts_.letters->end_arriving();
  letter.arriving = false;
  return place;
}

/// Places are taken: who holds one and brings, or reads, next to nothing gives it, here at once and
/// on other shards in their turn.
void Service::make_letter_room(bool incoming, Now now) {
  if (now.mono < slowest_at_ + kSlowestEvery) return;
  end_slowest(incoming, now);
  for (unsigned shard = 0; shard < parts_.letters->shards(); ++shard) {
    if (shard == parts_.shard) continue;
    parts_.letters->post(shard, [incoming](Service& there, Now then) {
      if (then.mono >= there.slowest_at_ + kSlowestEvery) there.end_slowest(incoming, then);
    });
  }
}

void Service::end_slowest(bool incoming, Now now) {
  slowest_at_ = now.mono;
  std::optional<circuit::CircuitId> slowest;
  double least = 1;  // of the pace that is asked for
  const auto look = [&](std::uint64_t circuit, std::size_t done, std::size_t all, TimePoint since) {
    const Duration time = now.mono - since;
    const double pace = static_cast<double>(done) / static_cast<double>(all) * (kPressedMax / 1ms) /
                        static_cast<double>(std::max<Duration>(time, 1ms) / 1ms);
    if (time < kPressedFrom || pace >= least) return;
    least = pace;
    slowest = circuit::CircuitId{circuit};
  };
  if (incoming) {
    for (const std::uint64_t caller : depositing_) {
      const End* end = find({caller});
      look(caller, end->letter->sealed.size(), end->letter->size, end->letter->since);
    }
  } else {
    for (const auto& [control, out] : outgoing_) {
      if (out.letter) look(control, out.sent, out.letter->sealed.size(), out.since);
    }
  }
  if (!slowest) return;
  ++stats_.letters_slow;
  if (incoming) return turn_away(*find(*slowest), wire::StoredStatus::no_room, now);
  end(*slowest, now);
}

bool Service::on_piece(End& end, const wire::PieceFrame& frame, Now now) {
  if (!after(end.state, EndEvent::piece)) return false;
  if (end.state == EndState::turned) {
    end.dropped += frame.bytes.size();
    return end.dropped <= wire::kLetterSizeMax;
  }
  // Its sixty seconds began with the DEPOSIT: pieces do not make them longer.
  Incoming& letter = *end.letter;
  if (frame.bytes.size() > letter.size - letter.sealed.size()) return false;
  letter.sealed.insert(letter.sealed.end(), frame.bytes.begin(), frame.bytes.end());
  if (letter.sealed.size() < letter.size) return true;
  if (id_of(letter.sealed) != letter.id) return false;
  if (!step(end, EndEvent::kept, now)) return false;
  parts_.letters->end_arriving();
  letter.arriving = false;
  depositing_.erase(end.circuit.value);
  const circuit::CircuitId circuit = end.circuit;
  store(end, now);
  return find(circuit) != nullptr;
}

/// It is whole and has its place: to the disk.
void Service::store(End& end, Now now) {
  Incoming& letter = *end.letter;
  const UnixSeconds life = std::chrono::seconds(kLetterLife).count();
  const UnixSeconds resent = std::chrono::seconds(kLetterResent).count();
  LetterRow row{.box = letter.box,
                .id = letter.id,
                .expires = now.unix_seconds + life,
                .resent = now.unix_seconds + resent,
                .sealed = std::move(letter.sealed)};
  letter.sealed = {};
  letter.reserved = false;  // the store gives it back
  Incoming said;
  said.inbox = letter.inbox;
  said.box = letter.box;
  said.id = letter.id;
  said.deposit = letter.deposit;
  said.size = letter.size;
  const auto shared = std::make_shared<const Incoming>(std::move(said));  // owners: the tasks
  const std::shared_ptr<LetterRoom> room = parts_.letters;
  const circuit::CircuitId circuit = end.circuit;
  const bool taken = room->store().put(
      std::move(row), [room, circuit, shared, shard = parts_.shard](LetterEnd how) {
        room->ended(shared->box, shared->size, how);
        room->post(shard, [circuit, shared, how](Service& there, Now then) {
          there.on_stored(circuit, *shared, how, then);
        });
      });
  if (taken) return;
  room->ended(shared->box, shared->size, LetterEnd::failed);
  on_stored(circuit, *shared, LetterEnd::failed, now);
}

/// After the commit. The caller may have gone meanwhile.
void Service::on_stored(circuit::CircuitId circuit, const Incoming& letter, LetterEnd how,
                        Now now) {
  auto status = wire::StoredStatus::stored;
  switch (how) {
    case LetterEnd::stored:
      ++stats_.letters_stored;
      break;
    case LetterEnd::known:
      ++stats_.letters_known;
      break;
    case LetterEnd::full:
      status = wire::StoredStatus::no_room;
      break;
    case LetterEnd::failed:
      ++stats_.refused_disk;
      status = letter.deposit ? wire::StoredStatus::failed : wire::StoredStatus::no_room;
      break;
  }
  End* end = find(circuit);
  if (end != nullptr && end->state == EndState::storing && end->letter &&
      end->letter->id == letter.id) {
    drop_letter(*end);
    say_stored(circuit, letter, status, now);
  }
  if (how != LetterEnd::stored) return;
  const auto control = parts_.registry->control_of_inbox(letter.inbox);
  if (!control) return;
  on_shard(
      control->shard,
      [circuit = control->circuit, box = letter.box](Service& there, Now then) {
        there.letters_came(circuit, box, then);
      },
      now);
}

void Service::say_stored(circuit::CircuitId circuit, const Incoming& letter,
                         wire::StoredStatus status, Now now) {
  End* end = find(circuit);
  if (end == nullptr || !step(*end, EndEvent::refused, now)) return;
  if (letter.deposit) {
    if (status == wire::StoredStatus::no_room) ++stats_.refused_room;
    static_cast<void>(tell(circuit, wire::StoredFrame{letter.id, status}, now));
    return;
  }
  no(circuit,
     status == wire::StoredStatus::stored ? wire::NoReason::stored : wire::NoReason::no_room, now);
}

/// The deposit is not wanted. What is under way of it is dropped until the caller hears it.
void Service::turn_away(End& end, wire::StoredStatus status, Now now) {
  const wire::LetterId id = end.letter->id;
  end.dropped = 0;
  drop_letter(end);
  if (status == wire::StoredStatus::no_room) ++stats_.refused_room;
  static_cast<void>(step(end, EndEvent::refused, now));
  static_cast<void>(tell(end.circuit, wire::StoredFrame{id, status}, now));
}

/// What the end holds of a letter, and its places.
void Service::drop_letter(End& end) {
  if (!end.letter) return;
  depositing_.erase(end.circuit.value);
  if (end.letter->arriving) parts_.letters->end_arriving();
  if (end.letter->reserved) parts_.letters->release(end.letter->box, end.letter->size);
  end.letter.reset();
}

// ---- inboxes ------------------------------------------------------------------------------------

void Service::note_registered(std::span<const wire::InboxEntry> inboxes,
                              wire::RegisteredFrame& answer, Now now) {
  if (!parts_.letters || !parts_.letters->keeps()) return;
  for (std::size_t i = 0; i < inboxes.size() && i < answer.inboxes.size(); ++i) {
    if (answer.inboxes[i].status != wire::RegisterStatus::taken) continue;
    const wire::InboxId id = parts_.registry->id_of(inboxes[i].owner);
    const LetterBox box = box_of(id);
    if (parts_.letters->registered(box, inboxes[i], now.unix_seconds)) {
      RegisteredRow row{.inbox = id, .limits = inboxes[i], .until = now.unix_seconds};
      row.limits.owner = {};
      row.until += std::chrono::seconds(kRegisteredLife).count();
      parts_.letters->store().put(row);
    }
    answer.inboxes[i].letters_waiting =
        static_cast<std::uint16_t>(std::min<std::size_t>(parts_.letters->waiting(box), 0xffff));
  }
}

void Service::note_revoked(const wire::RevokeFrame& frame) {
  if (!parts_.letters || !parts_.letters->keeps()) return;
  const wire::InboxId id = parts_.registry->id_of(frame.owner);
  parts_.letters->store().drop_registered(id);
  if (frame.drop_letters) parts_.letters->store().drop(box_of(id));
}

// ---- letters to their receiver ------------------------------------------------------------------

bool Service::on_fetch(End& end, const wire::FetchFrame& frame, Now now) {
  if (!step(end, EndEvent::fetch, now)) return false;
  if (!parts_.letters || !parts_.letters->keeps()) return true;
  const circuit::CircuitId control = end.circuit;
  Outgoing& out = outgoing_[control.value];
  if (frame.bytes == 0) {  // what is on its way still comes
    out.credit = 0;
    out.after.clear();
    out.empty.clear();
    return true;
  }
  out.credit += frame.bytes;
  if (out.credit > kFetchMax) return false;
  send_letters(control, now);
  return find(control) != nullptr;
}

bool Service::on_taken(End& end, const wire::TakenFrame& frame, Now now) {
  if (!step(end, EndEvent::taken, now)) return false;
  if (!parts_.letters || !parts_.letters->keeps()) return true;
  std::vector<LetterBox> boxes;
  for (const wire::InboxId& id : parts_.registry->inboxes_of(ref(end))) boxes.push_back(box_of(id));
  stats_.letters_taken += frame.numbers.size();
  parts_.letters->store().take(std::move(boxes), frame.numbers);
  return true;
}

/// One more is in that inbox.
void Service::letters_came(circuit::CircuitId control, const LetterBox& box, Now now) {
  const auto at = outgoing_.find(control.value);
  if (at == outgoing_.end()) return;
  at->second.empty.erase(box);
  send_letters(control, now);
}

/// The next one is read, unless one is on its way, or no more may come.
void Service::send_letters(circuit::CircuitId control, Now now) {
  const auto at = outgoing_.find(control.value);
  const End* end = find(control);
  if (at == outgoing_.end() || end == nullptr) return;
  Outgoing& out = at->second;
  if (out.reading || out.letter || out.credit < wire::kHailBytes) return;
  for (const wire::InboxId& id : parts_.registry->inboxes_of(ref(*end))) {
    const LetterBox box = box_of(id);
    if (out.empty.contains(box) || parts_.letters->waiting(box) == 0) continue;
    if (!parts_.letters->begin_sending(wire::kLetterSizeMax)) break;
    const std::shared_ptr<LetterRoom> room = parts_.letters;
    out.reading = room->store().next(
        box, out.after[box],
        [room, control, box, shard = parts_.shard](std::optional<KeptLetter> letter) {
          const auto shared = std::make_shared<std::optional<KeptLetter>>(std::move(letter));
          room->post(shard, [control, box, shared](Service& there, Now then) {
            there.on_read(control, box, std::move(*shared), then);
          });
        });
    if (out.reading) return;
    room->end_sending(wire::kLetterSizeMax);
    break;
  }
  bool any = false;
  for (const wire::InboxId& id : parts_.registry->inboxes_of(ref(*end))) {
    const LetterBox box = box_of(id);
    any = any || (!out.empty.contains(box) && parts_.letters->waiting(box) > 0);
  }
  if (!any) return;
  make_letter_room(false, now);
  stalled_.insert(control.value);
  stalled_at_ = std::min(stalled_at_, now.mono + kStalledFor);
}

void Service::on_read(circuit::CircuitId control, const LetterBox& box,
                      std::optional<KeptLetter> letter, Now now) {
  const auto at = outgoing_.find(control.value);
  const bool wanted = at != outgoing_.end() && find(control) != nullptr && at->second.reading;
  if (!wanted) return parts_.letters->end_sending(wire::kLetterSizeMax);
  Outgoing& out = at->second;
  out.reading = false;
  if (!letter) {
    parts_.letters->end_sending(wire::kLetterSizeMax);
    out.empty.insert(box);
    return send_letters(control, now);
  }
  if (letter->sealed.size() > out.credit) {  // it comes when more may: that FETCH looks again
    return parts_.letters->end_sending(wire::kLetterSizeMax);
  }
  const auto inboxes = parts_.registry->inboxes_of({parts_.shard, control});
  const auto inbox = std::ranges::find(inboxes, box, [](const auto& id) { return box_of(id); });
  if (inbox == inboxes.end()) return parts_.letters->end_sending(wire::kLetterSizeMax);
  out.credit -= letter->sealed.size();
  out.after[box] = letter->number;
  out.letter = std::move(letter);
  out.sent = 0;
  out.since = now.mono;
  ++stats_.letters_sent;
  parts_.circuits.tell_sent(control, true);
  const bool told =
      tell(control,
           wire::LetterFrame{.inbox = *inbox,
                             .number = out.letter->number,
                             .id = out.letter->id,
                             .size = static_cast<std::uint32_t>(out.letter->sealed.size())},
           now);
  if (told) send_pieces(control, now);
}

/// As its circuit takes them.
void Service::send_pieces(circuit::CircuitId control, Now now) {
  for (;;) {
    const auto at = outgoing_.find(control.value);
    if (at == outgoing_.end() || !at->second.letter) return;
    Outgoing& out = at->second;
    const Bytes rest = Bytes(out.letter->sealed).subspan(out.sent);
    if (rest.empty()) break;
    if (parts_.circuits.queued(control) > kQueuedMax) return;  // on_sent comes
    const Bytes piece = rest.first(std::min(rest.size(), wire::kPieceBytesMax));
    out.sent += piece.size();
    if (!tell(control, wire::PieceFrame{piece}, now)) return;
  }
  outgoing_.at(control.value).letter.reset();
  parts_.letters->end_sending(wire::kLetterSizeMax);
  parts_.circuits.tell_sent(control, false);
  send_letters(control, now);
}

/// The control circuit is gone.
void Service::end_sending(circuit::CircuitId control) {
  const auto at = outgoing_.find(control.value);
  if (at == outgoing_.end()) return;
  if (at->second.letter) parts_.letters->end_sending(wire::kLetterSizeMax);
  outgoing_.erase(at);  // what is being read finds nobody
  stalled_.erase(control.value);
}

bool Service::reads_too_slowly(circuit::CircuitId control, Now now) const {
  const auto at = outgoing_.find(control.value);
  return at != outgoing_.end() && at->second.letter && now.mono - at->second.since > kSendingMax;
}

void Service::letters_on_time(Now now) {
  if (!parts_.letters) return;
  if (parts_.letters->has_mail(parts_.shard)) {
    for (LetterRoom::Task& task : parts_.letters->take_mail(parts_.shard)) task(*this, now);
  }
  if (now.mono < stalled_at_) return;
  stalled_at_ = kNever;
  for (const std::uint64_t control : std::exchange(stalled_, {})) send_letters({control}, now);
}

}  // namespace qudag::keeper
