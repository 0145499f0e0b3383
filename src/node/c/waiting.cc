#include "node/c/waiting.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cstring>
#include <utility>

namespace qudag::node {
namespace {

bool watch(const Fd& all, const Fd& one) {
  epoll_event event{.events = EPOLLIN, .data = {}};
  return ::epoll_ctl(all.get(), EPOLL_CTL_ADD, one.get(), &event) == 0;
}

}  // namespace

Waiting::Waiting()
    : something_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      all_(::epoll_create1(EPOLL_CLOEXEC)) {}

Result<std::shared_ptr<Waiting>> Waiting::open() {
  std::shared_ptr<Waiting> out(new Waiting);
  const bool opened = out->something_ && out->timer_ && out->all_ &&
                      watch(out->all_, out->something_) && watch(out->all_, out->timer_);
  if (!opened) return system_failure("qudag_fd");
  return out;
}

void Waiting::raise() { static_cast<void>(::eventfd_write(something_.get(), 1)); }

void Waiting::lower_if_empty() {
  eventfd_t ignored = 0;
  if (empty()) static_cast<void>(::eventfd_read(something_.get(), &ignored));
}

// ---- messages -----------------------------------------------------------------------------------

Accept Waiting::put(Message&& message, bool in_hand) {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = message.payload.size();
  Held& held = held_with(message);
  const bool full =
      held.messages >= kMessagesMax || (held.bytes > 0 && held.bytes + bytes > kMessageBytes);
  if (full) return Accept::queue_full;
  const bool was_empty = empty();
  messages_.push_back({std::move(message), in_hand});
  ++held.messages;
  held.bytes += bytes;
  if (was_empty) raise();
  return in_hand ? Accept::later : Accept::taken;
}

/// What is to come again comes after what waits. What is over its time to live comes to nobody: its
/// sender has heard so.
void Waiting::gather() {
  const bool was_empty = empty();
  const Clock::time_point now = Clock::now();
  const auto due = later_.upper_bound(now);
  if (due == later_.begin()) return;
  for (auto at = later_.begin(); at != due; at = later_.erase(at)) {
    messages_.push_back({std::move(at->second), true});
  }
  if (was_empty && !empty()) raise();
  set_timer();
}

std::unique_ptr<qudag_message> Waiting::take() {
  const std::lock_guard lock(mutex_);
  gather();
  std::unique_ptr<qudag_message> out;
  while (!messages_.empty() && out == nullptr) {
    Item& first = messages_.front();
    if (first.in_hand && first.message.time_left().count() == 0) {
      free_place(first.message);
    } else {
      out = std::make_unique<qudag_message>();
      out->value = std::move(first.message);
      out->in_hand = first.in_hand;
      if (out->in_hand) {
        out->room = weak_from_this();
      } else {
        free_place(out->value);
      }
    }
    messages_.pop_front();
  }
  lower_if_empty();
  return out;
}

void Waiting::free_place(const Message& message) {
  Held& held = held_with(message);
  --held.messages;
  held.bytes -= message.payload.size();
}

void Waiting::leave(const Message& message) {
  const std::lock_guard lock(mutex_);
  free_place(message);
}

void Waiting::again(Message&& message, std::chrono::milliseconds delay) {
  const std::lock_guard lock(mutex_);
  if (delay >= message.time_left()) return free_place(message);
  later_.emplace(Clock::now() + delay, std::move(message));
  set_timer();
}

/// The timer is readable from the first of them on, and not before. (Zero would switch it off.)
void Waiting::set_timer() {
  itimerspec at{};
  if (!later_.empty()) {
    const auto due = later_.begin()->first.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(due);
    at.it_value.tv_sec = seconds.count();
    at.it_value.tv_nsec = std::chrono::nanoseconds(due - seconds).count();
  }
  static_cast<void>(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr));
}

void Waiting::belong_to(Node& node) {
  const std::lock_guard lock(node_mutex_);
  node_ = &node;
}

void Waiting::part() {
  const std::lock_guard lock(node_mutex_);
  node_ = nullptr;
}

void Waiting::dropped(const Message& message) {
  leave(message);
  const std::lock_guard lock(node_mutex_);
  if (node_ == nullptr) return;
  static_cast<void>(node_->acknowledge(message.receipt, Accept::no_receiver));
}

// ---- outcomes -----------------------------------------------------------------------------------

bool Waiting::reserve() {
  const std::lock_guard lock(mutex_);
  if (sends_ >= kSendsMax) return false;
  ++sends_;
  return true;
}

void Waiting::give_back() {
  const std::lock_guard lock(mutex_);
  --sends_;
}

void Waiting::put(const Delivery& delivery) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = empty();
  outcomes_.push_back({delivery.id, delivery.outcome, delivery.reason.code, delivery.elapsed});
  if (was_empty) raise();
}

bool Waiting::take(qudag_outcome& out) {
  const std::lock_guard lock(mutex_);
  if (outcomes_.empty()) return false;
  const Ended& first = outcomes_.front();
  std::memcpy(out.id.bytes, first.id.bytes.data(), sizeof out.id.bytes);
  out.kind = static_cast<qudag_outcome_kind>(first.outcome);
  out.error = static_cast<int>(first.code);
  out.elapsed_ns = static_cast<std::uint64_t>(first.elapsed.count());
  outcomes_.pop_front();
  --sends_;
  lower_if_empty();
  return true;
}

std::pair<std::size_t, std::size_t> Waiting::sizes() const {
  const std::lock_guard lock(mutex_);
  return {messages_.size(), outcomes_.size()};
}

}  // namespace qudag::node
