// Messages on their way from any thread to a shard, without a lock: the shard takes all of them at
// the beginning of a turn, those of high priority first. High has places of its own, so that a
// flood of the others, in one long turn, cannot shut it out.
#pragma once

#include "shard/request.h"
#include "sync/mailbox.h"

#include <cstddef>
#include <utility>

namespace qudag::node {

class Intake {
 public:
  Intake(std::size_t high_max, std::size_t others_max)
      : high_("messages to a shard", high_max), others_("messages to a shard", others_max) {}

  /// Any thread. `wake`: the shard sleeps, and the caller wakes it. `request` is untouched when
  /// full or closed.
  sync::Pushed put(shard::SendRequest& request, TimePoint now) {
    request.put = now;
    const bool high = request.options.priority == Priority::high;
    return (high ? high_ : others_).push(std::move(request));
  }
  /// Any thread. Nothing more comes in.
  void close() {
    high_.close();
    others_.close();
  }

  /// The shard's thread, or after it: f(request) for each.
  template <class F>
  void drain(TimePoint now, F&& f) {
    for (auto* requests : {&high_, &others_}) {
      requests->drain([&](shard::SendRequest&& request) {
        requests->record_wait(now - request.put, 1);
        f(std::move(request));
      });
    }
  }
  /// The shard's thread, before it sleeps: false if there is something to drain.
  bool sleep() { return high_.sleep() && others_.sleep(); }
  void report(BoundedList& out) const {
    out.push_back(high_.report());
    out.back().level = name_of(Priority::high);
    out.push_back(others_.report());
  }

 private:
  sync::Mailbox<shard::SendRequest> high_;
  sync::Mailbox<shard::SendRequest> others_;
};

}  // namespace qudag::node
