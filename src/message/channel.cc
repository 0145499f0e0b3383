#include "message/channel.h"

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

bool Channels::queue(Channel& channel, const ControlFrame& frame) {
  if (channel.control.size() >= kControlMax) return false;
  channel.control.push_back(frame);
  mark(channel);
  return true;
}

}  // namespace qudag::message
