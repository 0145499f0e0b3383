// The TLS messages of a handshake, taken from the packets that crossed the Net: what somebody who
// implements docs/reference/protocol.md, section 3, has to send and to take.
//
//   1. packets are unprotected (RFC 9001, 5): Initial ones with keys from the dialer's first
//      connection id, Handshake ones with the secrets that the dialer's key log tells;
//   2. their CRYPTO frames make the bytes of each side at each level;
//   3. these are cut into messages (RFC 8446, 4).
#pragma once

#include "link/net.h"

#include <array>
#include <map>
#include <string>
#include <vector>

namespace qudag::link::testing {

/// A reader of QUIC's and TLS's integers and vectors; a test that reads beyond the end has failed.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}
  Bytes take(std::size_t size);
  std::uint64_t number(std::size_t bytes);  // big-endian
  std::uint64_t varint();                   // RFC 9000, 16
  Bytes vector(std::size_t length_bytes) { return take(number(length_bytes)); }
  bool done() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  Bytes rest_;
};

struct TlsMessage {
  std::uint8_t type = 0;
  Bytes body;
  Bytes whole;  // with type and length, as the transcript hash has it
};

class Transcript {
 public:
  enum Side : std::size_t { kDialer, kAcceptor };
  enum Level : std::size_t { kInitial, kHandshake };

  /// Listens until it ends; what was tapped before is replaced. Suite TLS_AES_256_GCM_SHA384 only.
  Transcript(Net& net, SocketAddress dialer);
  /// For EndpointOptions::keylog of the dialer.
  void log(std::string_view line);

  /// The messages of one side, both levels, in order. Views into this object.
  std::vector<TlsMessage> messages(Side side);

 private:
  struct Keys;
  void read_datagram(Side side, Bytes datagram);
  void read_packet(Side side, Level level, Bytes packet, std::size_t number_at);
  Keys keys_of(Side side, Level level) const;

  SocketAddress dialer_;
  std::vector<std::pair<Side, std::vector<std::byte>>> datagrams_;
  std::map<std::string, std::vector<std::byte>> secrets_;  // by label
  std::vector<std::byte> first_id_;                        // that the dialer chose for its peer
  bool read_ = false;
  std::array<std::array<std::map<std::uint64_t, std::vector<std::byte>>, 2>, 2> crypto_;
  std::array<std::vector<std::byte>, 2> flat_;
};

/// extensions of a TLS message by their number.
std::map<unsigned, Bytes> extensions_of(Bytes list);

}  // namespace qudag::link::testing
