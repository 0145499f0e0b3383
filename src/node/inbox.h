// Messages on their way from any thread to a shard, without a lock: the shard takes all of them at
// the beginning of a turn.
#pragma once

#include "node/request.h"
#include "queue/mailbox.h"

#include <cstddef>
#include <utility>

namespace qudag::node {

class Inbox {
 public:
  explicit Inbox(std::size_t requests_max) : requests_("messages to a shard", requests_max) {}

  /// Any thread. `wake`: the shard sleeps, and the caller wakes it. `request` is untouched when
  /// full or closed.
  queue::Pushed put(SendRequest& request, TimePoint now) {
    request.put = now;
    return requests_.push(std::move(request));
  }
  /// Any thread. Nothing more comes in.
  void close() { requests_.close(); }

  /// The shard's thread, or after it: f(request) for each.
  template <class F>
  void drain(TimePoint now, F&& f) {
    requests_.drain([&](SendRequest&& request) {
      requests_.record_wait(now - request.put, 1);
      f(std::move(request));
    });
  }
  /// The shard's thread, before it sleeps: false if there is something to drain.
  bool sleep() { return requests_.sleep(); }
  void report(BoundedList& out) const { out.push_back(requests_.report()); }

 private:
  queue::Mailbox<SendRequest> requests_;
};

}  // namespace qudag::node
