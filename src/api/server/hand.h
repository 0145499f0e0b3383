// What one client has in hand: messages that were given to it and that it has not acknowledged.
//
// 1 keep() gives a message its token, 2 answer() takes it out by its token and tells the node what
// the client said, 3 what is left when the client ends goes to the next one (left.h).
//
// A WebSocket answers on its own connection. Who receives by GET answers on another one, so a hand
// has a number that nobody can guess, by which the hub finds it. Threads: the API thread. Bounds:
// those of the client's queue, in which a message in hand has its place until it is answered.
#pragma once

#include "api/records/records.h"
#include "api/server/subscriber_queue.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace qudag::api {

struct Hub;

class Hand {
 public:
  Hand(Hub& hub, std::shared_ptr<SubscriberQueue> queue);
  ~Hand();
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

  struct Kept {
    std::uint64_t token = 0;
    std::shared_ptr<Message> message;  ///< null: it is over, and its sender has heard so
  };
  Kept keep(Message&& message);
  /// False: there is no such token, or not any more. The places of what was answered are free after
  /// free_places().
  bool answer(const AcknowledgeRecord& record);
  void free_places();
  /// The client ends, and nothing is being written to it any more.
  void leave();
  /// Called by the answer() that takes out the last message.
  void on_empty(std::function<void()> told) { on_empty_ = std::move(told); }

  bool empty() const { return messages_.empty(); }
  std::uint64_t number() const { return number_; }

 private:
  Hub& hub_;
  std::shared_ptr<SubscriberQueue> queue_;
  const std::uint64_t number_;
  std::map<std::uint64_t, std::shared_ptr<Message>> messages_;  // by token, so in their order
  std::uint64_t last_token_ = 0;
  HeldMessage answered_;  // and their places are not free yet: many are with one lock
  std::function<void()> on_empty_;
};

}  // namespace qudag::api
