// What waits to go to one client: outcomes, progress and messages, handed over from shard threads.
//
// A shard pushes; the first push after the queue was found empty posts one wake-up to the API
// thread, which then takes everything at once, and again until there is nothing. So many small
// messages cost one lock each, and a post only when the API thread had nothing to do. The queue and
// the batch that it is taken in have all their places from the beginning: no push allocates.
//
// Threads: push_*() from any thread; open(), take(), written() and close() on the API thread only.
// Bounds: messages by count and bytes (a full queue is answered Accept::queue_full), and replies by
// as many again: a destination that floods who asked it fills no place of those that write to this
// node, or it could ask every node for a place and see who has none. Outcomes by the client's
// outstanding sends, answers to CANCEL by as many; progress by one entry per send, which is
// overwritten in place.
// Owners (shared_ptr): the session, the Subscribers list, and every completion still in flight,
// because a message may end after its client has gone.
#pragma once

#include "base/mapped_array.h"
#include "config/api_options.h"

#include <qudag/message.h>
#include <qudag/metrics.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

namespace qudag::api {

/// The latest progress of one send; written by a shard, read by the API thread.
struct ProgressSlot {
  explicit ProgressSlot(std::uint64_t r) : request(r) {}
  std::uint64_t request;
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> all{0};
  std::atomic<bool> queued{false};
};

struct OutcomeItem {
  std::uint64_t request = 0;
  Delivery delivery;
};

struct SubscribedItem {};

struct NotCancelledItem {
  std::uint64_t request = 0;
  Error reason;
};

/// Received messages and their bytes: [0] messages to this node, [1] replies.
struct HeldMessage {
  std::array<std::size_t, 2> messages{};
  std::array<std::uint64_t, 2> bytes{};

  void add(const Message& message) {
    const std::size_t kind = message.in_reply_to.has_value() ? 1 : 0;
    ++messages[kind];
    bytes[kind] += message.payload.size();
  }
  std::size_t count() const { return messages[0] + messages[1]; }
};

/// `in_hand`: the client acknowledges it.
struct WaitingMessage {
  Message message;
  bool in_hand = false;
};

using OutItem = std::variant<OutcomeItem, std::shared_ptr<ProgressSlot>, WaitingMessage,
                             SubscribedItem, NotCancelledItem>;

/// As many places as a client's items can take at once.
using OutItems = std::vector<OutItem, MappedAllocator<OutItem>>;

/// What its client may have waiting.
enum class ClientKind : std::uint8_t {
  one_send,  ///< its outcome, and progress
  messages,  ///< received ones, and that it has gone
  stream,    ///< all of these, for many sends
};

class SubscriberQueue : public std::enable_shared_from_this<SubscriberQueue> {
 public:
  SubscriberQueue(const config::ApiOptions& options, ClientKind kind);

  /// For take().
  OutItems batch() const;

  /// From now on pushes wake `wake` on `executor`.
  void open(boost::asio::any_io_executor executor, std::function<void()> wake);
  /// No wake-up comes after this; what is pushed later is dropped. The messages that have not been
  /// taken and that were answered with `later`.
  std::vector<Message> close();

  /// Takes only so many messages more, then answers queue_full. `in_hand`: the client acknowledges
  /// what it gets, so push_message() answers `later`.
  void set_quota(std::uint64_t messages, bool in_hand = false);

  /// A message that was taken is not shown: another one may come in its place.
  void take_one_more();

  void push_subscribed();
  void push_not_cancelled(std::uint64_t request, const Error& reason);
  void push_outcome(std::uint64_t request, const Delivery& delivery);
  void push_progress(const std::shared_ptr<ProgressSlot>& slot, std::uint64_t done,
                     std::uint64_t all);
  /// Moves from `message` only when it is taken: `taken`, or `later` if the client acknowledges.
  Accept push_message(Message& message);

  /// All items in order; false if there is none, and only then the next push wakes: whoever got
  /// items comes back for more. Messages count against the bounds until written().
  bool take(OutItems& out);
  void written(const HeldMessage& what);
  /// Adds its books to a row.
  void add_to(QueueStatus& row);

 private:
  /// Room for the one wake-up that is under way, as an allocator.
  template <class T>
  struct WakeRoom {
    using value_type = T;
    explicit WakeRoom(SubscriberQueue& owner) : queue(&owner) {}
    template <class U>
    WakeRoom(const WakeRoom<U>& other) : queue(other.queue) {}  // NOLINT: as the standard has it
    T* allocate(std::size_t count) {
      if (count * sizeof(T) > sizeof queue->wake_room_) return std::allocator<T>().allocate(count);
      return reinterpret_cast<T*>(queue->wake_room_);
    }
    void deallocate(T* at, std::size_t count) {
      if (count * sizeof(T) > sizeof queue->wake_room_) std::allocator<T>().deallocate(at, count);
    }
    template <class U>
    bool operator==(const WakeRoom<U>& other) const {
      return queue == other.queue;
    }
    SubscriberQueue* queue;
  };

  void push(std::unique_lock<std::mutex>& lock, OutItem item);
  void woken();

  const std::size_t slots_;
  const std::size_t messages_max_;
  const std::uint64_t bytes_max_;

  std::mutex mutex_;  // guards all below but wake_
  bool open_ = false;
  bool scheduled_ = false;
  bool posted_ = false;  // a wake-up that has not come yet
  OutItems items_;
  HeldMessage held_;
  std::uint64_t entered_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t quota_ = UINT64_MAX;
  bool in_hand_ = false;
  std::optional<boost::asio::io_context::executor_type> executor_;
  std::function<void()> wake_;  // API thread only
  alignas(std::max_align_t) std::byte wake_room_[256];
};

/// Who gets received messages: each message goes to one subscriber of its channel, in turn,
/// skipping full ones.
class Subscribers {
 public:
  /// Told under the lock: somebody is there for that channel, or nobody is any more.
  using OnChannel = std::function<void(ChannelNumber channel, bool wanted)>;
  void on_channel(OnChannel told) { on_channel_ = std::move(told); }  // before the first add()

  /// A queue has one channel at a time: the last one.
  void add(std::shared_ptr<SubscriberQueue> queue, ChannelNumber channel = 0);
  void remove(const SubscriberQueue* queue);
  /// From any shard. `taken` or `later`, and then moved from; no_receiver when nobody listens,
  /// queue_full when all are full.
  Accept offer(Message& message);

 private:
  struct Entry {
    std::shared_ptr<SubscriberQueue> queue;
    ChannelNumber channel = 0;
  };
  bool has(ChannelNumber channel) const;
  void drop(const SubscriberQueue* queue);

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::size_t turn_ = 0;
  OnChannel on_channel_;
};

}  // namespace qudag::api
