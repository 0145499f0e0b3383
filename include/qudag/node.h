// A node of the overlay, as a library.
//
//   auto node = qudag::Node::start(options);                       // threads run from here on
//   (*node)->wait_until_joined(std::chrono::seconds(10));          // .joined, or .reason
//   (*node)->on_message([](qudag::Message&& m) { ...; return qudag::Accept::taken; });
//   (*node)->send(destination, payload, {.priority = qudag::Priority::normal},
//                 [](const qudag::Delivery& d) { ... });
//
// Needs C++23 (std::expected, std::move_only_function). Threads: every function may be called from
// any thread, also from callbacks, and none of them blocks but start(), stop(), wait_until_...()
// and send_wait(); of these all but start() return at once on threads of the node, where waiting
// would stop what it waits for. Callbacks run on threads of the node. Futures are kept, never
// broken: every one has its value at the latest when stop() has returned. Errors: by value; nothing
// throws.
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/message.h>
#include <qudag/metrics.h>
#include <qudag/options.h>
#include <qudag/pipe.h>
#include <qudag/receiver.h>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace qudag {

/// What a node knows of another one, from its descriptor.
struct KnownNode {
  NodeId id;
  std::vector<SocketAddress> addresses;
  bool relay = false;   ///< it says so
  bool keeper = false;  ///< the same
  bool usable = false;  ///< a relay that this node may take for its circuits: it was reached
  std::chrono::seconds published{};  ///< ago
  std::chrono::seconds expires{};    ///< from now
};

class QUDAG_API Node {
 public:
  /// Loads or makes the identity, binds the socket, starts the shards and joins the bootstrap
  /// nodes in the background: see wait_until_joined(). Errors: config_invalid, not_found,
  /// permission_denied, malformed (key file), address_in_use, io_error.
  [[nodiscard]] static Result<std::unique_ptr<Node>> start(Options options);
  /// stop() with a second of grace, if it was not called. Not on a thread of the node.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] const NodeId& id() const noexcept;
  /// As bound, with the port that the kernel chose.
  [[nodiscard]] const SocketAddress& address() const noexcept;

  /// Whether a circuit with so many relays (0 to kRelaysMax) can be tried, and if not, why.
  [[nodiscard]] JoinState join_state(unsigned relays = kRelaysDefault) const;
  /// Waits for that, for `timeout` at most (0 or less: not at all) or until the node stops; the
  /// state then. On threads of the node (in callbacks) it does not wait.
  [[nodiscard]] JoinState wait_until_joined(std::chrono::milliseconds timeout,
                                            unsigned relays = kRelaysDefault) const;
  /// Replaces the handler that is told each time that the node becomes joined for circuits with
  /// kRelaysDefault relays, and once, soon, if it is when the handler is set. Empty: nobody is
  /// told.
  void on_joined(JoinHandler handler);
  /// A descriptor of that node is held by every shard and is valid: a send to it does not fail with
  /// unknown_destination at once. True of this node itself when it is known.
  [[nodiscard]] bool is_known(const NodeId& id) const;
  /// Waits for that, like wait_until_joined(); whether it is known then.
  [[nodiscard]] bool wait_until_known(const NodeId& id, std::chrono::milliseconds timeout) const;

  /// All nodes that it holds a descriptor of, itself included, by id.
  [[nodiscard]] std::vector<KnownNode> nodes() const;
  /// In place of Options::log_level, from now on.
  void set_log_level(LogLevel level);
  /// Of `limits` what a relay gives to others (bandwidth, bandwidth_burst, month) counts from now
  /// on, in place of Options::limits; what was used of the month stays used. config_invalid as for
  /// validate(), and then nothing changes.
  [[nodiscard]] Status set_quota(const Limits& limits);

  /// A buffer of exactly `bytes` from the pool, for filling in place and sending without a copy.
  /// too_large above 64 MiB, refused_memory when the bound has no room.
  [[nodiscard]] Result<Buffer> buffer(std::size_t bytes);

