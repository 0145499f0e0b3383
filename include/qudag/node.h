// A node of the overlay, as a library.
//
//   auto node = qudag::Node::start(options);                       // threads run from here on
//   (*node)->wait_until_joined(std::chrono::seconds(10));          // .joined, or .reason
//   (*node)->on_message([](qudag::Message&& m) { ...; return qudag::Accept::taken; });
//   (*node)->send(destination, payload, {.cls = qudag::Class::normal},
//                 [](const qudag::Delivery& d) { ... });
//
// Threads: every function may be called from any thread, and none of them blocks but start(),
// stop(), wait_until_joined(), and a send that wishes to wait for room (SendOptions::when_full).
// Callbacks run on threads of the node. Errors: by value; nothing throws.
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/message.h>
#include <qudag/metrics.h>
#include <qudag/options.h>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <span>
#include <vector>

namespace qudag {

class QUDAG_API Node {
 public:
  /// Loads or makes the identity, binds the socket, starts the shards and joins the bootstrap
  /// nodes in the background: see wait_until_joined(). Errors: config_invalid, not_found,
  /// permission_denied, malformed (key file), address_in_use, io_error.
  static Result<std::unique_ptr<Node>> start(Options options);
  /// stop() with a second of grace, if it was not called.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const NodeId& id() const noexcept;
  /// As bound, with the port that the kernel chose.
  const SocketAddress& address() const noexcept;

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

  /// A buffer of exactly `bytes` from the pool, for filling in place and sending without a copy.
  /// too_large above 64 MiB, refused_memory when the bound has no room.
  Result<Buffer> buffer(std::size_t bytes);

  /// Accepted (then `done` runs exactly once) or refused at once with the limit that said no.
  Status send(const NodeId& destination, Buffer payload, const SendOptions& options,
              Completion done, Progress progress = {});
  /// The same with a copy of `payload`.
  Status send(const NodeId& destination, std::span<const std::byte> payload,
              const SendOptions& options, Completion done, Progress progress = {});
  /// For scripts: the outcome as a future; a refusal is an outcome too.
  std::future<Delivery> send(const NodeId& destination, std::span<const std::byte> payload,
                             const SendOptions& options = {});

  /// Answers on the circuit that the message came on, without knowing who asked.
  Status reply(const ReplyTo& to, Buffer payload, std::chrono::milliseconds ttl, Completion done);
  Status reply(const ReplyTo& to, std::span<const std::byte> payload, std::chrono::milliseconds ttl,
               Completion done);

  /// Replaces the handler that hears, once after sends of a class were refused for want of room
  /// (refused_queue_full, refused_memory), that half of what was under way then has ended.
  void on_room(RoomHandler handler);

  /// Replaces the handler; an empty one refuses messages (`no receiver`).
  void on_message(MessageHandler handler);

  /// Snapshots, gathered on the shards.
  std::future<NodeStatus> status() const;
  std::future<std::vector<PeerStatus>> peers() const;
  std::future<std::vector<CircuitStatus>> circuits() const;
  /// Every waiting line, pool, table and buffer with its bounds; of queues also the books.
  std::future<std::vector<QueueStatus>> queues() const;
  /// The metrics table, summed over shards.
  std::future<std::vector<MetricSample>> metrics() const;

  /// Refuses new work, lets messages in flight finish, says goodbye on every link, waits for what
  /// others send through this node to go elsewhere, both within `grace`; ends all threads. Every
  /// completion has run when it returns. Blocks; not from a callback.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

  class Impl;

 private:
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// "0.1.0"
QUDAG_API std::string_view version() noexcept;

}  // namespace qudag
