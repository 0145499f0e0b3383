// The control stream (docs/protocol.md, section 4): frames `type u8 || length u16 || body`.
//
// ControlReader cuts the bytes of the stream into frames, whatever pieces they arrive in. It keeps
// bytes only while a frame is incomplete, at most one frame.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace qudag::link {

namespace frame {
inline constexpr std::uint8_t kHello = 0x01;
inline constexpr std::uint8_t kPing = 0x02;
inline constexpr std::uint8_t kPong = 0x03;
inline constexpr std::uint8_t kGoodbye = 0x04;
inline constexpr std::uint8_t kOwnerFirst = 0x10;  // gossip and load are the owner's
inline constexpr std::uint8_t kOwnerLast = 0x20;
inline constexpr std::uint8_t kIgnoredFirst = 0x80;  // from here unknown types are ignored
}  // namespace frame

inline constexpr std::size_t kControlHeaderBytes = 3;
inline constexpr std::uint16_t kProtocolVersion = 1;

struct ControlFrame {
  std::uint8_t type = 0;
  Bytes body;
};

class ControlReader {
 public:
  enum class Step : std::uint8_t { frame, need_more, malformed };

  /// Takes bytes off the front of `in`. After `frame`, call again; `out.body` is valid until then.
  Step next(Bytes& in, ControlFrame& out);

 private:
  Step next_held(Bytes& in, ControlFrame& out);

  std::vector<std::byte> held_;  // the start of an incomplete frame
  bool held_given_ = false;      // held_ was given out as a frame and is free
};

struct Hello {
  static constexpr std::size_t kSize = 8;
  static constexpr std::uint32_t kKnown = 1u << 0;  // the TLS key is my identity
  static constexpr std::uint32_t kRelay = 1u << 1;  // I take circuits

  std::uint16_t version_min = kProtocolVersion;
  std::uint16_t version_max = kProtocolVersion;
  std::uint32_t flags = 0;

  std::array<std::byte, kSize> encode() const;
  static std::optional<Hello> parse(Bytes body);
  bool speaks(std::uint16_t version) const {
    return version_min <= version && version <= version_max;
  }
};

}  // namespace qudag::link
