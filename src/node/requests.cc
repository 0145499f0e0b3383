#include "node/requests.h"

namespace qudag::node {

Result<std::future<Requests::Answer>> Requests::add(const MessageId& id, TimePoint until) {
  const std::lock_guard lock(mutex_);
  if (ended_) return fail(Errc::shutting_down);
  if (waiting_.size() >= kMax) {
    return fail(Errc::refused_queue_full, "so many requests wait for their answer");
  }
  Waiting& waiting = waiting_[id];
  waiting.due = due_.emplace(until, id);
  note_next();
  return waiting.promise.get_future();
}

bool Requests::answer(Message& reply) {
  if (size_.load(std::memory_order_acquire) == 0) return false;
  std::promise<Answer> promise;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(*reply.in_reply_to);
    if (found == waiting_.end()) return false;
    promise = take(found);
  }
  promise.set_value(std::move(reply));
  return true;
}

void Requests::end(const MessageId& id, const Error& why) {
  std::promise<Answer> promise;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    promise = take(found);
  }
  promise.set_value(std::unexpected(why));
}

void Requests::end_all(Errc why) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  while (!waiting_.empty()) take(waiting_.begin()).set_value(fail(why));
}

void Requests::expire(TimePoint now) {
  const std::lock_guard lock(mutex_);
  while (!due_.empty() && due_.begin()->first <= now) {
    take(waiting_.find(due_.begin()->second)).set_value(fail(Errc::timed_out, "no answer came"));
  }
}

std::promise<Requests::Answer> Requests::take(Table::iterator at) {
  std::promise<Answer> promise = std::move(at->second.promise);
  due_.erase(at->second.due);
  waiting_.erase(at);
  note_next();
  return promise;
}

void Requests::note_next() {
  size_.store(waiting_.size(), std::memory_order_release);
  const TimePoint next = due_.empty() ? kNever : due_.begin()->first;
  next_.store(next.time_since_epoch().count(), std::memory_order_release);
}

void Requests::report(BoundedList& out) const {
  out.push_back(bounded(Bounded::Kind::table, "requests that wait for an answer", "refuse new",
                        size_.load(std::memory_order_relaxed), kMax,
                        sizeof(Table::value_type) + sizeof(*due_.begin())));
}

}  // namespace qudag::node