  /// Accepted (then `done` runs exactly once) or refused at once with the limit that said no:
  /// refused_queue_full, refused_memory (Node::on_room tells when to go on), refused_overload;
  /// invalid_argument, too_large, shutting_down. Never blocks. An empty `done` is for who does not
  /// care. `payload` is gone in both cases.
  [[nodiscard]] Result<MessageId> send(const NodeId& destination, Buffer payload,
                                       const SendOptions& options, Completion done,
                                       Progress progress = {});
  /// The same with a copy of `payload`.
  [[nodiscard]] Result<MessageId> send(const NodeId& destination,
                                       std::span<const std::byte> payload,
                                       const SendOptions& options, Completion done,
                                       Progress progress = {});
  /// For scripts: the outcome as a future; a refusal is an outcome too.
  [[nodiscard]] std::future<Delivery> send(const NodeId& destination,
                                           std::span<const std::byte> payload,
                                           const SendOptions& options = {});

  /// As send(), but where that is refused for want of room, this waits until half of what is under
  /// way in that priority has ended, and tries again: for `room_max` at most, then timed_out. When
  /// nothing is under way, and on threads of the node, it does not wait.
  [[nodiscard]] Result<MessageId> send_wait(const NodeId& destination, Buffer payload,
                                            const SendOptions& options,
                                            std::chrono::milliseconds room_max, Completion done,
                                            Progress progress = {});
  [[nodiscard]] Result<MessageId> send_wait(const NodeId& destination,
                                            std::span<const std::byte> payload,
                                            const SendOptions& options,
                                            std::chrono::milliseconds room_max, Completion done,
                                            Progress progress = {});

  /// Answers on the circuit that the message came on, without knowing who asked. Of the options
  /// `ttl` counts, and `priority` for the room that the reply takes here; relays and isolation are
  /// the circuit's. invalid_argument for `sign`, and for what is no reply address of this process;
  /// circuit_failed comes as the outcome. Else as send().
  [[nodiscard]] Result<MessageId> reply(const ReplyTo& to, Buffer payload,
                                        const SendOptions& options, Completion done,
                                        Progress progress = {});
  [[nodiscard]] Result<MessageId> reply(const ReplyTo& to, std::span<const std::byte> payload,
                                        const SendOptions& options, Completion done,
                                        Progress progress = {});
  [[nodiscard]] std::future<Delivery> reply(const ReplyTo& to, std::span<const std::byte> payload,
                                            const SendOptions& options = {});

  /// A message, and the first reply to it: one answer, or why there is none. The reason of the
  /// message's outcome when it was not delivered, timed_out when the answer did not come within
  /// `timeout` (1 ms to 24 h; the message lives no longer either), shutting_down. At most 16,384
  /// requests wait at a time, then refused_queue_full. Replies beyond the first, and late ones, go
  /// to the handler of messages.
  [[nodiscard]] std::future<Result<Message>> request(
      const NodeId& destination, std::span<const std::byte> payload,
      const SendOptions& options = {},
      std::chrono::milliseconds timeout = std::chrono::seconds(60));

  /// Ends a message of ours that has no outcome yet: it fails with `cancelled`, unless another
  /// outcome was first. Nothing if it has ended, or is unknown. What was sent of it may arrive
  /// nevertheless. refused_queue_full when a shard is too far behind to hear it.
  [[nodiscard]] Status cancel(const MessageId& id);

  /// Replaces the handler that hears, once after sends of a priority were refused for want of room
  /// (refused_queue_full, refused_memory), that half of what was under way then has ended.
  void on_room(RoomHandler handler);

  /// Replaces the handler of a channel; an empty one refuses its messages (refused_by_peer, `no
  /// receiver`), as does a channel that never had one. Without a channel: of channel 0.
  void on_message(MessageHandler handler);
  void on_message(ChannelNumber channel, MessageHandler handler);

  /// What became of a message whose handler said `later`: from any thread, once. Only then its
  /// sender hears an outcome; until then its circuit stays, and a copy that the sender sends after
  /// a failure is not handed out but waits for the same answer. A message that is not acknowledged
  /// within its time to live ends as expired. invalid_argument for `later` and for an empty
  /// receipt, shutting_down. An answer that comes too late, or a second one, does nothing.
  [[nodiscard]] Status acknowledge(const Receipt& receipt, Accept answer = Accept::taken);

