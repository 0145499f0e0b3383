// Steps of a cell: frames or a payload -> the table -> what follows. Splices are in passing.cc.
#include "keeper/service.h"

#include "keeper/say.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// A caller that would rather leave a letter than wait hears no standby for so long.
constexpr Duration kKeptAfter = 2s;
/// In the units of circuit/cell_turns.h: a JOIN makes work elsewhere, a payload is sealed again.
constexpr std::size_t kFrameWork = 8, kPassWork = 8;
/// A card is nine cells of high or normal priority.
constexpr std::size_t kCardWork = 9 * kPassWork;

bool is_low(Priority priority) { return priority == Priority::low; }

}  // namespace

Service::End* Service::find(circuit::CircuitId circuit) {
  const auto at = ends_.find(circuit.value);
  return at == ends_.end() ? nullptr : at->second.get();
}

Half Service::half_of(EndState state) {
  const bool caller = state == EndState::waiting || state == EndState::joined ||
                      state == EndState::leaving || state == EndState::caller;
  return caller ? Half::caller : Half::standby;
}

// ---- circuits -----------------------------------------------------------------------------------

void Service::on_incoming(circuit::CircuitId circuit, Priority priority, Now now) {
  if (stopping_ || ends_.size() >= parts_.ends_max || !memory_.take(kEndBytes)) {
    ++stats_.refused_ends;
    return parts_.circuits.give_up(circuit, now);
  }
  auto end = std::make_unique<End>();
  end->circuit = circuit;
  end->priority = priority;
  set_deadline(*end, now);
  ends_.emplace(circuit.value, std::move(end));
}

std::size_t Service::on_rider(circuit::CircuitId circuit, Bytes rider, Now now) {
  return take_frames(circuit, rider, now);
}

std::size_t Service::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  End* end = find(circuit);
  if (end == nullptr) return 0;
  const Bytes bytes = payload.bytes();
  if (bytes.front() == static_cast<std::byte>(wire::KeeperPayload::frames)) {
    return take_frames(circuit, bytes.subspan(1), now);
  }
  const bool known = bytes.front() == static_cast<std::byte>(wire::KeeperPayload::tunnel);
  if (!known || end->stream.partial() || !step(*end, EndEvent::payload, now)) {
    end_bad(circuit, now);
    return 0;
  }
  const std::size_t cell = onion::cell_bytes(end->priority);
  if (end->state == EndState::parting || end->state == EndState::leaving) {
    ++stats_.payloads_dropped;
    end->dropped += cell;
    if (end->dropped > kDroppedBytesMax) end_bad(circuit, now);
    return 0;
  }
  ++stats_.payloads_passed;
  parts_.circuits.keep_back(circuit, cell);
  const std::shared_ptr<Splice> splice = end->splice;
  to(splice, other(half_of(end->state)),
     {.kind = Op::Kind::payload, .block = std::move(payload), .bytes = cell}, now);
  return kPassWork;
}

std::size_t Service::take_frames(circuit::CircuitId circuit, Bytes bytes, Now now) {
  End* end = find(circuit);
  if (end == nullptr) return 0;
  // What is handled inside may end the circuit, and the stream with it.
  wire::KeeperStream stream = std::move(end->stream);
  bool begins = !stream.partial();  // a frame that has come in part
  std::size_t work = 1;
  const bool ok = stream.take(bytes, [&](const wire::KeeperFrame& frame) {
    const auto* registers = std::get_if<wire::RegisterFrame>(&frame);
    work += kFrameWork * (registers == nullptr ? 1 : 1 + registers->inboxes.size());
    begins = true;
    if (std::holds_alternative<wire::GetFrame>(frame)) work += kCardWork;
    return on_frame(circuit, frame, now);
  });
  end = find(circuit);
  if (end == nullptr) return work;
  if (!ok || !keep_stream(*end, std::move(stream), begins, now)) end_bad(circuit, now);
  return work;
}

/// What has come of a frame counts as memory of its end, and the rest of it has so long. False:
/// there is no memory.
bool Service::keep_stream(End& end, wire::KeeperStream&& stream, bool begins, Now now) {
  end.stream = std::move(stream);
  const std::size_t held = end.stream.held();
  if (held > end.held && !memory_.take(held - end.held)) return false;
  if (held < end.held) memory_.give(end.held - held);
  end.held = held;
  // A deposit has its own time for all of its frames.
  const bool bounded = end.state == EndState::depositing;
  if (begins && !bounded && end.stream.partial() && time_in(end.state) > kFrameMax) {
    deadlines_.set(end, now.mono + kFrameMax);
  }
  return true;
}

void Service::on_ended(circuit::CircuitId circuit, Now now) {
  if (End* end = find(circuit)) forget(*end, now);
}

