// The real DatagramSocket: UDP with recvmmsg and GRO in, sendmmsg and GSO out, all non-blocking.
//
//   receive   one recvmmsg fills up to kSlots buffers of 64 KiB; the kernel may have merged a train
//             of equal datagrams into one (UDP_GRO), Received::segment says where to cut
//   send      one sendmmsg takes up to kMessagesMax trains; the kernel cuts each (UDP_SEGMENT). A
//             device without checksum offload answers EIO: from then on trains are cut here
//   several shards bind one port (SO_REUSEPORT), and a classic BPF program gives a datagram to the
//             socket that the first byte of its destination connection id names (shard = byte % n)
//
// Limits: 1 MiB of receive buffers per socket. Threads: one. Sources: udp(7), RFC 9000 section 17
// for the position of the connection id.
#pragma once

#include "runtime/socket.h"

#include <qudag/error.h>

#include <memory>
#include <utility>

namespace qudag::runtime {

struct UdpOptions {
  SocketAddress bind;  // port 0: the kernel chooses
  unsigned shard = 0;  // sockets of one port are opened in this order
  unsigned shards = 1;
  int buffer_bytes = 8 << 20;  // the most wanted for each direction; the system may give less
  bool fixed_buffers = false;  // that from the beginning; or they grow to it (buffer_size.h)
  bool merge = true;           // GRO and GSO; off to measure or to test without
};

class UdpSocket final : public DatagramSocket {
 public:
  /// `address_in_use`, `permission_denied` or `io_error`. An IPv6 wildcard takes IPv4 too.
  static Result<std::unique_ptr<UdpSocket>> open(const UdpOptions& options);
  ~UdpSocket() override;
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  std::span<Received> receive() override;
  bool emptied() const override;
  std::optional<TimePoint> read_at() const override;
  std::size_t send(std::span<const Train> trains) override;
  void trim() override;
  void fit(bool tight, TimePoint now) override;
  SocketAddress local() const override;
  std::optional<SocketAddress> source_for(const SocketAddress& to) const override;
  bool has(const SocketAddress& address) const override;
  SocketStats stats() const override;
  void report(BoundedList& out) const override;

  /// For a reactor to wait on. Owned by this object.
  int native_handle() const;
  /// What the system gives at most of UdpOptions::buffer_bytes, in and out.
  std::pair<int, int> buffers_max() const;
  /// False once a device refused to cut trains.
  bool cuts_trains() const;

 private:
  struct Impl;
  explicit UdpSocket(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::runtime
