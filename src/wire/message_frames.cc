// Frames of a payload. Each parse function reads exactly one body and refuses by returning nothing;
// FrameReader then stops for good, because the length of what follows is no longer known.
#include "wire/message_frames.h"

namespace qudag::wire {
namespace {

constexpr std::uint8_t kFirst = 0x01;
constexpr std::uint8_t kLast = 0x02;
constexpr std::uint8_t kSigned = 0x04;
constexpr std::uint8_t kReply = 0x08;
constexpr std::uint8_t kChannel = 0x10;
constexpr std::uint8_t kResume = 0x20;
constexpr std::uint8_t kKnownFlags = kFirst | kLast | kSigned | kReply | kChannel | kResume;
constexpr std::uint8_t kWithFirst = kSigned | kReply | kChannel | kResume;

bool flags_are_valid(std::uint8_t flags) {
  if ((flags & ~kKnownFlags) != 0) return false;
  // What says what a message is stands where its start stands; REPLY never with another. What
  // resumes has bytes to come.
  if ((flags & kFirst) == 0) return (flags & kWithFirst) == 0;
  if ((flags & kResume) != 0 && (flags & kLast) != 0) return false;
  return (flags & kReply) == 0 || (flags & kWithFirst) == kReply;
}

bool size_is_valid(const MessageStart& start) {
  if (!start.is_signed) return start.size <= kPlainSizeMax;
  return start.size >= kSignedPrefixBytes && start.size <= kSignedSizeMax;
}

// Both write into place: a start is 48 bytes, and most payloads hold many.
bool parse_start(ByteReader& in, std::uint8_t flags, MessageStart& start) {
  start.id = in.array<kMessageIdBytes>();
  start.size = in.u32();
  const std::uint8_t ttl = in.u8();
  const std::uint8_t priority = in.u8();
  start.is_signed = (flags & kSigned) != 0;
  start.resumes = (flags & kResume) != 0;
  if ((flags & kReply) != 0) start.in_reply_to = in.u32();
  if ((flags & kChannel) != 0) {
    start.channel = in.u16();
    if (start.channel == 0) return false;  // that is told by its absence
  }
  if (!in.ok() || priority >= kPriorityCount || !size_is_valid(start)) return false;
  if (ttl < kTtlExponentMin || ttl > kTtlExponentMax) return false;
  start.ttl_ms = 1u << ttl;
  start.priority = static_cast<Priority>(priority);
  return true;
}

bool parse_data(ByteReader& in, DataFrame& frame) {
  const std::uint8_t flags = in.u8();
  if (!flags_are_valid(flags)) return false;
  frame.last = (flags & kLast) != 0;
  frame.ref = in.u32();
  if ((flags & kFirst) != 0 && !parse_start(in, flags, frame.start.emplace())) return false;
  frame.bytes = in.take(in.u16());
  if (!in.ok()) return false;
  if (!frame.start) return true;
  // A first fragment alone shows whether it completes its message.
  const std::size_t size = frame.start->size;
  if (frame.start->resumes && !frame.bytes.empty()) return false;
  return frame.bytes.size() <= size && frame.last == (frame.bytes.size() == size);
}

std::uint8_t flags_of(const DataFrame& frame) {
  unsigned flags = frame.last ? kLast : 0u;
  if (frame.start) {
    flags |= kFirst;
    if (frame.start->is_signed) flags |= kSigned;
    if (frame.start->in_reply_to) flags |= kReply;
    if (frame.start->channel != 0) flags |= kChannel;
    if (frame.start->resumes) flags |= kResume;
  }
  return static_cast<std::uint8_t>(flags);
}

void append_type(ByteWriter& out, FrameType type) { out.u8(static_cast<std::uint8_t>(type)); }

}  // namespace

bool FrameReader::refuse() {
  malformed_ = true;
  in_ = ByteReader({});
  return false;
}

std::optional<Frame> FrameReader::next() {
  std::optional<Frame> frame(std::in_place);
  if (!read(*frame)) frame.reset();
  return frame;
}

bool FrameReader::read(Frame& out) {
  if (in_.remaining() == 0) return false;
  switch (static_cast<FrameType>(in_.u8())) {
    case FrameType::padding:
      in_ = ByteReader({});
      return false;
    case FrameType::data:
      if (!parse_data(in_, out.emplace<DataFrame>())) return refuse();
      break;
    case FrameType::ack: {
      const std::uint32_t ref = in_.u32();
      const std::uint8_t status = in_.u8();
      if (status > kAckStatusMax) return refuse();
      out.emplace<AckFrame>(ref, static_cast<AckStatus>(status));
      break;
    }
    case FrameType::credit:
      out.emplace<CreditFrame>(in_.u64());
      break;
    case FrameType::ping:
      out.emplace<PingFrame>(in_.u64());
      break;
    case FrameType::pong:
      out.emplace<PongFrame>(in_.u64());
      break;
    case FrameType::close:
      out.emplace<CloseFrame>(in_.u8());
      break;
    case FrameType::cancel:
      out.emplace<CancelFrame>(in_.u32());
      break;
    case FrameType::scope:
      out.emplace<ScopeFrame>(in_.array<sizeof(Scope)>());
      break;
    case FrameType::held: {
      const std::uint32_t ref = in_.u32();
      out.emplace<HeldFrame>(ref, in_.u32());
      break;
    }
    case FrameType::open:
      return read_pipe<OpenFrame>(out);
    case FrameType::opened:
      return read_pipe<OpenedFrame>(out);
    case FrameType::bytes:
      return read_pipe<BytesFrame>(out);
    case FrameType::limit:
      return read_pipe<LimitFrame>(out);
    case FrameType::end:
      return read_pipe<EndFrame>(out);
    case FrameType::reset:
      return read_pipe<ResetFrame>(out);
    case FrameType::move:
      return read_pipe<MoveFrame>(out);
    case FrameType::moved:
      return read_pipe<MovedFrame>(out);
    default:
      return refuse();
  }
  return in_.ok() || refuse();
}

MutableBytes append_data_header(ByteWriter& out, const DataFrame& frame, std::size_t length) {
  QUDAG_ASSERT(length <= UINT16_MAX);
  append_type(out, FrameType::data);
  out.u8(flags_of(frame));
  out.u32(frame.ref);
  if (frame.start) {
    const MessageStart& start = *frame.start;
    QUDAG_DCHECK(!((start.is_signed || start.channel != 0 || start.resumes) && start.in_reply_to) &&
                 size_is_valid(start));
    QUDAG_DCHECK(!start.resumes || (length == 0 && !frame.last));
    out.put(start.id);
    out.u32(start.size);
    out.u8(static_cast<std::uint8_t>(std::countr_zero(start.ttl_ms)));
    out.u8(static_cast<std::uint8_t>(start.priority));
    if (start.in_reply_to) out.u32(*start.in_reply_to);
    if (start.channel != 0) out.u16(start.channel);
  }
  out.u16(static_cast<std::uint16_t>(length));
  return out.reserve(length);
}

void append(ByteWriter& out, const DataFrame& frame) {
  const MutableBytes place = append_data_header(out, frame, frame.bytes.size());
  if (!place.empty()) std::memcpy(place.data(), frame.bytes.data(), place.size());
}

void append(ByteWriter& out, const AckFrame& frame) {
  append_type(out, FrameType::ack);
  out.u32(frame.ref);
  out.u8(static_cast<std::uint8_t>(frame.status));
}

void append(ByteWriter& out, const CreditFrame& frame) {
  append_type(out, FrameType::credit);
  out.u64(frame.offset);
}

void append(ByteWriter& out, const PingFrame& frame) {
  append_type(out, FrameType::ping);
  out.u64(frame.token);
}

void append(ByteWriter& out, const PongFrame& frame) {
  append_type(out, FrameType::pong);
  out.u64(frame.token);
}

void append(ByteWriter& out, const CloseFrame& frame) {
  append_type(out, FrameType::close);
  out.u8(frame.reason);
}

void append(ByteWriter& out, const CancelFrame& frame) {
  append_type(out, FrameType::cancel);
  out.u32(frame.ref);
}

void append(ByteWriter& out, const ScopeFrame& frame) {
  append_type(out, FrameType::scope);
  out.put(frame.scope);
}

void append(ByteWriter& out, const HeldFrame& frame) {
  append_type(out, FrameType::held);
  out.u32(frame.ref);
  out.u32(frame.offset);
}

void append(ByteWriter& out, const Frame& frame) {
  std::visit([&out](const auto& f) { append(out, f); }, frame);
}

void append_padding(ByteWriter& out) { out.zero(out.remaining()); }

}  // namespace qudag::wire
