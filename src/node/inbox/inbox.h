// The node's inbox: messages for which no application is there, kept on the disk until one takes
// them.
//
// In:  on_message() of a shard finds no handler, or older messages of the channel that still wait
//      -> keep(): the application's answer is `later` -> the records' thread commits -> the sender
//      hears `delivered`, or `refused` (the inbox is full, or cannot be written).
// Out: a handler is set -> listen() -> the records' thread reads a batch -> shard 0 offers each
//      message in order -> `taken`: removed; `later`: in hand, and removed by acknowledge(). What
//      is not taken stays, and comes again: when there is room, after the next listen(), after a
//      restart.
//
// While any message of a channel waits, what comes for it is kept behind: the order of arrival
// holds. Threads: any; keep(), waits(), listen() and acknowledge() take one short lock and never
// wait for the disk. Bounds: inbox.messages, inbox.bytes; store::kWaitingRecordsMax on the way in;
// kInHandMax handed out and not acknowledged; kBatch messages of kBatchBytes on the way out.
#pragma once

#include "node/inbox/message_head.h"
#include "node/inbox/stats.h"
#include "store/records.h"

#include <qudag/metrics.h>
#include <qudag/options.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace qudag::node {

/// In a Receipt, where other messages have their shard.
inline constexpr std::uint32_t kInboxShard = UINT32_MAX - 1;

/// What the inbox asks of the node around it.
class InboxEnvironment {
 public:
  virtual ~InboxEnvironment() = default;
  /// Memory for a message that goes out. Any thread.
  virtual Result<Buffer> inbox_buffer(std::size_t bytes) = 0;
  /// Runs it on shard 0, soon; false when the node stops.
  virtual bool on_inbox_thread(std::function<void()> task) = 0;
  /// To the handler of its channel; no_receiver if there is none. On shard 0.
  virtual Accept offer(Message&& message) = 0;
  /// The answer to a message for which keep() said `later`. Any thread.
  virtual void settle(const Receipt& receipt, Accept answer) = 0;
};

class Inbox {
 public:
  static constexpr std::size_t kInHandMax = 4'096;
  static constexpr std::size_t kBatch = 64;
  static constexpr std::size_t kBatchBytes = std::size_t{1} << 20;  // and one message of any size

  /// Errors: store::Records::open().
  static Result<std::unique_ptr<Inbox>> open(const InboxOptions& options,
                                             InboxEnvironment& environment,
                                             std::function<Now()> clock, Log& log);
  ~Inbox() { stop(); }

  /// Whether new messages may be kept (inbox.accept).
  bool accepts() const { return options_.accept; }
  /// Older messages of the channel have not been handed out.
  bool waits(ChannelNumber channel);
  /// `later`: settle() follows. queue_full: too much is on its way to the disk. `key`: the same
  /// when its sender sends the message again.
  Accept keep(Message&& message, const store::RecordKey& key);

  /// The channel has a handler, or another one: what is kept is offered.
  void listen(ChannelNumber channel);
  /// It has none any more.
  void unlisten(ChannelNumber channel);
  /// Of a message that was handed out with `later`: `taken` removes it. Another answer: it comes
  /// again, after queue_full soon.
  void acknowledge(std::uint64_t number, Accept answer);

  /// Writes what waits; nothing is offered afterwards. Not on a thread of the node.
  void stop() {
    if (records_) records_->stop();
  }
  InboxStats stats() const;
  InboxStatus status() const;
  void report(BoundedList& out) const;

 private:
  class Incoming;
  struct Outgoing {
    std::uint64_t number = 0;
    Message message;
  };
  using Batch = std::vector<Outgoing>;
  struct Channel {
    std::uint64_t queued = 0;  // on their way into the file
    bool kept = false;         // the file may have some that are not in hand
    bool listening = false;
    bool looking = false;     // a batch is read or offered
    bool again = false;       // another look was asked for meanwhile
    bool left_out = false;    // something came back, or had no room, since the look began
    std::uint64_t after = 0;  // up to this number all are in hand
  };
  /// From when it is read until it comes back or its removal is on the disk.
  struct InHand {
    ChannelNumber channel = 0;
    bool taken = false;
  };

  Inbox(const InboxOptions& options, InboxEnvironment& environment, std::function<Now()> clock)
      : options_(options), environment_(environment), clock_(std::move(clock)) {}
  void find_channels(std::chrono::milliseconds delay);
  Status find_channels(store::RecordFile& file);
  void on_kept(ChannelNumber channel, const Receipt& receipt, store::AddEnd end);
  void on_changed(std::uint64_t number);
  void look_soon(ChannelNumber channel, std::chrono::milliseconds delay = {});
  Status look(ChannelNumber channel, store::RecordFile* file);
  void hand_over(ChannelNumber channel, Batch&& batch);
  Status read(ChannelNumber channel, store::RecordFile& file, Batch& batch);
  enum class Read : std::uint8_t { yes, unreadable, no_memory };
  Result<Read> read_one(store::RecordFile& file, const store::RecordHead& head, Batch& batch);
  enum class Place : std::uint8_t { free, in_hand, full };
  Place take_place(ChannelNumber channel, std::uint64_t number);
  void give_up(ChannelNumber channel, std::span<const Outgoing> rest);
  void hand_out(ChannelNumber channel, Batch&& batch);
  bool offer(ChannelNumber channel, Outgoing&& one, Accept& answer);
  static void come_back(Channel& channel, std::uint64_t number);
  void end_look(ChannelNumber channel, bool more, std::chrono::milliseconds delay);

  const InboxOptions options_;
  InboxEnvironment& environment_;
  const std::function<Now()> clock_;
  std::unique_ptr<store::Records> records_;

  mutable std::mutex mutex_;  // guards all below
  std::map<ChannelNumber, Channel> channels_;
  std::unordered_map<std::uint64_t, InHand> in_hand_;  // by number
  std::uint64_t handed_out_ = 0;
  std::uint64_t came_back_ = 0;
};

}  // namespace qudag::node
