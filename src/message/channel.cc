#include "message/channel.h"

#include <algorithm>

namespace qudag::message {

Channel& Channels::add(circuit::CircuitId circuit, Class cls, std::uint64_t credit, Now now) {
  auto& entry = table_[circuit.value];
  QUDAG_ASSERT(entry == nullptr);
  entry = std::make_unique<Channel>();
  entry->circuit = circuit;
  entry->cls = cls;
  entry->credit = credit;
  entry->announced = credit;
  entry->active = now.mono;
  entry->asked = now.mono;
  return *entry;
}

Channel* Channels::find(circuit::CircuitId circuit) const {
  const auto at = table_.find(circuit.value);
  return at == table_.end() ? nullptr : at->second.get();
}

void Channels::retire(Channel& channel) {
  const auto at = table_.find(channel.circuit.value);
  QUDAG_ASSERT(at != table_.end() && at->second.get() == &channel);
  channel.dead = true;
  if (channel.marked.linked) marked_.erase(channel);
  retired_.push_back(std::move(at->second));
  table_.erase(at);
}

bool Channels::queue(Channel& channel, const ControlFrame& frame, memory::Budget& budget) {
  if (channel.control.size() >= kControlMax) return false;
  if (channel.control.size() >= channel.control_room) {
    const std::size_t room = 2 * channel.control_room;
    auto reserved = memory::Reservation::take(budget, room * sizeof(ControlFrame));
    if (!reserved) return false;
    channel.control_reserved = std::move(reserved);
    channel.control_room = room;
  }
  channel.control.push_back(frame);
  mark(channel);
  return true;
}

void Channels::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  std::size_t frames = 0, marks = 0, started = 0, taken = 0, rests = 0;
  for (const auto& [id, channel] : table_) {
    frames += channel->control.size();
    marks += channel->marks.size();
    started += channel->started.size();
    taken += channel->taken.size();
    rests += channel->rests.size();
  }
  // There is one for each circuit that ends here, and the circuits have their bound.
  const std::size_t channels = std::max<std::size_t>(1, table_.size());
  out.push_back(bounded(Kind::table, "started messages of circuits", "the others wait", started,
                        channels * kUnackedMax));
  out.push_back(bounded(Kind::queue, "answers owed to peers", "end the circuit", frames,
                        channels * kControlMax, sizeof(ControlFrame)));
  out.push_back(bounded(Kind::table, "progress marks", "one for a part of a message", marks,
                        channels * kMarksMax, sizeof(ProgressMark)));
  out.push_back(bounded(Kind::table, "ids that may be replied to", "forget the oldest", taken,
                        channels * kTakenIdsMax, TakenIds::entry_bytes()));
  out.push_back(bounded(Kind::table, "rests of refused messages", "count no more", rests,
                        channels * wire::kInterleavedMessagesMax, sizeof(Rests::Rest)));
}

}  // namespace qudag::message
