// What applications send and receive: priorities, options, outcomes, buffers and messages.
//
// Sizes are bytes. Nothing here throws; what can fail returns a Result. Values may be copied and
// moved between threads; Buffer, and so Message, is for one thread at a time and may outlive the
// node that made it.
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/export.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qudag {

/// The largest message: 64 MiB.
inline constexpr std::size_t kMessageBytesMax = std::size_t{64} << 20;
/// The most relays on a circuit, not counting the destination.
inline constexpr unsigned kRelaysMax = 5;
/// The number of relays when the sender does not say.
inline constexpr unsigned kRelaysDefault = 3;

/// The priority of a message decides its queue, its urgency on every link, and its cell size
/// (high and normal: 1 KiB; low: 8 KiB).
enum class Priority : std::uint8_t {
  high = 0,    ///< control: first everywhere, last to be dropped
  normal = 1,  ///< interactive
  low = 2,     ///< bulk: first to be dropped
};
inline constexpr std::size_t kPriorityCount = 3;

QUDAG_API std::string_view name_of(Priority c) noexcept;
[[nodiscard]] QUDAG_API Result<Priority> parse_priority(std::string_view text);

/// The name of one message, random and drawn by its sender: send() returns it, its outcome and its
/// progress say it, the receiver sees it, and a reply names it in `in_reply_to`.
struct MessageId {
  static constexpr std::size_t kSize = 16;
  static constexpr std::size_t kTextSize = 32;

  std::array<std::byte, kSize> bytes{};

  auto operator<=>(const MessageId&) const = default;

  /// 32 lower-case hexadecimal digits.
  [[nodiscard]] QUDAG_API std::string to_string() const;
  /// `malformed` unless exactly 32 hexadecimal digits, of either case.
  [[nodiscard]] QUDAG_API static Result<MessageId> parse(std::string_view text);
};

/// Which of a node's handlers a message is for: 0 is the one that every program has; the others are
/// what programs that share a node, or a protocol, agree on. Only the two ends see it.
using ChannelNumber = std::uint16_t;

/// What becomes of a message to a receiver (qudag/receiver.h) that is not there now.
enum class IfAway : std::uint8_t {
  store,   ///< its keeper keeps it for days: the outcome is `stored`. Where it cannot: as `wait`
  wait,    ///< it is tried again until its time to live ends
  refuse,  ///< the outcome is `refused`, with Errc::away
};
/// "store", "wait", "refuse"
QUDAG_API std::string_view name_of(IfAway how) noexcept;
[[nodiscard]] QUDAG_API Result<IfAway> parse_if_away(std::string_view text);

struct SendOptions {
  Priority priority = Priority::normal;
  /// From the call to the acknowledgement; the sender is told `expired` when it ends. 1 ms to 24 h.
  std::chrono::milliseconds ttl{60'000};
  /// Relays between here and the destination, 0 to 5. 0 is a direct link: fast, not anonymous.
  unsigned relays = kRelaysDefault;
  /// Messages with different tags never share a circuit, and the destination has no means to tell
  /// that they are of one sender. All that a program sends without a tag has tag 0: the destination
  /// may then see that messages came on one circuit, so from one sender.
  std::uint64_t isolation = 0;
  /// Sign with the node's identity: the receiver then learns who sent it. Signed messages never
  /// share a circuit with others.
  bool sign = false;
  /// At the destination. Messages of several channels share circuits. The reply comes to the
  /// handler of the same channel here.
  ChannelNumber channel = 0;
  /// Of a message to a receiver; others are never away.
  IfAway if_away = IfAway::store;
};

/// How a message ended. Exactly one of these reaches the sender for every accepted send.
enum class Outcome : std::uint8_t {
  delivered,  ///< the destination's application took it and its acknowledgement came back
  expired,    ///< the time to live ended before that
  refused,    ///< a limit here or at the destination; `reason` says which
  failed,     ///< it could not be done; `reason` says why
  /// The receiver is away, and a keeper of it has the message on its disk: the receiver gets it
  /// when it comes back, within 7 days. Nothing more is said of it.
  stored,
};

QUDAG_API std::string_view name_of(Outcome o) noexcept;

struct Delivery {
  Outcome outcome = Outcome::failed;
  Error reason;                        ///< Errc::ok when delivered
  std::chrono::nanoseconds elapsed{};  ///< from the send call to the outcome
  MessageId id{};                      ///< as send() returned it; zeros if refused at once
};

/// How far a message is: for messages over 1 MiB, now and then, and more each time. While bytes are
/// sent again because a circuit ended, nothing is told.
struct SendProgress {
  MessageId id;
  std::size_t bytes_done = 0;  ///< that the destination has taken
  std::size_t bytes_all = 0;
};

/// Bytes in pooled blocks of the node: what `Node::buffer` gives out for filling and what a
/// received message consists of. Move-only; its blocks return to their pool when it ends. May
/// outlive the node. One thread at a time.
class QUDAG_API Buffer {
 public:
  Buffer() noexcept;
  ~Buffer();
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;

  std::size_t size() const noexcept;
  /// Number of contiguous pieces, and each of them in order.
  std::size_t piece_count() const noexcept;
  std::span<std::byte> piece(std::size_t index) noexcept;
  std::span<const std::byte> piece(std::size_t index) const noexcept;
  /// Copies all bytes out, for callers who want them in one place.
  [[nodiscard]] std::vector<std::byte> to_vector() const;

  class Impl;

 private:
  explicit Buffer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

namespace shard {
struct ReplyAddress;
}

/// Where a reply to one message goes. Says nothing about who asked, nor which messages came on the
/// same circuit.
class QUDAG_API ReplyTo {
 public:
  /// For keeping outside of the program's memory: unlike that of any other message, not to be
  /// guessed, and good for this process only.
  using Handle = std::array<std::byte, 16>;

  ReplyTo() = default;
  /// Of bytes that are no handle, or another process's: one that no reply goes to.
  explicit ReplyTo(const Handle& handle);
  Handle handle() const;

 private:
  friend struct shard::ReplyAddress;
  Handle plain_{};
};

/// Names a received message towards `Node::acknowledge`, for as long as the process runs.
class QUDAG_API Receipt {
 public:
  Receipt() = default;

 private:
  friend struct shard::ReplyAddress;
  std::uint64_t circuit_ = UINT64_MAX;
  std::uint32_t ref_ = 0;
  std::uint32_t shard_ = 0;
};

/// A message as the receiving application sees it.
struct Message {
  MessageId id;  ///< chosen by the sender
  Buffer payload;
  Priority priority = Priority::normal;
  ChannelNumber channel = 0;             ///< of a reply: of the message that it answers
  std::optional<NodeId> sender;          ///< only if the sender signed
  std::optional<NodeId> receiver;        ///< of Node::open_receiver(), if it came to one
  std::optional<ReplyTo> reply_to;       ///< usable while the circuit lives
  std::optional<MessageId> in_reply_to;  ///< set when this is a reply to our send
  Receipt receipt;                       ///< for a handler that answers `later`
  /// It waited in the node's inbox (Options::inbox), and its sender was told `delivered`; or at a
  /// keeper, and its sender was told `stored`. It has no reply_to. From the inbox it has no end,
  /// and comes again until it is taken.
  bool kept = false;
  /// The end of its time to live: what is acknowledged later counts for nobody. By CLOCK_BOOTTIME,
  /// which goes on while the machine sleeps.
  std::chrono::nanoseconds expires = std::chrono::nanoseconds::max();

  /// Zero when it is over.
  [[nodiscard]] QUDAG_API std::chrono::nanoseconds time_left() const;
};

/// What a handler says to a message. `no_receiver` and `queue_full` are reported to its sender as
/// refused.
enum class Accept : std::uint8_t {
  taken,        ///< the application has it: the sender is told `delivered`
  no_receiver,  ///< nobody here wants messages
  queue_full,   ///< not now
  later,        ///< the application works on it, and calls `Node::acknowledge` when it is done
};

/// All of these run on a thread of the node (the shard that the message belongs to; a handler may
/// run on several at a time) and must not block; they may call any function of Node, also stop().
/// One that throws is said once in the log, and the node goes on: a message whose handler threw is
/// refused (`no receiver`). They are kept until they are replaced, or their message has ended, and
/// end on a thread of the node.
using Completion = std::move_only_function<void(const Delivery&)>;  ///< exactly once, per send
using Progress = std::move_only_function<void(const SendProgress&)>;
using MessageHandler = std::move_only_function<Accept(Message&&)>;
/// There is room again for messages of the priority, after sends were refused for want of it.
using RoomHandler = std::move_only_function<void(Priority)>;

}  // namespace qudag

template <>
struct std::hash<qudag::MessageId> {
  /// For ids that this process drew: random, so eight of their bytes are a good hash.
  std::size_t operator()(const qudag::MessageId& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};
