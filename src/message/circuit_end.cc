#include "message/circuit_end.h"

#include <algorithm>

namespace qudag::message {

CircuitEnd& CircuitEnds::add(circuit::CircuitId circuit, Priority priority, std::uint64_t credit,
                             Now now) {
  auto& entry = table_[circuit.value];
  QUDAG_ASSERT(entry == nullptr);
  entry = std::make_unique<CircuitEnd>();
  entry->circuit = circuit;
  entry->priority = priority;
  entry->payload_bytes = onion::payload_bytes(priority);
  entry->credit = credit;
  entry->announced = credit;
  entry->active = now.mono;
  entry->last_sent = now.mono;
  entry->asked = now.mono;
  return *entry;
}

CircuitEnd* CircuitEnds::find(circuit::CircuitId circuit) const {
  const auto at = table_.find(circuit.value);
  return at == table_.end() ? nullptr : at->second.get();
}

void CircuitEnds::retire(CircuitEnd& circuit_end) {
  const auto at = table_.find(circuit_end.circuit.value);
  QUDAG_ASSERT(at != table_.end() && at->second.get() == &circuit_end);
  circuit_end.dead = true;
  if (circuit_end.marked.linked) marked_.erase(circuit_end);
  retired_.push_back(std::move(at->second));
  table_.erase(at);
}

bool CircuitEnds::queue(CircuitEnd& circuit_end, const ControlFrame& frame,
                        memory::Budget& budget) {
  if (!circuit_end.control.push_back(frame, budget)) return false;
  mark(circuit_end);
  return true;
}

// ---- frames that wait ---------------------------------------------------------------------------

bool ControlQueue::push_back(const ControlFrame& frame, memory::Budget& budget) {
  if (frames_.size() + left_out_ >= kControlMax) return false;
  const bool pong = frame.type == wire::FrameType::pong;
  const bool held = frame.type == wire::FrameType::held;
  if (pong && pongs_ >= kPongsMax) {
    ++left_out_;
    return true;
  }
  if (held && tokens_.size() - pongs_ >= wire::kInterleavedMessagesMax) return false;
  if (frames_.size() >= room_ && !make_room(budget)) return false;
  frames_.push_back(
      {.ref = frame.ref, .type = frame.type, .status = frame.status, .code = frame.code},
      kControlMax);
  if (pong || held) tokens_.push_back(frame.token);
  if (pong) ++pongs_;
  return true;
}

bool ControlQueue::make_room(memory::Budget& budget) {
  const std::size_t room = std::min(2 * room_, kControlMax);
  auto reserved = memory::Reservation::take(budget, room * sizeof(Short));
  if (!reserved) return false;
  reserved_ = std::move(reserved);
  room_ = room;
  return true;
}

ControlFrame ControlQueue::pop_front() {
  ControlFrame out = next();
  static_cast<void>(frames_.pop_front());
  const bool pong = out.type == wire::FrameType::pong;
  if (pong || out.type == wire::FrameType::held) out.token = tokens_.pop_front();
  if (pong) --pongs_;
  if (!frames_.empty()) return out;
  left_out_ = 0;
  if (reserved_) {  // it was a slow time; it is over
    frames_ = {};
    reserved_.reset();
    room_ = kControlFirst;
  }
  return out;
}

void CircuitEnds::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  std::size_t frames = 0, marks = 0, started = 0, taken = 0, rests = 0;
  for (const auto& [id, circuit_end] : table_) {
    frames += circuit_end->control.size();
    marks += circuit_end->marks.size();
    started += circuit_end->started.size();
    taken += circuit_end->taken.size();
    rests += circuit_end->rests.size();
  }
  // There is one for each circuit that ends here, and the circuits have their bound.
  const std::size_t circuit_ends = std::max<std::size_t>(1, table_.size());
  out.push_back(bounded(Kind::table, "started messages of circuits", "the others wait", started,
                        circuit_ends * kUnackedMax));
  out.push_back(bounded(Kind::queue, "answers owed to peers", "end the circuit", frames,
                        circuit_ends * kControlMax, sizeof(ControlQueue::Short)));
  out.push_back(bounded(Kind::table, "progress marks", "one for a part of a message", marks,
                        circuit_ends * kMarksMax, sizeof(ProgressMark)));
  out.push_back(bounded(Kind::table, "ids that may be replied to", "forget the oldest", taken,
                        circuit_ends * kTakenIdsMax, TakenIds::entry_bytes()));
  out.push_back(bounded(Kind::table, "rests of refused messages", "count no more", rests,
                        circuit_ends * wire::kInterleavedMessagesMax, sizeof(Rests::Rest)));
}

}  // namespace qudag::message
