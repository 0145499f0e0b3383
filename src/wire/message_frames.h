// The frames inside a cell's payload (docs/reference/protocol.md, section 7): reading and writing.
//
// A payload is a sequence of frames, ended by a padding frame or by its own end. Reading:
//
//   FrameReader frames(payload);
//   while (auto frame = frames.next()) std::visit(handler, *frame);
//   if (frames.malformed()) ...destroy the circuit
//
// Everything that one frame alone can show wrong is refused here: types, flags, lengths, sizes,
// priorities, reserved bytes. What needs the history of the circuit (the order of refs, sums of
// sizes, credit) is for message/. Views point into the payload and live as long as it does. Writing
// appends to a ByteWriter; the caller asks for the size first.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/pipe_frames.h"

#include <qudag/message.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

namespace qudag::wire {

enum class FrameType : std::uint8_t {
  padding = 0x00,
  data = 0x01,
  ack = 0x02,
  credit = 0x03,
  ping = 0x04,
  pong = 0x05,
  close = 0x06,
  cancel = 0x07,
  scope = 0x08,
  held = 0x09,
  // Of pipes.
  open = 0x0a,
  opened = 0x0b,
  bytes = 0x0c,
  limit = 0x0d,
  end = 0x0e,
  reset = 0x0f,
  move = 0x10,
  moved = 0x11,
};

inline constexpr std::size_t kMessageIdBytes = 16;
using MessageId = std::array<std::byte, kMessageIdBytes>;
/// A secret of the source: what a destination remembers of its messages is kept under it.
using Scope = std::array<std::byte, 16>;

/// What a SIGNED message's bytes begin with: public key (1952) || signature (3309) || minute (4).
inline constexpr std::size_t kSignedPrefixBytes = 1952 + 3309 + 4;
/// The largest `size` of a message that is not SIGNED, and of one that is.
inline constexpr std::size_t kPlainSizeMax = limits::kMessageBytesMax;
inline constexpr std::size_t kSignedSizeMax = limits::kMessageBytesMax + kSignedPrefixBytes;

/// The credit that each direction of a circuit starts with, and the messages that may interleave.
inline constexpr std::uint64_t kInitialCredit = 4'194'304;
inline constexpr std::size_t kInterleavedMessagesMax = 256;

/// Times to live are powers of two of a millisecond, of which the exponent is sent: what they would
/// say beyond that is how long the sender took to build its circuit.
inline constexpr unsigned kTtlExponentMin = 10;  // 1.024 s
inline constexpr unsigned kTtlExponentMax = 27;  // 37 h
static_assert((std::chrono::milliseconds(limits::kTtlMax).count() >> kTtlExponentMax) == 0);
constexpr std::uint32_t ttl_on_wire(std::chrono::milliseconds ttl) {
  const auto least = static_cast<std::uint32_t>(std::max<std::int64_t>(ttl.count(), 1));
  return std::clamp(std::bit_ceil(least), 1u << kTtlExponentMin, 1u << kTtlExponentMax);
}

/// What the first fragment says of its message.
struct MessageStart {
  MessageId id{};
  std::uint32_t size = 0;                        // bytes of all fragments together
  std::uint32_t ttl_ms = 1u << kTtlExponentMin;  // as ttl_on_wire()
  Priority priority = Priority::normal;
  bool is_signed = false;
  // Present: the message is a reply, to the one that the peer sent on this circuit under that ref.
  // Never with is_signed.
  std::optional<std::uint32_t> in_reply_to{};
  // Which handler at the destination; never with in_reply_to. 0 is not sent.
  ChannelNumber channel = 0;
  // A part of the message was sent over another circuit: the source asks what the destination holds
  // of it (HeldFrame), and this fragment carries nothing. Never with in_reply_to.
  bool resumes = false;

