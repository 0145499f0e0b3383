// The compact binary form of the WebSocket /v1/stream (docs/reference/api.md): many records in one
// WebSocket message, in both directions.
//
//   WebSocket message = record*        record = u32 length | u8 op | body, length counts op and
//   body
//
// Pure: no socket, no clock. Integers are big-endian. A parser returns views into its input; after
// the first malformed record nothing more is read, because the stream cannot be trusted again.
#pragma once

#include "base/bytes.h"

#include <qudag/message.h>

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace qudag::api {

enum class Op : std::uint8_t {
  send = 0x01,
  reply = 0x02,
  subscribe = 0x03,
  unsubscribe = 0x04,
  cancel = 0x05,
  acknowledge = 0x06,
  outcome = 0x81,
  progress = 0x82,
  message = 0x83,
  error = 0x84,
  subscribed = 0x85,
  not_cancelled = 0x86,
};

inline constexpr std::size_t kRecordLengthBytes = 4;
inline constexpr std::size_t kReplyToBytes = sizeof(ReplyTo::Handle);
/// op, request, destination, priority, relays, flags, ttl_ms, isolation; then the payload.
inline constexpr std::size_t kSendHeadBytes = 1 + 8 + NodeId::kSize + 1 + 1 + 1 + 4 + 8;
/// A channel, where a flag says that it follows; 0 is told by its absence.
inline constexpr std::size_t kChannelBytes = 2;
/// op, request, reply handle, ttl_ms; then the payload.
inline constexpr std::size_t kReplyHeadBytes = 1 + 8 + kReplyToBytes + 4;
/// op, request.
inline constexpr std::size_t kCancelBytes = 1 + 8;
/// op, token, answer; with `again` a delay.
inline constexpr std::size_t kAcknowledgeBytes = 1 + 8 + 1;
inline constexpr std::size_t kDelayBytes = 4;
/// The longest time after which a client may have a message again.
inline constexpr std::chrono::hours kAgainMax{1};
/// The longest part of a MESSAGE in front of its payload, length included.
inline constexpr std::size_t kMessageHeadBytesMax =
    kRecordLengthBytes + 1 + 16 + 1 + 1 + NodeId::kSize + kReplyToBytes + 16 + kChannelBytes + 8;

// ---- Client to node -----------------------------------------------------------------------------

struct SendRecord {
  std::uint64_t request = 0;  ///< chosen by the client; comes back in OUTCOME and PROGRESS
  NodeId destination;
  SendOptions options;
  bool progress = false;
  Bytes payload;
};

struct ReplyRecord {
  std::uint64_t request = 0;
  ReplyTo to;
  std::chrono::milliseconds ttl{60'000};
  Bytes payload;
};

/// SUBSCRIBE u64 count (0: no limit), [u16 channel, [u8 1: explicit]], or UNSUBSCRIBE. The node
/// takes no more messages for this client than it asked for, so that none is acknowledged that
/// nobody looks at.
struct SubscribeRecord {
  bool on = true;
  std::uint64_t count = 0;
  ChannelNumber channel = 0;
  bool explicit_acks = false;  ///< the client acknowledges each message
};

/// What became of a MESSAGE that had a token.
struct AcknowledgeRecord {
  enum class Answer : std::uint8_t {
    taken = 0,    ///< the sender is told `delivered`
    refused = 1,  ///< the sender is told `refused` (no receiver)
    again = 2,    ///< nobody is told; it comes again after `delay`, to this client or another
  };
  std::uint64_t token = 0;
  Answer answer = Answer::taken;
  std::chrono::milliseconds delay{};
};

/// Ends a SEND or REPLY of this connection that has no outcome yet; its OUTCOME is the answer.
struct CancelRecord {
  std::uint64_t request = 0;
};

using ClientRecord =
    std::variant<SendRecord, ReplyRecord, SubscribeRecord, CancelRecord, AcknowledgeRecord>;

// ---- Node to client -----------------------------------------------------------------------------

struct OutcomeRecord {
  std::uint64_t request = 0;
  MessageId id{};  ///< zeros: refused before it had one
  Outcome outcome = Outcome::failed;
  Errc reason = Errc::ok;
  std::uint64_t elapsed_ns = 0;
  std::string_view detail;
};

struct ProgressRecord {
  std::uint64_t request = 0;
  std::uint64_t done = 0;
  std::uint64_t all = 0;
};

struct MessageRecord {
  MessageId id{};
  Priority priority = Priority::normal;
  ChannelNumber channel = 0;
  std::optional<NodeId> sender;
  std::optional<ReplyTo> reply_to;
  std::optional<MessageId> in_reply_to;
  std::optional<std::uint64_t> token;  ///< to be acknowledged, on this connection
  bool kept = false;                   ///< it waited in the node's inbox
  Bytes payload;
};

/// The client did something that cannot be answered otherwise; the server closes after it.
struct ErrorRecord {
  Errc code = Errc::malformed;
  std::string_view detail;
};

/// The answer to SUBSCRIBE: from now on messages can come.
struct SubscribedRecord {};

/// The answer to a CANCEL that did nothing; the connection goes on.
struct NotCancelledRecord {
  std::uint64_t request = 0;
  Errc reason = Errc::not_found;  ///< not_found: no such request is under way
  std::string_view detail;
};

using ServerRecord = std::variant<OutcomeRecord, ProgressRecord, MessageRecord, ErrorRecord,
                                  SubscribedRecord, NotCancelledRecord>;

// ---- Encoding: appends one record ---------------------------------------------------------------

void append(std::vector<std::byte>& out, const SendRecord& record);
void append(std::vector<std::byte>& out, const ReplyRecord& record);
void append(std::vector<std::byte>& out, const SubscribeRecord& record);
void append(std::vector<std::byte>& out, const CancelRecord& record);
void append(std::vector<std::byte>& out, const AcknowledgeRecord& record);
void append(std::vector<std::byte>& out, const OutcomeRecord& record);
void append(std::vector<std::byte>& out, const ProgressRecord& record);
void append(std::vector<std::byte>& out, const MessageRecord& record);
void append(std::vector<std::byte>& out, const ErrorRecord& record);
void append(std::vector<std::byte>& out, const SubscribedRecord& record);
void append(std::vector<std::byte>& out, const NotCancelledRecord& record);
/// The part of a MESSAGE in front of `payload_bytes` that follow elsewhere; record.payload unused.
void append_message_head(std::vector<std::byte>& out, const MessageRecord& record,
                         std::size_t payload_bytes);

// ---- Parsing ------------------------------------------------------------------------------------

/// Takes the records out of one WebSocket message, one by one.
class RecordReader {
 public:
  explicit RecordReader(Bytes message) : rest_(message) {}
  bool at_end() const { return rest_.empty(); }
  /// The next record's op and body. `malformed` if the length is wrong; then at_end() is true.
  struct Raw {
    std::uint8_t op = 0;
    Bytes body;
  };
  Result<Raw> next();

 private:
  Bytes rest_;
};

/// malformed, or unsupported for an op that this side does not take.
Result<ClientRecord> parse_client_record(const RecordReader::Raw& raw);
Result<ServerRecord> parse_server_record(const RecordReader::Raw& raw);

/// A reply handle as text for HTTP: 32 lower-case hexadecimal characters.
std::string to_text(const ReplyTo& to);
Result<ReplyTo> parse_reply_to(std::string_view text);

/// Names a message in hand to who receives by GET: 32 hexadecimal digits.
struct HandToken {
  std::uint64_t hand = 0;     ///< a number of the connection that has it, not to be guessed
  std::uint64_t message = 0;  ///< the token there

  std::string to_string() const;
  static Result<HandToken> parse(std::string_view text);
};

}  // namespace qudag::api
