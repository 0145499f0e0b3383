// The control stream of a link (docs/reference/protocol.md, section 4): the framing, and the small
// frames.
//
//   type u8 || length u16 || body         length at most 16384; the first frame is HELLO
//
// parse_* take a whole body and give nothing if it is not exactly one. Gossip bodies are in
// wire/gossip.h. What a frame is allowed to follow is for link/.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace qudag::wire {

enum class ControlType : std::uint8_t {
  hello = 0x01,
  ping = 0x02,
  pong = 0x03,
  goodbye = 0x04,
  digest = 0x10,
  want = 0x11,
  descriptor = 0x12,
  summary = 0x13,
  ask = 0x14,
  load = 0x20,
  time = 0x21,
};

/// Types from here on are ignored when not known; an unknown one below closes the link.
inline constexpr std::uint8_t kControlIgnorableFrom = 0x80;
inline constexpr std::size_t kControlBodyBytesMax = limits::kControlFrameBytesMax;
static_assert(kControlBodyBytesMax == 16'384);

/// The versions of docs/reference/protocol.md that this build speaks.
inline constexpr std::uint16_t kVersionMin = 1;
inline constexpr std::uint16_t kVersionMax = 1;

// ---- Framing ------------------------------------------------------------------------------------

inline constexpr std::size_t kControlHeaderBytes = 3;

struct ControlHeader {
  std::uint8_t type = 0;
  std::uint16_t length = 0;
};

/// Nothing if `in` is shorter than a header; length is not judged here.
inline std::optional<ControlHeader> parse_control_header(Bytes in) {
  ByteReader reader(in);
  ControlHeader header;
  header.type = reader.u8();
  header.length = reader.u16();
  if (!reader.ok()) return std::nullopt;
  return header;
}
inline bool length_is_valid(const ControlHeader& h) { return h.length <= kControlBodyBytesMax; }

/// `length` at most kControlBodyBytesMax.
inline std::array<std::byte, kControlHeaderBytes> encode_control_header(std::uint8_t type,
                                                                        std::size_t length) {
  QUDAG_ASSERT(length <= kControlBodyBytesMax);
  std::array<std::byte, kControlHeaderBytes> out;
  ByteWriter writer(out);
  writer.u8(type);
  writer.u16(static_cast<std::uint16_t>(length));
  return out;
}

constexpr bool is_known_control_type(std::uint8_t type) {
  switch (static_cast<ControlType>(type)) {
    case ControlType::hello:
    case ControlType::ping:
    case ControlType::pong:
    case ControlType::goodbye:
    case ControlType::digest:
    case ControlType::want:
    case ControlType::descriptor:
    case ControlType::summary:
    case ControlType::ask:
    case ControlType::load:
    case ControlType::time:
      return true;
  }
  return false;
}
/// Not known and below 0x80: the peer broke the protocol.
constexpr bool is_forbidden_control_type(std::uint8_t type) {
  return !is_known_control_type(type) && type < kControlIgnorableFrom;
}

// ---- HELLO --------------------------------------------------------------------------------------

inline constexpr std::size_t kHelloBytes = 8;

struct Hello {
  std::uint16_t version_min = kVersionMin;
  std::uint16_t version_max = kVersionMax;
  bool known = false;  // the TLS key is the sender's identity
  /// Which shard of the sender the link ends at, from 1; 0: it does not say.
  std::uint8_t place = 0;

  bool operator==(const Hello&) const = default;
};

inline std::array<std::byte, kHelloBytes> encode_hello(const Hello& hello) {
  std::array<std::byte, kHelloBytes> out;
  ByteWriter writer(out);
  writer.u16(hello.version_min);
  writer.u16(hello.version_max);
  writer.u32((hello.known ? 1u : 0u) | std::uint32_t{hello.place} << 8);
  return out;
}

/// Flags that this version does not name are left to later versions: ignored.
inline std::optional<Hello> parse_hello(Bytes body) {
  ByteReader reader(body);
  Hello hello;
  hello.version_min = reader.u16();
  hello.version_max = reader.u16();
  const std::uint32_t flags = reader.u32();
  if (!reader.done() || hello.version_min > hello.version_max) return std::nullopt;
  hello.known = (flags & 1u) != 0;
  hello.place = static_cast<std::uint8_t>(flags >> 8);
  return hello;
}

/// The highest version that both ranges have; nothing if they do not meet.
inline std::optional<std::uint16_t> common_version(const Hello& a, const Hello& b) {
  const std::uint16_t low = std::max(a.version_min, b.version_min);
  const std::uint16_t high = std::min(a.version_max, b.version_max);
  if (low > high) return std::nullopt;
  return high;
}

// ---- PING, PONG, GOODBYE, LOAD, TIME ------------------------------------------------------------

/// PING and PONG have the same body.
inline std::array<std::byte, 8> encode_ping(std::uint64_t token) {
  std::array<std::byte, 8> out;
  store_be(out.data(), token);
  return out;
}
inline std::optional<std::uint64_t> parse_ping(Bytes body) {
  if (body.size() != 8) return std::nullopt;
  return load_be<std::uint64_t>(body.data());
}

/// The code is one of the error codes of section 3.2; any value is accepted.
inline std::array<std::byte, 1> encode_goodbye(std::uint8_t code) { return {std::byte{code}}; }
inline std::optional<std::uint8_t> parse_goodbye(Bytes body) {
  if (body.size() != 1) return std::nullopt;
  return load_be<std::uint8_t>(body.data());
}

/// 0 idle, 65535 full.
inline std::array<std::byte, 2> encode_load(std::uint16_t load) {
  std::array<std::byte, 2> out;
  store_be(out.data(), load);
  return out;
}
inline std::optional<std::uint16_t> parse_load(Bytes body) {
  if (body.size() != 2) return std::nullopt;
  return load_be<std::uint16_t>(body.data());
}

/// Seconds since 1970.
inline std::array<std::byte, 8> encode_time(std::uint64_t seconds) { return encode_ping(seconds); }
inline std::optional<std::uint64_t> parse_time(Bytes body) { return parse_ping(body); }

}  // namespace qudag::wire