/// By our own wish; what depends on it hears of it.
void Service::end(circuit::CircuitId circuit, Now now) {
  End* one = find(circuit);
  if (one == nullptr) return;
  forget(*one, now);
  parts_.circuits.close(circuit, now);
}

void Service::end_bad(circuit::CircuitId circuit, Now now) {
  ++stats_.broke_rules;
  end(circuit, now);
}

/// Takes it out of everything that knows it.
void Service::forget(End& gone, Now now) {
  const EndRef self = ref(gone);
  const EndState state = gone.state;
  const std::shared_ptr<Splice> splice = gone.splice;
  leave_splice(gone);
  drop_letter(gone);
  deadlines_.remove(gone);
  memory_.give(kEndBytes + gone.held);
  ends_.erase(gone.circuit.value);
  switch (state) {
    case EndState::control:
      end_sending(self.circuit);
      for (const EndRef& idle : parts_.registry->drop_control(self, now)) {
        on_shard(
            idle.shard,
            [circuit = idle.circuit](Service& there, Now then) { there.end(circuit, then); }, now);
      }
      break;
    case EndState::waiting:
      static_cast<void>(parts_.registry->give_up(self, splice->inbox));
      break;
    case EndState::joined:
      to(splice, Half::standby, {.kind = Op::Kind::part, .reason = 1}, now);
      break;
    case EndState::offered:
      parts_.registry->forget(self);
      to(splice, Half::caller,
         {.kind = Op::Kind::no,
          .reason = static_cast<std::uint8_t>(wire::NoReason::receiver_ended)},
         now);
      break;
    case EndState::spliced:
      parts_.registry->forget(self);
      to(splice, Half::caller, {.kind = Op::Kind::part, .reason = 1}, now);
      break;
    case EndState::idle:
    case EndState::parting:
    case EndState::parted:
      parts_.registry->forget(self);
      break;
    case EndState::fresh:
    case EndState::caller:
    case EndState::leaving:
    case EndState::depositing:
    case EndState::storing:  // it is stored all the same; nobody hears it
    case EndState::turned:
      break;
  }
}

// ---- states -------------------------------------------------------------------------------------

/// False: it may not happen there.
bool Service::step(End& end, EndEvent event, Now now) {
  const auto next = after(end.state, event);
  if (!next) return false;
  if (event == EndEvent::payload) {
    end.state = *next;
    return true;
  }
  set_state(end, *next, now);
  return true;
}

void Service::set_state(End& end, EndState state, Now now) {
  end.state = state;
  set_deadline(end, now);
}

void Service::set_deadline(End& end, Now now) {
  Duration most = time_in(end.state);
  if (end.state == EndState::waiting && end.letter) most = kKeptAfter;
  deadlines_.set(end, most == kForever ? kNever : now.mono + most);
}

void Service::on_time(Now now) {
  while (deadlines_.earliest() <= now.mono) due(*deadlines_.first(), now);
  for (const auto& [splice, half] : std::exchange(owed_, {})) cross(splice, half, now);
  for (auto& [shard, task] : std::exchange(tasks_owed_, {})) on_shard(shard, std::move(task), now);
  letters_on_time(now);
}

TimePoint Service::next_deadline() const {
  const bool mail = parts_.letters && parts_.letters->has_mail(parts_.shard);
  if (mail || !owed_.empty() || !tasks_owed_.empty()) return TimePoint::min();
  return std::min(deadlines_.earliest(), stalled_at_);
}

void Service::due(End& late, Now now) {
  const circuit::CircuitId circuit = late.circuit;
  ++stats_.timed_out;
  if (late.state == EndState::storing) {  // the disk answers nothing
    const Incoming letter = *late.letter;
    return on_stored(circuit, letter, LetterEnd::failed, now);
  }
  if (late.state != EndState::waiting) return end(circuit, now);
  // No standby came, or its receiver does not answer: the letter's part of that time may be over,
  // while an offer is still under way.
  const bool queued = parts_.registry->give_up(ref(late), late.splice->inbox);
  if (!queued && late.letter && now.mono - late.asked < time_in(EndState::waiting)) {
    return deadlines_.set(late, late.asked + time_in(EndState::waiting));
  }
  refuse(late, queued ? wire::NoReason::busy : wire::NoReason::receiver_ended, now, 1);
}

/// Of a caller that waits: its letter is kept, or it hears why it was not joined.
void Service::refuse(End& end, wire::NoReason reason, Now now, std::uint16_t wait) {
  end.splice.reset();
  if (keeps_instead(end, reason, now)) return;
  static_cast<void>(step(end, EndEvent::refused, now));
  no(end.circuit, reason, now, wait);
}

void Service::stop(Now now) {
  stopping_ = true;
  std::vector<circuit::CircuitId> all;
  for (const auto& [id, one] : ends_) all.push_back(one->circuit);
  for (const circuit::CircuitId circuit : all) {
    End* one = find(circuit);
    if (one == nullptr || one->state != EndState::waiting) continue;
    static_cast<void>(parts_.registry->give_up(ref(*one), one->splice->inbox));
    refuse(*one, wire::NoReason::stopping, now);
  }
}

