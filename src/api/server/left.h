// Messages in hand that no client has: their client ended without an acknowledgement, or asked to
// have them again later. The next subscriber of their channel gets them; when none comes in time,
// their sender is told that there is no receiver.
//
// Threads: the API thread. Bounds: api.queue_messages and api.queue_bytes, as for one subscriber;
// what is too much is refused at once.
#pragma once

#include <qudag/message.h>
#include <qudag/metrics.h>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <list>
#include <memory>

namespace qudag::api {

struct Hub;

class Left {
 public:
  /// What has no client for so long is refused.
  static constexpr std::chrono::seconds kKept{60};

  Left(Hub& hub, boost::asio::any_io_executor executor) : hub_(hub), timer_(executor) {}

  /// Offered to subscribers after `delay`. A write may still look into the payload: it is not
  /// touched before it has one owner.
  void put(std::shared_ptr<Message> message, std::chrono::milliseconds delay);
  /// Somebody has subscribed.
  void offer();
  /// The API ends: senders hear nothing more from here.
  void end();
  void report(std::vector<QueueStatus>& rows) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::shared_ptr<Message> message;
    Clock::time_point due, until;
  };
  bool give(Entry& entry, Clock::time_point now);
  void wait();

  Hub& hub_;
  boost::asio::steady_timer timer_;
  std::list<Entry> entries_;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace qudag::api
