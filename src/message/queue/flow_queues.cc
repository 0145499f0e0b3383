#include "message/queue/flow_queues.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// However slowly a flow drains. High is for short messages.
constexpr std::array<std::uint64_t, kPriorityCount> kFloor = {16 * 1'024, 64 * 1'024, 64 * 1'024};
/// Queues in which nothing happens are looked at so often: they may have stopped draining.
constexpr Duration kLookEvery = 50ms;

std::array<overload::QueueBoundOptions, kPriorityCount> bounds_of(
    const FlowQueuesOptions& options) {
  std::array<overload::QueueBoundOptions, kPriorityCount> out{};
  const std::array<Duration, kPriorityCount> targets = {options.target / 4, options.target,
                                                        options.target * 4};
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    out[i] = {.floor = std::min(kFloor[i], std::max<std::uint64_t>(1, options.ceiling[i])),
              .ceiling = std::max<std::uint64_t>(1, options.ceiling[i]),
              .target = std::max<Duration>(targets[i], 1ms)};
    QUDAG_ASSERT(is_valid(out[i]));
  }
  return out;
}

}  // namespace

FlowQueues::FlowQueues(const FlowQueuesOptions& options)
    : options_(bounds_of(options)), key_(options.key | 1), queues_(kPriorityCount * kPerPriority) {
  watched_.reserve(queues_.size());
}

FlowQueues::Id FlowQueues::of(std::size_t flow_hash, Priority priority) const {
  std::uint64_t mixed = (flow_hash ^ key_) * 0x9e37'79b9'7f4a'7c15u;
  mixed = (mixed ^ mixed >> 32) * key_;
  const auto row = static_cast<Id>(priority) * static_cast<Id>(kPerPriority);
  return row + static_cast<Id>(mixed >> 54);
}
static_assert(FlowQueues::kPerPriority == 1u << (64 - 54));

// ---- the door -----------------------------------------------------------------------------------

std::uint64_t FlowQueues::bound(Id id) const {
  const std::uint64_t now = queues_[id].bound.load(std::memory_order_relaxed);
  return now == 0 ? overload::QueueBound{}.of(options_[priority_of(id)]) : now;
}

/// The last one may be larger than the room that is left: so large ones need no room of their own.
bool FlowQueues::full(const Queue& queue, Id id) const {
  return queue.standing.load() >= bound(id);
}

bool FlowQueues::enter(Id id, std::uint32_t bytes) {
  Queue& queue = queues_[id];
  while (full(queue, id)) {
    if (queue.paused.load() || pause(id)) return false;
  }
  queue.standing.fetch_add(bytes);
  if (queue.opened.load(std::memory_order_relaxed)) {
    queue.opened.store(false, std::memory_order_relaxed);
  }
  return true;
}

// Either the shard's turn sees that the flow is paused, or this sees what the turn counted out.
bool FlowQueues::pause(Id id) {
  Queue& queue = queues_[id];
  const std::lock_guard lock(mutex_);
  if (closed_) return true;
  queue.paused = true;
  if (!full(queue, id)) {
    queue.paused = false;
    return false;
  }
  pauses_[priority_of(id)].fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool FlowQueues::leave(Id id, std::uint32_t bytes) {
  Queue& queue = queues_[id];
  const std::uint64_t standing = queue.standing.fetch_sub(bytes) - bytes;
  return queue.paused.load() && standing <= overload::resume_at(bound(id)) && open(queue);
}

bool FlowQueues::open(Queue& queue) {
  const std::lock_guard lock(mutex_);
  if (!queue.paused.exchange(false)) return false;
  queue.opened.store(true, std::memory_order_relaxed);
  opened_.notify_all();
  return true;
}

bool FlowQueues::wait(Id id, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  return opened_.wait_until(lock, until, [&] { return closed_ || !queues_[id].paused.load(); });
}

void FlowQueues::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  opened_.notify_all();
}

// ---- the shard ----------------------------------------------------------------------------------

void FlowQueues::look_at(Id id) {
  if (std::exchange(queues_[id].watched, true)) return;
  watched_.push_back(id);
}

void FlowQueues::sent(Id id, std::uint32_t bytes) {
  queues_[id].drained += bytes;
  look_at(id);
}

void FlowQueues::gone(Id id, std::uint32_t bytes) {
  queues_[id].dropped += bytes;
  look_at(id);
}

void FlowQueues::again(Id id, std::uint32_t bytes) {
  queues_[id].standing.fetch_add(bytes);
  look_at(id);
}

/// True: the flow was paused and goes on.
bool FlowQueues::step(Id id, TimePoint now) {
  Queue& queue = queues_[id];
  const std::uint64_t drained = std::exchange(queue.drained, 0);
  const std::uint64_t out = drained + std::exchange(queue.dropped, 0);
  const std::uint64_t standing =
      out == 0 ? queue.standing.load() : queue.standing.fetch_sub(out) - out;
  // Who was kept out may not have come back yet.
  const bool kept_out = queue.paused.load() || queue.opened.load(std::memory_order_relaxed);
  const overload::QueueBoundOptions& options = options_[priority_of(id)];
  queue.state = overload::step(options, queue.state,
                               {.drained = drained, .standing = standing, .kept_out = kept_out}, now);
  queue.bound.store(queue.state.of(options), std::memory_order_relaxed);
  // Asked again: who came meanwhile may have paused it.
  return standing <= overload::resume_at(queue.state.of(options)) && queue.paused.load() &&
         open(queue);
}

std::array<bool, kPriorityCount> FlowQueues::turn(TimePoint now) {
  std::array<bool, kPriorityCount> goes_on{};
  look_at_ = now + kLookEvery;
  std::size_t kept = 0;
  for (const Id id : watched_) {
    goes_on[priority_of(id)] = step(id, now) || goes_on[priority_of(id)];
    Queue& queue = queues_[id];
    if (queue.state.stands || queue.paused.load() || queue.state.bound != 0) {
      watched_[kept++] = id;
    } else {
      queue.watched = false;
    }
  }
  watched_.resize(kept);
  return goes_on;
}

FlowQueues::Stats FlowQueues::stats(Priority priority) const {
  const auto row = static_cast<std::size_t>(priority);
  Stats out{.bound = overload::QueueBound{}.of(options_[row]),
            .pauses = pauses_[row].load(std::memory_order_relaxed),
            .ceiling = options_[row].ceiling};
  for (const Id id : watched_) {
    if (priority_of(id) != row) continue;
    const Queue& queue = queues_[id];
    ++out.flows;
    out.standing += queue.standing.load();
    out.bound = std::min(out.bound, bound(id));
    out.rate += queue.state.rate;
  }
  return out;
}

}  // namespace qudag::message
