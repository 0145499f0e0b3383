// A socket as an attacker wants it: drops what it does not want sent, shows what is sent, and sends
// from a new address every time if asked to.
#pragma once

#include "runtime/udp_socket.h"

#include <functional>
#include <memory>

namespace qudag::attack {

class Wire final : public runtime::DatagramSocket {
 public:
  Wire();

  std::span<runtime::Received> receive() override { return socket_->receive(); }
  std::size_t send(std::span<const runtime::Train> trains) override;
  SocketAddress local() const override { return socket_->local(); }
  runtime::SocketStats stats() const override { return socket_->stats(); }
  int fd() const { return socket_->native_handle(); }

  /// Asked for every datagram; false: it is not sent. Empty: all are.
  std::function<bool(Bytes datagram)> let;
  /// Every datagram from another address in 127.0.0.0/8 and another port, which nobody reads.
  bool spoofed = false;
  std::uint64_t sent_spoofed = 0;

 private:
  void send_spoofed(const SocketAddress& to, Bytes datagram);

  std::unique_ptr<runtime::UdpSocket> socket_;
};

/// Datagrams without any protocol, as fast as the system takes them.
class RawFlood {
 public:
  explicit RawFlood(const SocketAddress& to);
  ~RawFlood();
  RawFlood(const RawFlood&) = delete;
  RawFlood& operator=(const RawFlood&) = delete;
  void add(Bytes datagram);  // sent in batches
  void flush();
  std::uint64_t sent() const { return sent_; }

 private:
  static constexpr std::size_t kBatch = 64;
  int fd_ = -1;
  std::vector<std::vector<std::byte>> waiting_;
  std::uint64_t sent_ = 0;
};

}  // namespace qudag::attack
