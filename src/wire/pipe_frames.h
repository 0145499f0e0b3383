// The frames of pipes (docs/reference/protocol.md, section 7.3), which FrameReader reads with the
// others. What one frame alone can show wrong is refused there: names, codes, limits apart from
// what was taken. What needs the pipe's history is for message/pipe/.
#pragma once

#include "base/bytes.h"

#include <qudag/pipe.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qudag::wire {

using PipeKey = std::array<std::byte, 16>;

/// `limit` is never further ahead of `taken`.
inline constexpr std::uint64_t kPipeAheadMax = std::uint64_t{8} << 20;
inline constexpr std::uint8_t kPipeCodeMax = 10;

struct OpenFrame {
  std::uint32_t pipe = 0;
  PipeKey key{};
  std::uint32_t attempt = 0;
  std::uint64_t limit = 0;
  Bytes name{};
};
struct OpenedFrame {
  std::uint32_t pipe = 0;
  PipeCode status = PipeCode::none;
  std::uint64_t limit = 0;
  bool operator==(const OpenedFrame&) const = default;
};
struct BytesFrame {
  std::uint32_t pipe = 0;
  Bytes bytes{};
};
struct LimitFrame {
  std::uint32_t pipe = 0;
  std::uint64_t taken = 0;
  std::uint64_t limit = 0;
  bool operator==(const LimitFrame&) const = default;
};
struct EndFrame {
  std::uint32_t pipe = 0;
  std::uint64_t sent = 0;
  bool operator==(const EndFrame&) const = default;
};
/// `none`: both ways have ended, and everything is taken; nothing more comes for it.
struct ResetFrame {
  std::uint32_t pipe = 0;
  PipeCode code = PipeCode::none;
  bool operator==(const ResetFrame&) const = default;
};
struct MoveFrame {
  std::uint32_t pipe = 0;
  PipeKey key{};
  std::uint32_t attempt = 0;
  std::uint64_t received = 0;
  std::uint64_t taken = 0;
  std::uint64_t limit = 0;
  bool operator==(const MoveFrame&) const = default;
};
struct MovedFrame {
  std::uint32_t pipe = 0;
  PipeCode status = PipeCode::none;  // or lost
  std::uint64_t received = 0;
  std::uint64_t taken = 0;
  std::uint64_t limit = 0;
  bool operator==(const MovedFrame&) const = default;
};

inline constexpr std::size_t kOpenFrameBytes = 1 + 4 + 16 + 4 + 8 + 1;  // 34, without the name
inline constexpr std::size_t kOpenedFrameBytes = 1 + 4 + 1 + 8;
inline constexpr std::size_t kBytesHeaderBytes = 1 + 4 + 2;  // 7
inline constexpr std::size_t kLimitFrameBytes = 1 + 4 + 8 + 8;
inline constexpr std::size_t kEndFrameBytes = 1 + 4 + 8;
inline constexpr std::size_t kResetFrameBytes = 1 + 4 + 1;
inline constexpr std::size_t kMoveFrameBytes = 1 + 4 + 16 + 4 + 3 * 8;  // 49
inline constexpr std::size_t kMovedFrameBytes = 1 + 4 + 1 + 3 * 8;

/// 1 to 24 of a-z, 0-9 and '-'.
bool is_service_name(std::string_view name);

// Bodies, behind the type. False: malformed.
[[nodiscard]] bool parse(ByteReader& in, OpenFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, OpenedFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, BytesFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, LimitFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, EndFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, ResetFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, MoveFrame& frame);
[[nodiscard]] bool parse(ByteReader& in, MovedFrame& frame);

// Whole frames. The writer must have room.
void append(ByteWriter& out, const OpenFrame& frame);
void append(ByteWriter& out, const OpenedFrame& frame);
void append(ByteWriter& out, const BytesFrame& frame);
void append(ByteWriter& out, const LimitFrame& frame);
void append(ByteWriter& out, const EndFrame& frame);
void append(ByteWriter& out, const ResetFrame& frame);
void append(ByteWriter& out, const MoveFrame& frame);
void append(ByteWriter& out, const MovedFrame& frame);
/// The place for `length` bytes of a BYTES frame, which the caller fills.
MutableBytes append_bytes_header(ByteWriter& out, std::uint32_t pipe, std::size_t length);

}  // namespace qudag::wire
