#include "wire/pipe_frames.h"

#include "wire/message_frames.h"

#include <algorithm>

namespace qudag::wire {
namespace {

void append_type(ByteWriter& out, FrameType type) { out.u8(static_cast<std::uint8_t>(type)); }

bool parse_code(ByteReader& in, PipeCode& code) {
  const std::uint8_t value = in.u8();
  code = static_cast<PipeCode>(value);
  return value <= kPipeCodeMax;
}

bool limit_is_valid(std::uint64_t taken, std::uint64_t limit) {
  return limit >= taken && limit - taken <= kPipeAheadMax;
}

}  // namespace

bool is_service_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !name.empty() && name.size() <= kServiceNameMax && std::ranges::all_of(name, allowed);
}

bool parse(ByteReader& in, OpenFrame& frame) {
  frame.pipe = in.u32();
  frame.key = in.array<sizeof(PipeKey)>();
  frame.attempt = in.u32();
  frame.limit = in.u64();
  frame.name = in.take(in.u8());
  return in.ok() && limit_is_valid(0, frame.limit) &&
         is_service_name({reinterpret_cast<const char*>(frame.name.data()), frame.name.size()});
}

bool parse(ByteReader& in, OpenedFrame& frame) {
  frame.pipe = in.u32();
  const bool known = parse_code(in, frame.status);
  frame.limit = in.u64();
  return in.ok() && known && limit_is_valid(0, frame.limit);
}

bool parse(ByteReader& in, BytesFrame& frame) {
  frame.pipe = in.u32();
  frame.bytes = in.take(in.u16());
  return in.ok() && !frame.bytes.empty();
}

bool parse(ByteReader& in, LimitFrame& frame) {
  frame.pipe = in.u32();
  frame.taken = in.u64();
  frame.limit = in.u64();
  return in.ok() && limit_is_valid(frame.taken, frame.limit);
}

bool parse(ByteReader& in, EndFrame& frame) {
  frame.pipe = in.u32();
  frame.sent = in.u64();
  return in.ok();
}

bool parse(ByteReader& in, ResetFrame& frame) {
  frame.pipe = in.u32();
  return parse_code(in, frame.code) && in.ok();
}

bool parse(ByteReader& in, MoveFrame& frame) {
  frame.pipe = in.u32();
  frame.key = in.array<sizeof(PipeKey)>();
  frame.attempt = in.u32();
  frame.received = in.u64();
  frame.taken = in.u64();
  frame.limit = in.u64();
  return in.ok() && limit_is_valid(frame.taken, frame.limit) && frame.taken <= frame.received &&
         frame.received <= frame.limit;
}

bool parse(ByteReader& in, MovedFrame& frame) {
  frame.pipe = in.u32();
  const bool known = parse_code(in, frame.status);
  frame.received = in.u64();
  frame.taken = in.u64();
  frame.limit = in.u64();
  return in.ok() && known && (frame.status == PipeCode::none || frame.status == PipeCode::lost) &&
         limit_is_valid(frame.taken, frame.limit) && frame.taken <= frame.received &&
         frame.received <= frame.limit;
}

void append(ByteWriter& out, const OpenFrame& frame) {
  append_type(out, FrameType::open);
  out.u32(frame.pipe);
  out.put(frame.key);
  out.u32(frame.attempt);
  out.u64(frame.limit);
  out.u8(static_cast<std::uint8_t>(frame.name.size()));
  out.put(frame.name);
}

void append(ByteWriter& out, const OpenedFrame& frame) {
  append_type(out, FrameType::opened);
  out.u32(frame.pipe);
  out.u8(static_cast<std::uint8_t>(frame.status));
  out.u64(frame.limit);
}

MutableBytes append_bytes_header(ByteWriter& out, std::uint32_t pipe, std::size_t length) {
  QUDAG_ASSERT(length > 0 && length <= UINT16_MAX);
  append_type(out, FrameType::bytes);
  out.u32(pipe);
  out.u16(static_cast<std::uint16_t>(length));
  return out.reserve(length);
}

void append(ByteWriter& out, const BytesFrame& frame) {
  const MutableBytes place = append_bytes_header(out, frame.pipe, frame.bytes.size());
  std::memcpy(place.data(), frame.bytes.data(), place.size());
}

void append(ByteWriter& out, const LimitFrame& frame) {
  append_type(out, FrameType::limit);
  out.u32(frame.pipe);
  out.u64(frame.taken);
  out.u64(frame.limit);
}

void append(ByteWriter& out, const EndFrame& frame) {
  append_type(out, FrameType::end);
  out.u32(frame.pipe);
  out.u64(frame.sent);
}

void append(ByteWriter& out, const ResetFrame& frame) {
  append_type(out, FrameType::reset);
  out.u32(frame.pipe);
  out.u8(static_cast<std::uint8_t>(frame.code));
}

void append(ByteWriter& out, const MoveFrame& frame) {
  append_type(out, FrameType::move);
  out.u32(frame.pipe);
  out.put(frame.key);
  out.u32(frame.attempt);
  out.u64(frame.received);
  out.u64(frame.taken);
  out.u64(frame.limit);
}

void append(ByteWriter& out, const MovedFrame& frame) {
  append_type(out, FrameType::moved);
  out.u32(frame.pipe);
  out.u8(static_cast<std::uint8_t>(frame.status));
  out.u64(frame.received);
  out.u64(frame.taken);
  out.u64(frame.limit);
}

}  // namespace qudag::wire