// ---- frames -------------------------------------------------------------------------------------

/// False: the circuit has ended, or has to.
bool Service::tell(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now) {
  const End* to = find(circuit);
  if (to == nullptr) return false;
  if (parts_.circuits.queued(circuit) > kUnreadBytesMax ||
      !say(parts_.circuits, circuit, to->priority, frame, now)) {
    end(circuit, now);
    return false;
  }
  return find(circuit) != nullptr;
}

void Service::no(circuit::CircuitId circuit, wire::NoReason reason, Now now, std::uint16_t wait) {
  switch (reason) {
    case wire::NoReason::no_inbox:
      ++stats_.refused_no_inbox;
      break;
    case wire::NoReason::away:
      ++stats_.refused_away;
      break;
    case wire::NoReason::busy:
      ++stats_.refused_busy;
      break;
    case wire::NoReason::declined:
      ++stats_.refused_declined;
      break;
    case wire::NoReason::too_fast:
      ++stats_.refused_fast;
      break;
    case wire::NoReason::no_room:
      ++stats_.refused_room;
      break;
    case wire::NoReason::stored:
      break;
    default:
      ++stats_.refused_ended;
      break;
  }
  static_cast<void>(
      tell(circuit, wire::NoFrame{.reason = reason, .wait_seconds = wait, .seed = {}}, now));
}

