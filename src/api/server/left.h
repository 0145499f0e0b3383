// Messages in hand that no client has: their client ended without an acknowledgement, or asked to
// have them again later. The next subscriber of their channel gets them. When none comes in time,
// their sender is told that there is no receiver; what is over its time to live is dropped.
//
// Threads: the API thread. Bounds: api.queue_messages and api.queue_bytes, as for one subscriber;
// what is too much is refused at once. Of channels with more than others the one with most gives
// way, so that a program that puts everything off takes no other program's room. Each message costs
// O(log n): a channel is not looked at beyond the first message that nobody takes.
#pragma once

#include <qudag/message.h>
#include <qudag/metrics.h>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <map>
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
  /// Somebody has subscribed to that channel.
  void offer(ChannelNumber channel);
  /// The API ends: senders hear nothing more from here.
  void end();
  void report(std::vector<QueueStatus>& rows) const;

 private:
  using Clock = std::chrono::steady_clock;
  /// By the time from which they may be given, which is also the order in which they are over.
  using Waiting = std::multimap<Clock::time_point, std::shared_ptr<Message>>;
  enum class Given : std::uint8_t { yes, over, no };
  Given give(Message& message, Clock::time_point due, Clock::time_point now);
  bool make_room(ChannelNumber channel, std::uint64_t bytes);
  Waiting::iterator drop(Waiting& waiting, Waiting::iterator at, std::uint64_t bytes);
  Clock::time_point serve(Waiting& waiting, Clock::time_point now);
  void wake_at(Clock::time_point when);
  void on_time();

  Hub& hub_;
  boost::asio::steady_timer timer_;
  std::map<ChannelNumber, Waiting> channels_;
  Clock::time_point next_ = Clock::time_point::max();
  std::size_t count_ = 0;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace qudag::api