  /// A pipe to a service of another node (qudag/pipe.h), which on_open says is there. `first` are
  /// the first bytes, kPipeFirstBytesMax at most: they travel with the question, before the answer
  /// is known. Refused at once, and no event comes: invalid_argument (an option, a name),
  /// too_large, refused_queue_full (limits.pipes), refused_memory, refused_overload, shutting_down.
  /// What goes wrong later, also unknown_destination and no_route, is told by on_closed.
  [[nodiscard]] Result<std::unique_ptr<Pipe>> open(const NodeId& destination,
                                                   std::string_view service,
                                                   const PipeOptions& options, PipeEvents events,
                                                   std::span<const std::byte> first = {});
  /// Replaces the handler that is offered the pipes which others open here. None, or an empty one:
  /// all are refused (no_such_service).
  void on_pipe(PipeHandler handler);
  /// Opens a receiver: somebody who is called at keepers, with an id that is not this node's and
  /// that nothing joins to it. Its messages come to the handlers as all others, with
  /// `Message::receiver` set; reply() answers them. `on_card` hears the card that callers need,
  /// each time that it changes; soon after the first keeper has answered for the first time.
  /// invalid_argument, malformed (key file); refused_queue_full beyond kReceiversMax;
  /// already_exists. It lasts until it is closed or the node stops; with a name, a file of the
  /// state directory is read and written in this call, and later ones are written by workers.
  [[nodiscard]] Result<NodeId> open_receiver(ReceiverOptions options, CardHandler on_card);
  /// Those that are kept from earlier runs and are not open: to be opened again.
  [[nodiscard]] std::vector<ReceiverOptions> kept_receivers() const;
  /// The open ones.
  [[nodiscard]] std::future<std::vector<ReceiverStatus>> receivers() const;
  /// Its circuits end, and what comes over them. Nothing if there is none.
  void close_receiver(const NodeId& receiver);
  /// From now on a send to `card.receiver` goes there, over three relays and a keeper: `relays` of
  /// its options must be 3. Replaces an earlier card of that receiver; of more than kCardsMax the
  /// one goes that was added first. malformed if it is none.
  [[nodiscard]] Status add_card(const Card& card);
  /// The same for who has no card: it is looked up at the receiver's keepers with the first circuit
  /// to it, and again when it is no good any more. Replaces a card of that receiver only if it
  /// names other keepers.
  [[nodiscard]] Status add_invitation(const Invitation& invitation);
  /// Forgets the card or invitation. What is on its way there goes on.
  void remove_card(const NodeId& receiver);
  /// Replaces the handler that hears cards that were looked up and name other keepers than what was
  /// known before, so that a program can keep the newer invitation.
  void on_card(CardHandler handler);

  /// Snapshots, gathered on the shards.
  [[nodiscard]] std::future<NodeStatus> status() const;
  [[nodiscard]] std::future<std::vector<PeerStatus>> peers() const;
  [[nodiscard]] std::future<std::vector<CircuitStatus>> circuits() const;
  [[nodiscard]] std::future<std::vector<PipeStatus>> pipes() const;
  /// Every waiting line, pool, table and buffer with its bounds; for queues also the counters.
  [[nodiscard]] std::future<std::vector<QueueStatus>> queues() const;
  /// The metrics table, summed over shards.
  [[nodiscard]] std::future<std::vector<MetricSample>> metrics() const;

  /// Refuses new work, lets messages in flight finish, says goodbye on every link, waits for what
  /// others send through this node to go elsewhere, both within `grace`; ends all threads. Every
  /// completion has run when it returns. Blocks; the first call's grace counts. In a callback it
  /// only begins this and returns: who calls it outside, or ends the Node, waits for the end.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

  class Impl;

 private:
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// "0.1.0"
[[nodiscard]] QUDAG_API std::string_view version() noexcept;

}  // namespace qudag