  bool operator==(const MessageStart&) const = default;
};

struct DataFrame {
  std::uint32_t ref = 0;
  std::optional<MessageStart> start{};  // on the first fragment, and only there
  bool last = false;                    // this fragment completes the message
  Bytes bytes{};
};

enum class AckStatus : std::uint8_t {
  delivered = 0,
  duplicate = 1,
  no_receiver = 2,
  refused_memory = 3,
  refused_queue = 4,
  expired = 5,
  bad_signature = 6,
  cancelled = 7,
  wrong_time = 8,
};
inline constexpr std::uint8_t kAckStatusMax = 8;

struct AckFrame {
  std::uint32_t ref = 0;
  AckStatus status = AckStatus::delivered;
  bool operator==(const AckFrame&) const = default;
};
struct CreditFrame {
  std::uint64_t offset = 0;  // DATA bytes that may be sent, since the start of the circuit
  bool operator==(const CreditFrame&) const = default;
};
struct PingFrame {
  std::uint64_t token = 0;
  bool operator==(const PingFrame&) const = default;
};
struct PongFrame {
  std::uint64_t token = 0;
  bool operator==(const PongFrame&) const = default;
};
struct CloseFrame {
  std::uint8_t reason = 0;
  bool operator==(const CloseFrame&) const = default;
};
struct CancelFrame {
  std::uint32_t ref = 0;
  bool operator==(const CancelFrame&) const = default;
};

struct ScopeFrame {
  Scope scope{};
  bool operator==(const ScopeFrame&) const = default;
};

/// The answer to a message that resumes: its bytes go on from there.
struct HeldFrame {
  std::uint32_t ref = 0;
  std::uint32_t offset = 0;  // of `size`, prefix of a signed one included
  bool operator==(const HeldFrame&) const = default;
};

using Frame = std::variant<DataFrame, AckFrame, CreditFrame, PingFrame, PongFrame, CloseFrame,
                           CancelFrame, ScopeFrame, HeldFrame, OpenFrame, OpenedFrame, BytesFrame,
                           LimitFrame, EndFrame, ResetFrame, MoveFrame, MovedFrame>;

class FrameReader {
 public:
  explicit FrameReader(Bytes payload) : in_(payload) {}

  /// The next frame; none at padding, at the end, and from the first malformed frame on.
  std::optional<Frame> next();
  /// The same into `out`, without a copy: false where next() gives none.
  bool read(Frame& out);
  /// The id of the message that the next frame starts, for whoever wants to fetch what it needs
  /// ahead; null if the next frame starts none. Nothing is checked.
  const std::byte* peek_message_id() const {
    constexpr std::size_t kBefore = 1 + 1 + 4;
    const Bytes rest = in_.rest();
    const bool starts = rest.size() >= kBefore + kMessageIdBytes &&
                        rest[0] == static_cast<std::byte>(FrameType::data) &&
                        (rest[1] & std::byte{0x01}) != std::byte{0};
    return starts ? rest.data() + kBefore : nullptr;
  }
  bool malformed() const { return malformed_; }

 private:
  bool refuse();
  template <class F>
  bool read_pipe(Frame& out) {
    return parse(in_, out.emplace<F>()) || refuse();
  }

  ByteReader in_;
  bool malformed_ = false;
};

// ---- Sizes on the wire, type included -----------------------------------------------------------

inline constexpr std::size_t kDataHeaderBytes = 1 + 1 + 4 + 2;  // 8, of a later fragment
inline constexpr std::size_t kMessageStartBytes = kMessageIdBytes + 4 + 1 + 1;  // 22
inline constexpr std::size_t kAckFrameBytes = 1 + 4 + 1;
inline constexpr std::size_t kCreditFrameBytes = 1 + 8;
inline constexpr std::size_t kPingFrameBytes = 1 + 8;
inline constexpr std::size_t kPongFrameBytes = 1 + 8;
inline constexpr std::size_t kCloseFrameBytes = 1 + 1;
inline constexpr std::size_t kCancelFrameBytes = 1 + 4;
inline constexpr std::size_t kScopeFrameBytes = 1 + 16;
inline constexpr std::size_t kHeldFrameBytes = 1 + 4 + 4;
inline constexpr std::size_t kReplyRefBytes = 4;
inline constexpr std::size_t kChannelBytes = 2;

/// Everything of a DATA frame but its bytes: 8, 30, 32 or 34. A reply has no channel.
constexpr std::size_t data_header_bytes(bool first, bool reply, bool channel = false) {
  if (!first) return kDataHeaderBytes;
  return kDataHeaderBytes + kMessageStartBytes +
         (reply     ? kReplyRefBytes
          : channel ? kChannelBytes
                    : 0);
}
/// The largest header, and so the room below which it is not worth starting a message.
inline constexpr std::size_t kDataHeaderBytesMax = data_header_bytes(true, true);  // 34

// ---- Writing. The writer must have room for the frame. ------------------------------------------

/// Header only; the result is the place for `length` bytes, which the caller fills (from a chain,
/// say). frame.bytes is not used.
MutableBytes append_data_header(ByteWriter& out, const DataFrame& frame, std::size_t length);
void append(ByteWriter& out, const DataFrame& frame);
void append(ByteWriter& out, const AckFrame& frame);
void append(ByteWriter& out, const CreditFrame& frame);
void append(ByteWriter& out, const PingFrame& frame);
void append(ByteWriter& out, const PongFrame& frame);
void append(ByteWriter& out, const CloseFrame& frame);
void append(ByteWriter& out, const CancelFrame& frame);
void append(ByteWriter& out, const ScopeFrame& frame);
void append(ByteWriter& out, const HeldFrame& frame);
void append(ByteWriter& out, const Frame& frame);
/// Zeros to the end of the payload; nothing if it is full.
void append_padding(ByteWriter& out);

}  // namespace qudag::wire
