// Why a stream or a link ends: the QUIC application error codes of docs/reference/protocol.md, 3.2.
// A relay takes the code that one side was reset with as it is, and tells the other side its own.
#pragma once

#include <cstdint>

namespace qudag::wire {

enum class EndCode : std::uint8_t {
  none = 0x00,
  protocol = 0x01,     // the peer broke a rule of this protocol
  refused = 0x02,      // a limit
  unreachable = 0x03,  // the next hop does not answer
  destroyed = 0x04,    // the circuit ended
  shutdown = 0x05,     // the node stops
  identity = 0x06,     // not the node that was dialed
  internal = 0x07,
  overload = 0x08,  // the node sheds load: another may help, or this one later
  rate = 0x09,      // too many in a second
};
inline constexpr EndCode kLastEndCode = EndCode::rate;

/// A peer may send any number of 62 bits: those that mean nothing are breaches of the protocol.
constexpr EndCode end_code_of(std::uint64_t number) {
  return number <= static_cast<std::uint64_t>(kLastEndCode) ? static_cast<EndCode>(number)
                                                            : EndCode::protocol;
}

}  // namespace qudag::wire
