#include "node/send_limiter.h"

#include "memory/bound.h"

#include <algorithm>

namespace qudag::node {

namespace {

/// Of the bound, what all windows and everything that is there without load may fill together: the
/// overload manager begins at 0.70 (overload/overload.h), and relaying needs room beside it.
constexpr double kCalmShare = 0.62;
/// And at least this, however small the bound is.
constexpr std::uint64_t kWindowsOneIn = 8;
/// Normal has three eighths of the windows, low the rest. High has no window but
/// Limits::queue_high_bytes: it is refused last.
constexpr std::uint64_t kNormalEighths = 3;

}  // namespace

std::array<std::uint64_t, kPriorityCount> send_windows(const Limits& limits,
                                                       std::uint64_t process) {
  const auto calm = static_cast<std::uint64_t>(static_cast<double>(limits.memory) * kCalmShare);
  const std::uint64_t there = process + memory::Bound::reserved_bytes(limits.memory);
  const std::uint64_t all = std::max(calm - std::min(calm, there), limits.memory / kWindowsOneIn);
  const std::uint64_t normal = all / 8 * kNormalEighths;
  return {limits.queue_high_bytes, std::min(normal, limits.queue_normal_bytes),
          std::min(all - normal, limits.queue_low_bytes)};
}

SendLimiter::SendLimiter(const ByPriority& messages_max, const Windows* windows)
    : windows_(windows) {
  for (std::size_t i = 0; i < kPriorityCount; ++i) lanes_[i].messages_max = messages_max[i];
}

bool SendLimiter::has_room(Priority priority, std::uint64_t under_way, std::uint64_t bytes) const {
  const std::uint64_t most = lanes_[index(priority)].messages_max;
  if (windows_ == nullptr) return count_of(under_way) < most;
  const std::uint64_t window = windows_->bytes_max[index(priority)];
  const std::uint64_t limiters = windows_->limiters.size();
  const bool in_share = count_of(under_way) < std::max<std::uint64_t>(1, most / limiters) &&
                        bytes_of(under_way) + bytes <= window / limiters;
  if (in_share || under_way == 0) return true;
  std::uint64_t all = 0, all_bytes = 0;
  for (const SendLimiter* limiter : windows_->limiters) {
    all += limiter->under_way(priority);
    all_bytes += limiter->bytes_under_way(priority);
  }
  return all < most && all_bytes + bytes <= window;
}

bool SendLimiter::enter(Priority priority, std::uint64_t bytes) {
  Lane& lane = lanes_[index(priority)];
  std::uint64_t before = lane.under_way.load(std::memory_order_relaxed);
  do {  // never above the limit, or leave() could take a visitor for a message
    if (!has_room(priority, before, bytes)) {
      if (!paused(priority))
        pause(priority);  // no lock for those who knock at a limiter that is known to be shut
      return false;
    }
  } while (!lane.under_way.compare_exchange_weak(before, before + both(1, bytes)));
  return true;
}

// Either leave() sees that the lane is paused, or this sees what leave() counted out: nobody waits
// for messages that have ended already. With nothing under way nothing would end the pause.
void SendLimiter::pause(Priority priority) {
  Lane& lane = lanes_[index(priority)];
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

bool SendLimiter::leave(Priority priority, std::uint64_t count, std::uint64_t bytes) {
  Lane& lane = lanes_[index(priority)];
  lane.under_way.fetch_sub(both(count, bytes));
  if (!lane.paused.load()) return false;
  const std::lock_guard lock(mutex_);
  if (!lane.paused || lane.under_way.load() > lane.resume_at) return false;
  lane.paused = false;
  opened_.notify_all();
  return true;
}

SendLimiter::Waited SendLimiter::wait(Priority priority, Clock::time_point until) {
  Lane& lane = lanes_[index(priority)];
  std::unique_lock lock(mutex_);
  const bool in_time =
      opened_.wait_until(lock, until, [&] { return closed_ || !lane.paused.load(); });
  if (closed_) return Waited::closed;
  return in_time ? Waited::room : Waited::too_long;
}

void SendLimiter::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  opened_.notify_all();
}

SendLimiter::ByPriority SendLimiter::pauses() const {
  ByPriority out{};
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    out[i] = lanes_[i].pauses.load(std::memory_order_relaxed);
  }
  return out;
}

}  // namespace qudag::node
