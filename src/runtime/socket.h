// The seam to the network: batches of UDP datagrams in, trains of datagrams out.
//
// A real shard has a UdpSocket (recvmmsg and sendmmsg with GRO and GSO, SO_REUSEPORT steering by
// connection id); the simulator has its own. Both are driven by one thread, without blocking.
#pragma once

#include "base/bounded.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/time_histogram.h"
#include "telemetry/metric.h"

#include <qudag/address.h>

#include <cstdint>
#include <optional>
#include <span>

namespace qudag::runtime {

/// What one receive slot holds: `data` may contain several datagrams of `segment` bytes each (the
/// last may be shorter) when the kernel merged a train (UDP_GRO); segment == data.size() otherwise.
struct Received {
  SocketAddress from;
  SocketAddress to;  // the local address it arrived at (IP_PKTINFO), port included
  MutableBytes data;
  std::size_t segment = 0;
  std::uint8_t ecn = 0;
  bool handed_on = false;  // by another shard of this node, which chose this one for a new link
};

/// Datagrams of one size for one destination: `data` is cut every `segment` bytes (UDP_SEGMENT).
struct Train {
  SocketAddress to;
  SocketAddress from;  // zero address: the kernel chooses
  Bytes data;
  std::size_t segment = 0;
  std::uint8_t ecn = 0;
};

struct SocketStats {
  std::uint64_t receive_calls = 0;
  std::uint64_t received_datagrams = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t send_calls = 0;
  std::uint64_t sent_datagrams = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t send_blocked = 0;    // EAGAIN: trains given back to the caller
  std::uint64_t send_errors = 0;     // dropped by the system; QUIC treats it as loss
  std::uint64_t receive_buffer = 0;  // bytes, of the system, as it counts them
  std::uint64_t send_buffer = 0;
  TimeHistogram read_wait;  // of the oldest datagram of each call, in the system's buffer
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<SocketStats> kSocket[] = {
    {{"qudag_datagrams_total", "UDP datagrams.", Kind::counter},
     label("direction", "in"),
     &SocketStats::received_datagrams},
    {same, label("direction", "out"), &SocketStats::sent_datagrams},
    {{"qudag_bytes_total", "Bytes of UDP payload.", Kind::counter},
     label("direction", "in"),
     &SocketStats::received_bytes},
    {same, label("direction", "out"), &SocketStats::sent_bytes},
    {{"qudag_syscalls_total", "Calls to the socket that read or write datagrams.", Kind::counter},
     label("call", "recvmmsg"),
     &SocketStats::receive_calls},
    {same, label("call", "sendmmsg"), &SocketStats::send_calls},
    {{"qudag_send_blocked_total", "Trains of datagrams for which the socket had no room.",
      Kind::counter},
     no_label,
     &SocketStats::send_blocked},
    {{"qudag_send_errors_total",
      "Trains of datagrams that the system refused; QUIC treats them as lost.", Kind::counter},
     no_label,
     &SocketStats::send_errors},
    {{"qudag_socket_buffer_bytes",
      "Buffers of the system for the sockets; they grow on need and go back.", Kind::gauge},
     label("direction", "in"),
     &SocketStats::receive_buffer},
    {same, label("direction", "out"), &SocketStats::send_buffer},
    {{"qudag_socket_wait_seconds",
      "How long the oldest datagram of a reading call had lain in the system's buffer: the wait "
      "for "
      "a core and for the turn before.",
      Kind::seconds},
     no_label,
     &SocketStats::read_wait},
};
static_assert(telemetry::valid(kSocket));

}  // namespace metrics

class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;

  /// Up to one batch; empty when there is nothing to read. The views live until the next call.
  virtual std::span<Received> receive() = 0;
  /// The last receive() took all that there was: who waits for the socket need not ask again.
  virtual bool emptied() const { return false; }
  /// When the last receive() returned: what it brought came before that, and after the turn's begin
  /// perhaps. Nothing: at the time that the driver says.
  virtual std::optional<TimePoint> read_at() const { return std::nullopt; }
  /// Sends from the front and returns how many trains were taken; fewer than given means the
  /// socket is full and the caller waits for `writable` from its driver.
  virtual std::size_t send(std::span<const Train> trains) = 0;
  /// Gives back memory that only a burst needed. Between turns: views are lost.
  virtual void trim() {}
  /// Every few seconds: the system's buffers follow what came and went since the last time.
  /// `tight`: memory is short.
  virtual void fit(bool tight, TimePoint now) { static_cast<void>(tight), static_cast<void>(now); }
  virtual SocketAddress local() const = 0;
  /// What the system would send from to there, now; none: it knows no way, or does not say. For
  /// sockets on a wildcard address, after the machine's addresses changed: it costs system calls.
  virtual std::optional<SocketAddress> source_for(const SocketAddress& to) const {
    static_cast<void>(to);
    return std::nullopt;
  }
  /// Whether that is an address of this machine, as far as the system says.
  virtual bool has(const SocketAddress& address) const {
    static_cast<void>(address);
    return true;
  }
  virtual SocketStats stats() const = 0;
  /// Its buffers, and the system's for it.
  virtual void report(BoundedList& out) const { static_cast<void>(out); }
};

}  // namespace qudag::runtime
