// The waiting room of the C interface: what came to a node and was not taken by its caller yet.
//
// 1 A thread of the node puts a message or an outcome in, 2 the descriptor becomes readable, 3 the
// caller's thread takes it out. A message whose sender is to hear what the caller says is *in hand*
// from then on: it has its place here until it is answered, and comes back into the room when the
// caller asks for it again.
//
// Threads: any. Owners (shared_ptr): the qudag_node and callbacks of its Node; a qudag_message in
// hand looks at it weakly, because it may outlive both.
#pragma once

#include "base/posix.h"

#include <qudag/node.h>
#include <qudag/qudag.h>

#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

namespace qudag::node {
class Waiting;
}

struct qudag_message {
  qudag::Message value;
  bool in_hand = false;
  std::weak_ptr<qudag::node::Waiting> room;  // while it is in hand
};

namespace qudag::node {

class Waiting : public std::enable_shared_from_this<Waiting> {
 public:
  // As many messages and bytes of replies beside them: a destination that floods who asked it fills
  // no place of those that write to this node, or it could ask every node for a place and see who
  // has none.
  static constexpr std::size_t kMessagesMax = 4'096;
  static constexpr std::size_t kMessageBytes = kMessageBytesMax;  // one of any size, when none is
  static constexpr std::size_t kSendsMax = 65'536;
  static constexpr std::chrono::milliseconds kDelayMax = std::chrono::hours(1);

  /// What the system said when it gives no descriptors.
  static Result<std::shared_ptr<Waiting>> open();
  int fd() const { return all_.get(); }

  // ---- messages
  /// `in_hand`: its sender hears nothing yet.
  Accept put(Message&& message, bool in_hand);
  /// Null when none waits.
  std::unique_ptr<qudag_message> take();
  /// The caller has answered it, or dropped it: its place is free.
  void leave(const Message& message);
  /// It waits again, after `delay`; if its time to live allows: else its sender hears that it is
  /// over.
  void again(Message&& message, std::chrono::milliseconds delay);
  /// A message in hand was dropped without an answer: nobody here wants it.
  void dropped(const Message& message);
  /// From now on nobody is asked any more: the node ends.
  void part();
  void belong_to(Node& node);

  // ---- outcomes
  /// A place for the outcome of one more send.
  bool reserve();
  void give_back();
  void put(const Delivery& delivery);
  bool take(qudag_outcome& out);

  /// Messages and outcomes that wait.
  std::pair<std::size_t, std::size_t> sizes() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Item {
    Message message;
    bool in_hand = false;
  };
  struct Ended {
    MessageId id;
    Outcome outcome;
    Errc code;
    std::chrono::nanoseconds elapsed;
  };

  bool empty() const { return messages_.empty() && outcomes_.empty(); }
  void raise();
  void lower_if_empty();
  void gather();
  void set_timer();
  /// What waits, is to come again, or is in hand: of messages to this node, or of replies.
  struct Held {
    std::size_t messages = 0, bytes = 0;
  };
  Held& held_with(const Message& message) { return held_[message.in_reply_to.has_value() ? 1 : 0]; }
  void free_place(const Message& message);

  Waiting();

  // `all_` is readable while one of the others is: something waits, or a delay is over.
  const Fd something_, timer_, all_;

  mutable std::mutex mutex_;  // guards all below but node_
  std::deque<Item> messages_;
  std::multimap<Clock::time_point, Message> later_;  // by when they are to come again
  std::array<Held, 2> held_;
  std::deque<Ended> outcomes_;
  std::size_t sends_ = 0;  // without an outcome, or with one that was not taken

  std::mutex node_mutex_;
  Node* node_ = nullptr;  // until it ends
};

}  // namespace qudag::node
