#include "api/server/subscriber_queue.h"

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>

namespace qudag::api {
namespace {

/// The lock is held for well under a microsecond, and a shard that sleeps on it costs both sides a
/// system call: so it is tried for a moment first.
std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) {
  constexpr int kTries = 200;
  for (int i = 0; i < kTries; ++i) {
    if (mutex.try_lock()) return {mutex, std::adopt_lock};
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
  return std::unique_lock(mutex);
}

/// Outcomes, entries of progress and answers are each as many as `outstanding`, and one that says
/// that there are too many; of a GET also the words that it is over.
std::size_t slots_of(const config::ApiOptions& options, ClientKind kind) {
  constexpr std::size_t kFew = 16;
  switch (kind) {
    case ClientKind::one_send:
      return kFew;
    case ClientKind::messages:
      return 2 * options.queue_messages + kFew;
    case ClientKind::stream:
      return 2 * options.queue_messages + 3 * options.outstanding + kFew;
  }
  return kFew;
}

}  // namespace

SubscriberQueue::SubscriberQueue(const config::ApiOptions& options, ClientKind kind)
    : slots_(slots_of(options, kind)),
      messages_max_(options.queue_messages),
      bytes_max_(options.queue_bytes),
      items_(batch()) {}

OutItems SubscriberQueue::batch() const {
  OutItems out;
  out.reserve(slots_);
  return out;
}

void SubscriberQueue::open(boost::asio::any_io_executor executor, std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  executor_ = *executor.target<boost::asio::io_context::executor_type>();
  wake_ = std::move(wake);
  open_ = true;
}

std::vector<Message> SubscriberQueue::close() {
  OutItems dropped;  // ends after the lock: buffers go back to their pools
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    wake_ = nullptr;
    executor_.reset();
    dropped.swap(items_);
  }
  std::vector<Message> left;
  for (OutItem& item : dropped) {
    auto* const waiting = std::get_if<WaitingMessage>(&item);
    if (waiting != nullptr && waiting->in_hand) left.push_back(std::move(waiting->message));
  }
  return left;
}

void SubscriberQueue::set_quota(std::uint64_t messages, bool in_hand) {
  const std::lock_guard lock(mutex_);
  quota_ = messages;
  in_hand_ = in_hand;
}

void SubscriberQueue::take_one_more() {
  const std::lock_guard lock(mutex_);
  ++quota_;  // which that message had lowered
}

void SubscriberQueue::push(std::unique_lock<std::mutex>& lock, OutItem item) {
  items_.push_back(std::move(item));
  if (scheduled_) return;
  scheduled_ = true;
  if (std::exchange(posted_, true)) return;
  // Under the lock, so that close() cannot come between: after it the executor may be gone.
  boost::asio::post(*executor_,
                    boost::asio::bind_allocator(WakeRoom<std::byte>(*this),
                                                [self = shared_from_this()] { self->woken(); }));
  lock.unlock();
}

/// Its room is free again: asio gives it back before it calls.
void SubscriberQueue::woken() {
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
  }
  if (wake_) wake_();
}

void SubscriberQueue::push_subscribed() {
  std::unique_lock lock(mutex_);
  if (open_) push(lock, SubscribedItem{});
}

void SubscriberQueue::push_not_cancelled(std::uint64_t request, const Error& reason) {
  std::unique_lock lock(mutex_);
  if (open_) push(lock, NotCancelledItem{request, reason});
}

void SubscriberQueue::push_outcome(std::uint64_t request, const Delivery& delivery) {
  std::unique_lock lock = lock_soon(mutex_);
  if (open_) push(lock, OutcomeItem{request, delivery});
}

void SubscriberQueue::push_progress(const std::shared_ptr<ProgressSlot>& slot, std::uint64_t done,
                                    std::uint64_t all) {
  slot->done.store(done, std::memory_order_relaxed);
  slot->all.store(all, std::memory_order_relaxed);
  if (slot->queued.exchange(true)) return;  // the entry in the queue will show the new values
  std::unique_lock lock = lock_soon(mutex_);
  if (open_) push(lock, slot);
}

Accept SubscriberQueue::push_message(Message& message) {
  HeldMessage after;
  after.add(message);
  const std::size_t kind = after.messages[1];
  const std::uint64_t bytes = after.bytes[kind];
  std::unique_lock lock = lock_soon(mutex_);
  if (!open_) return Accept::no_receiver;
  std::size_t& messages = held_.messages[kind];
  std::uint64_t& held = held_.bytes[kind];
  if (quota_ == 0 || messages >= messages_max_ || (held > 0 && held + bytes > bytes_max_)) {
    ++refused_;
    return Accept::queue_full;
  }
  ++entered_;
  --quota_;
  ++messages;
  held += bytes;
  const bool in_hand = in_hand_;
  push(lock, WaitingMessage{std::move(message), in_hand});
  return in_hand ? Accept::later : Accept::taken;
}

bool SubscriberQueue::take(OutItems& out) {
  const std::unique_lock lock = lock_soon(mutex_);
  out.clear();
  out.swap(items_);
  scheduled_ = !out.empty();
  return scheduled_;
}

void SubscriberQueue::written(const HeldMessage& what) {
  const std::unique_lock lock = lock_soon(mutex_);
  for (std::size_t kind = 0; kind < 2; ++kind) {
    held_.messages[kind] -= what.messages[kind];
    held_.bytes[kind] -= what.bytes[kind];
  }
}

void SubscriberQueue::add_to(QueueStatus& row) {
  const std::unique_lock lock = lock_soon(mutex_);
  row.items += held_.count();
  row.items_max += 2 * messages_max_;
  row.bytes += held_.bytes[0] + held_.bytes[1];
  // One message of any size always fits an empty queue.
  row.bytes_max += 2 * std::max<std::uint64_t>(bytes_max_, kMessageBytesMax);
  row.entered += entered_;
  row.left += entered_ - held_.count();
  if (refused_ > 0) row.drops.push_back({"items_full", refused_});
}

bool Subscribers::has(ChannelNumber channel) const {
  return std::ranges::any_of(entries_,
                             [channel](const Entry& one) { return one.channel == channel; });
}

void Subscribers::drop(const SubscriberQueue* queue) {
  const auto at = std::ranges::find_if(
      entries_, [queue](const Entry& known) { return known.queue.get() == queue; });
  if (at == entries_.end()) return;
  const ChannelNumber channel = at->channel;
  entries_.erase(at);
  if (on_channel_ && !has(channel)) on_channel_(channel, false);
}

void Subscribers::add(std::shared_ptr<SubscriberQueue> queue, ChannelNumber channel) {
  const std::lock_guard lock(mutex_);
  for (const Entry& known : entries_) {
    if (known.queue == queue && known.channel == channel) return;
  }
  drop(queue.get());
  const bool first = !has(channel);
  entries_.push_back({std::move(queue), channel});
  if (on_channel_ && first) on_channel_(channel, true);
}

void Subscribers::remove(const SubscriberQueue* queue) {
  const std::lock_guard lock(mutex_);
  drop(queue);
}

Accept Subscribers::offer(Message& message) {
  const std::lock_guard lock(mutex_);
  Accept answer = Accept::no_receiver;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    turn_ = (turn_ + 1) % entries_.size();
    const Entry& entry = entries_[turn_];
    if (entry.channel != message.channel) continue;
    const Accept one = entry.queue->push_message(message);
    if (one == Accept::taken || one == Accept::later) return one;
    if (one == Accept::queue_full) answer = one;
  }
  return answer;
}

}  // namespace qudag::api