bool Service::on_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now) {
  End* end = find(circuit);
  if (end == nullptr) return false;
  return std::visit(
      [&](const auto& one) -> bool {
        using Frame = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Frame, wire::RegisterFrame>) {
          return on_register(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::RevokeFrame>) {
          if (!step(*end, EndEvent::revoke, now)) return false;
          if (!parts_.registry->revoke(ref(*end), one.owner)) return false;
          note_revoked(one);
          return true;
        } else if constexpr (std::is_same_v<Frame, wire::StandbyFrame>) {
          return on_standby(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::JoinFrame>) {
          return on_join(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::AcceptFrame>) {
          return on_accept(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::DeclineFrame>) {
          return on_decline(*end, now);
        } else if constexpr (std::is_same_v<Frame, wire::PartFrame>) {
          return on_part(*end, one.reason, now);
        } else if constexpr (std::is_same_v<Frame, wire::PutFrame>) {
          return on_put(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::GetFrame>) {
          return on_get(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::DepositFrame>) {
          return on_deposit(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::PieceFrame>) {
          return on_piece(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::FetchFrame>) {
          return on_fetch(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::TakenFrame>) {
          return on_taken(*end, one, now);
        } else if constexpr (std::is_same_v<Frame, wire::KeeperPing>) {
          return on_ping(*end, one, now);
        } else {
          return false;  // what only a keeper says
        }
      },
      frame);
}

bool Service::on_register(End& end, const wire::RegisterFrame& frame, Now now) {
  if (!step(end, EndEvent::register_inboxes, now)) return false;
  const circuit::CircuitId circuit = end.circuit;
  Registry::Added added = parts_.registry->add(ref(end), frame.inboxes, now);
  const bool taken = added.answer.status == wire::RegisterStatus::taken;
  ++(taken ? stats_.registered : stats_.refused_registrations);
  if (taken) note_registered(frame.inboxes, added.answer, now);
  for (const EndRef& older : added.replaced) {
    on_shard(
        older.shard,
        [older = older.circuit](Service& there, Now then) {
          static_cast<void>(there.tell(
              older, wire::RegisteredFrame{.status = wire::RegisterStatus::replaced, .inboxes = {}},
              then));
        },
        now);
  }
  if (!tell(circuit, added.answer, now)) return false;
  return taken;  // who is not taken has no place here
}

bool Service::on_standby(End& end, const wire::StandbyFrame& frame, Now now) {
  if (!step(end, EndEvent::standby, now)) return false;
  end.dropped = 0;
  Registry::Waits waits = parts_.registry->wait(ref(end), frame.binding, is_low(end.priority));
  if (!waits.ok) return false;
  if (waits.join) offer(std::move(*waits.join), ref(end), now);
  return true;
}

bool Service::on_ping(End& end, const wire::KeeperPing& frame, Now now) {
  if (!step(end, EndEvent::ping, now)) return false;
  if (end.state == EndState::control && reads_too_slowly(end.circuit, now)) return false;
  return tell(end.circuit, wire::KeeperPong{frame.token}, now);
}

bool Service::on_join(End& end, const wire::JoinFrame& frame, Now now) {
  // Who calls again has read all that came before: the PART stands behind it.
  const bool again = end.state == EndState::caller;
  if (again && parts_.circuits.queued(end.circuit) > onion::cell_bytes(end.priority)) return false;
  if (!step(end, EndEvent::join, now)) return false;
  end.dropped = 0;
  end.splice = std::make_shared<Splice>();
  end.splice->inbox = frame.inbox;
  end.splice->effort = frame.effort;
  end.splice->of(Half::caller) = ref(end);
  drop_letter(end);
  end.asked = now.mono;
  if (frame.store) may_keep(end, frame);
  set_deadline(end, now);
  if (const auto wait = too_often(end, now)) {
    const circuit::CircuitId circuit = end.circuit;
    refuse(end, wire::NoReason::too_fast, now, *wait);
    return find(circuit) != nullptr;
  }
  look_for({.caller = ref(end),
            .inbox = frame.inbox,
            .effort = frame.effort,
            .low = is_low(end.priority),
            .hail = {frame.hail.begin(), frame.hail.end()},
            .splice = end.splice},
           now);
  return true;
}

/// Of one circuit of a caller: when it may ask again, if it asked too often.
std::optional<std::uint16_t> Service::too_often(End& end, Now now) {
  if (now.mono - end.minute >= 1min) {
    end.minute = now.mono;
    end.joins = 0;
  }
  if (++end.joins <= kJoinsPerMinute) return std::nullopt;
  const auto left = std::chrono::ceil<std::chrono::seconds>(end.minute + 1min - now.mono);
  return static_cast<std::uint16_t>(left.count());
}

bool Service::on_put(End& end, const wire::PutFrame& frame, Now now) {
  if (!step(end, EndEvent::put, now)) return false;
  const auto status = parts_.registry->put(ref(end), frame, now);
  if (!status) return false;
  if (*status == wire::KeptStatus::kept) ++stats_.cards_put;
  return tell(end.circuit, wire::KeptFrame{*status}, now);
}

/// As a JOIN: who asks again has read what came before.
bool Service::on_get(End& end, const wire::GetFrame& frame, Now now) {
  const bool again = end.state == EndState::caller;
  if (again && parts_.circuits.queued(end.circuit) > onion::cell_bytes(end.priority)) return false;
  if (!step(end, EndEvent::get, now)) return false;
  const circuit::CircuitId circuit = end.circuit;
  if (const auto wait = too_often(end, now)) {
    no(circuit, wire::NoReason::too_fast, now, *wait);
    return find(circuit) != nullptr;
  }
  const Registry::Got got = parts_.registry->get(frame.spot, now);
  if (got.too_fast) {
    no(circuit, wire::NoReason::too_fast, now, got.wait_seconds);
    return find(circuit) != nullptr;
  }
  ++(got.blob.empty() ? stats_.cards_missing : stats_.cards_given);
  const std::uint8_t of = got.blob.empty() ? 0 : 1;
  return tell(circuit, wire::CardFrame{.index = 0, .of = of, .blob = got.blob}, now);
}

/// A standby for that caller, who waits.
void Service::look_for(Join&& join, Now now) {
  using How = Registry::Joining::How;
  const circuit::CircuitId caller = join.caller.circuit;
  Registry::Joining found = parts_.registry->join(std::move(join), now);
  wire::NoReason reason = wire::NoReason::busy;
  switch (found.how) {
    case How::offered:
      return offer(std::move(*found.join), found.standby, now);
    case How::waits:
      return knock(*found.control, found.knock, now);
    case How::no_inbox:
      reason = wire::NoReason::no_inbox;
      break;
    case How::away:
      reason = wire::NoReason::away;
      break;
    case How::too_fast:
      reason = wire::NoReason::too_fast;
      break;
    case How::busy:
      break;
  }
  End* end = find(caller);
  if (end != nullptr) refuse(*end, reason, now, found.wait_seconds);
}

void Service::knock(const EndRef& control, const wire::KnockFrame& frame, Now now) {
  ++stats_.knocks;
  on_shard(
      control.shard,
      [circuit = control.circuit, frame](Service& there, Now then) {
        static_cast<void>(there.tell(circuit, frame, then));
      },
      now);
}

void Service::on_shard(unsigned shard, std::function<void(Service&, Now)> task, Now now) {
  if (shard == parts_.shard) return task(*this, now);
  if (!parts_.post(shard, task)) tasks_owed_.emplace_back(shard, std::move(task));
}

// ---- what is told of it -------------------------------------------------------------------------

ServiceStats Service::stats() const {
  ServiceStats out = stats_;
  out.ends = ends_.size();
  return out;
}

void Service::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "ends of circuits at this keeper", "the circuit is refused",
                        ends_.size(), parts_.ends_max, kEndBytes));
  if (parts_.shard == 0) parts_.registry->report(out);
  if (parts_.shard == 0 && parts_.letters) parts_.letters->report(out);
}

}  // namespace qudag::keeper
