// Requests that wait for their answer: a message of ours, and the first reply to it.
//
//   add -> (answer | end: the message was not delivered, or the node stops | expire: its time is
//   over) -> the future has its value; what comes after that finds nothing
//
// Threads: any. Limits: kMax, then refused. Who waits for nothing pays one atomic read per reply.
#pragma once

#include "base/bounded.h"
#include "base/time.h"
#include "runtime/driver.h"

#include <qudag/message.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace qudag::node {

class Requests {
 public:
  static constexpr std::size_t kMax = 16'384;
  using Answer = Result<Message>;

  /// refused_queue_full, shutting_down.
  Result<std::future<Answer>> add(const MessageId& id, TimePoint until);
  /// Takes a reply that somebody waits for; false leaves it as it is.
  bool answer(Message& reply);
  void end(const MessageId& id, const Error& why);
  /// The node stops: also what comes later.
  void end_all(Errc why);
  void expire(TimePoint now);
  TimePoint next_deadline() const {
    return TimePoint(Duration(next_.load(std::memory_order_acquire)));
  }
  void report(BoundedList& out) const;

  /// A future that has its value.
  static std::future<Answer> refused(std::unexpected<Error> why) {
    std::promise<Answer> promise;
    promise.set_value(std::move(why));
    return promise.get_future();
  }

 private:
  struct Waiting {
    std::promise<Answer> promise;
    std::multimap<TimePoint, MessageId>::iterator due;
  };
  using Table = std::unordered_map<MessageId, Waiting>;
  std::promise<Answer> take(Table::iterator at);
  void note_next();

  mutable std::mutex mutex_;
  Table waiting_;
  std::multimap<TimePoint, MessageId> due_;
  bool ended_ = false;
  std::atomic<std::size_t> size_{0};
  std::atomic<Duration::rep> next_{kNever.time_since_epoch().count()};
};

/// Shard 0's loop keeps their time as well.
class WithRequests final : public runtime::Driven {
 public:
  WithRequests(runtime::Driven& shard, Requests& requests) : shard_(shard), requests_(requests) {}

  bool on_readable(Now now) override { return shard_.on_readable(now); }
  void on_writable(Now now) override { shard_.on_writable(now); }
  void on_time(Now now) override {
    if (now.mono >= requests_.next_deadline()) requests_.expire(now.mono);
    shard_.on_time(now);
  }
  void flush(Now now) override { shard_.flush(now); }
  TimePoint next_deadline() const override {
    return std::min(shard_.next_deadline(), requests_.next_deadline());
  }
  bool wants_writable() const override { return shard_.wants_writable(); }

 private:
  runtime::Driven& shard_;
  Requests& requests_;
};

}  // namespace qudag::node
