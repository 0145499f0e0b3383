// How a splice comes and goes: offer -> ACCEPT -> payloads both ways -> PART, and how what one half
// has for the other gets there, on this shard or another one.
#include "keeper/say.h"
#include "keeper/service.h"

#include <utility>

namespace qudag::keeper {

// ---- the two halves -----------------------------------------------------------------------------

void Service::offer(Join&& join, const EndRef& standby, Now now) {
  const std::shared_ptr<Splice> splice = std::move(join.splice);
  splice->of(Half::standby) = standby;
  to(splice, Half::standby, {.kind = Op::Kind::offer, .data = std::move(join.hail)}, now);
}

void Service::apply_offer(End& end, const std::shared_ptr<Splice>& splice, Op op, Now now) {
  if (!step(end, EndEvent::offer, now)) {
    parts_.registry->splice_ended(splice->inbox);
    return to(
        splice, Half::caller,
        {.kind = Op::Kind::no, .reason = static_cast<std::uint8_t>(wire::NoReason::receiver_ended)},
        now);
  }
  ++stats_.offered;
  end.splice = splice;
  end.counted = true;
  static_cast<void>(tell(
      end.circuit,
      wire::OfferFrame{.inbox = splice->inbox, .effort = splice->effort, .hail = op.data}, now));
}

bool Service::on_accept(End& end, const wire::AcceptFrame& frame, Now now) {
  if (!step(end, EndEvent::accept, now)) return false;
  begin_passing(end);
  const std::shared_ptr<Splice> splice = end.splice;
  to(splice, Half::caller,
     {.kind = Op::Kind::answer, .data = {frame.answer.begin(), frame.answer.end()}}, now);
  return true;
}

bool Service::on_decline(End& end, Now now) {
  const std::shared_ptr<Splice> splice = end.splice;
  if (!step(end, EndEvent::decline, now)) return false;
  leave_splice(end);
  const circuit::CircuitId circuit = end.circuit;
  to(splice, Half::caller,
     {.kind = Op::Kind::no, .reason = static_cast<std::uint8_t>(wire::NoReason::declined)}, now);
  const End* still = find(circuit);
  if (still == nullptr) return false;
  Registry::Waits waits = parts_.registry->wait_again(ref(*still));
  if (waits.join) offer(std::move(*waits.join), ref(*still), now);
  return waits.ok;
}

bool Service::on_part(End& end, wire::PartReason reason, Now now) {
  const EndState before = end.state;
  if (!step(end, EndEvent::part, now)) return false;
  const circuit::CircuitId circuit = end.circuit;
  const std::shared_ptr<Splice> splice = end.splice;
  if (before == EndState::parting || before == EndState::leaving) return true;  // ours went before
  if (before == EndState::storing) return tell(circuit, wire::PartFrame{reason}, now);
  if (before == EndState::waiting) {
    static_cast<void>(parts_.registry->give_up(ref(end), splice->inbox));
    end.splice.reset();
    drop_letter(end);
    return tell(circuit, wire::PartFrame{reason}, now);
  }
  end_passing(end, now);
  leave_splice(end);
  to(splice, other(before == EndState::joined ? Half::caller : Half::standby),
     {.kind = Op::Kind::part, .reason = static_cast<std::uint8_t>(reason)}, now);
  return tell(circuit, wire::PartFrame{reason}, now);
}

/// Our own words that are still queued leave first, and open nobody's window.
void Service::begin_passing(End& end) {
  end.skip = parts_.circuits.queued(end.circuit);
  parts_.circuits.tell_sent(end.circuit, true);
}

void Service::end_passing(End& end, Now) {
  parts_.circuits.tell_sent(end.circuit, false);
  parts_.circuits.give_back(end.circuit, SIZE_MAX);
}

void Service::leave_splice(End& end) {
  if (std::exchange(end.counted, false)) parts_.registry->splice_ended(end.splice->inbox);
  end.splice.reset();
}

void Service::on_sent(circuit::CircuitId circuit, std::size_t bytes, Now now) {
  End* end = find(circuit);
  if (end != nullptr && end->state == EndState::control) return send_pieces(circuit, now);
  if (end == nullptr || !end->splice) return;
  const std::size_t own = std::min(bytes, end->skip);
  end->skip -= own;
  if (bytes == own) return;
  to(std::shared_ptr<Splice>(end->splice), other(half_of(end->state)),
     {.kind = Op::Kind::back, .bytes = bytes - own}, now);
}

// ---- from half to half --------------------------------------------------------------------------

void Service::to(const std::shared_ptr<Splice>& splice, Half half, Op op, Now now) {
  const EndRef there = splice->of(half);
  if (there.shard == parts_.shard) return apply(splice, half, std::move(op), now);
  {
    const std::lock_guard lock(splice->mutex);
    Splice::Way& way = splice->way(half);
    const bool joins_last =
        op.kind == Op::Kind::back && !way.ops.empty() && way.ops.back().kind == Op::Kind::back;
    if (joins_last) {
      way.ops.back().bytes += op.bytes;
    } else {
      way.ops.push_back(std::move(op));
    }
    if (std::exchange(way.posted, true)) return;
  }
  cross(splice, half, now);
}

/// One task that takes all that is there when it runs.
void Service::cross(const std::shared_ptr<Splice>& splice, Half half, Now) {
  ++stats_.crossings;
  const auto task = [splice, half](Service& there, Now now) { there.drain(splice, half, now); };
  if (!parts_.post(splice->of(half).shard, task)) owed_.emplace_back(splice, half);
}

void Service::drain(const std::shared_ptr<Splice>& splice, Half half, Now now) {
  std::vector<Op> ops;
  {
    const std::lock_guard lock(splice->mutex);
    ops = std::exchange(splice->way(half).ops, {});
    splice->way(half).posted = false;
  }
  for (Op& op : ops) apply(splice, half, std::move(op), now);
}

void Service::apply(const std::shared_ptr<Splice>& splice, Half half, Op op, Now now) {
  const circuit::CircuitId circuit = splice->of(half).circuit;
  End* end = find(circuit);
  if (op.kind == Op::Kind::offer) {
    if (end != nullptr) return apply_offer(*end, splice, std::move(op), now);
    parts_.registry->splice_ended(splice->inbox);
    return to(splice, Half::caller, {.kind = Op::Kind::missed, .data = std::move(op.data)}, now);
  }
  if (end == nullptr || end->splice != splice) {
    // It has gone since; of an answer the other half does not know that yet.
    if (op.kind == Op::Kind::answer) {
      to(splice, Half::standby, {.kind = Op::Kind::part, .reason = 1}, now);
    }
    return;
  }
  switch (op.kind) {
    case Op::Kind::offer:
      return;
    case Op::Kind::missed:
      return look_for({.caller = ref(*end),
                       .inbox = splice->inbox,
                       .effort = splice->effort,
                       .low = end->priority == Priority::low,
                       .hail = std::move(op.data),
                       .splice = splice},
                      now);
    case Op::Kind::answer:
      if (!step(*end, EndEvent::answered, now)) return;
      drop_letter(*end);
      ++stats_.joined;
      if (!tell(circuit, wire::JoinedFrame{op.data}, now)) return;
      return begin_passing(*find(circuit));
    case Op::Kind::no:
      if (end->state != EndState::waiting) return;
      return refuse(*end, static_cast<wire::NoReason>(op.reason), now);
    case Op::Kind::payload:
      return parts_.circuits.send(circuit, std::move(op.block), now);
    case Op::Kind::back:
      return parts_.circuits.give_back(circuit, op.bytes);
    case Op::Kind::part:
      if (!step(*end, EndEvent::other_ended, now)) return;
      end_passing(*end, now);
      leave_splice(*end);
      static_cast<void>(
          tell(circuit, wire::PartFrame{static_cast<wire::PartReason>(op.reason)}, now));
      return;
  }
}

}  // namespace qudag::keeper
