#include "node/gate.h"

namespace qudag::node {

Gate::Gate(const ByClass& messages_max) {
  for (std::size_t i = 0; i < kClassCount; ++i) lanes_[i].messages_max = messages_max[i];
}

bool Gate::enter(Class cls) {
  Lane& lane = lanes_[index(cls)];
  std::uint64_t before = lane.under_way.load(std::memory_order_relaxed);
  do {  // never above the limit, or leave() could take a visitor for a message
    if (before >= lane.messages_max) {
      pause(cls);
      return false;
    }
  } while (!lane.under_way.compare_exchange_weak(before, before + 1));
  return true;
}

// Either leave() sees that the lane is paused, or this sees what leave() counted out: nobody waits
// for messages that have ended already. With nothing under way nothing would end the pause.
void Gate::pause(Class cls) {
  Lane& lane = lanes_[index(cls)];
  const std::lock_guard lock(mutex_);
  if (closed_ || lane.paused.exchange(true)) return;
  const std::uint64_t under_way = lane.under_way.load();
  if (under_way == 0) {
    lane.paused = false;
    return;
  }
  lane.resume_at = under_way / 2;
  lane.pauses.fetch_add(1, std::memory_order_relaxed);
}

bool Gate::leave(Class cls, std::uint64_t count) {
  Lane& lane = lanes_[index(cls)];
  lane.under_way.fetch_sub(count);
  if (!lane.paused.load()) return false;
  const std::lock_guard lock(mutex_);
  if (!lane.paused || lane.under_way.load() > lane.resume_at) return false;
  lane.paused = false;
  opened_.notify_all();
  return true;
}

Gate::Waited Gate::wait(Class cls, Clock::time_point until) {
  Lane& lane = lanes_[index(cls)];
  std::unique_lock lock(mutex_);
  const bool in_time =
      opened_.wait_until(lock, until, [&] { return closed_ || !lane.paused.load(); });
  if (closed_) return Waited::closed;
  return in_time ? Waited::room : Waited::too_long;
}

void Gate::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  opened_.notify_all();
}

Gate::ByClass Gate::pauses() const {
  ByClass out{};
  for (std::size_t i = 0; i < kClassCount; ++i) {
    out[i] = lanes_[i].pauses.load(std::memory_order_relaxed);
  }
  return out;
}

}  // namespace qudag::node
