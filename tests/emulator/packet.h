// The few fields of an IPv4 packet that a switch and a NAT look at and change.
#pragma once

#include <qudag/error.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace qudag::emulator {

/// An IPv4 address as a number, first part highest.
using Ipv4 = std::uint32_t;
std::optional<Ipv4> parse_ipv4(std::string_view text);
std::string format_ipv4(Ipv4 address);

/// A view of one packet; `valid` says that it is whole enough to be rewritten.
class Packet {
 public:
  explicit Packet(std::span<std::uint8_t> bytes);
  bool valid() const { return header_ != 0; }
  Ipv4 source() const { return read(12); }
  Ipv4 destination() const { return read(16); }
  std::uint8_t protocol() const { return bytes_[9]; }
  /// Of source and destination; nothing without ports of UDP or TCP (a later fragment, ICMP).
  std::optional<std::pair<std::uint16_t, std::uint16_t>> ports() const;
  /// New address, and the port moved by `shift` (UDP and TCP), with both checksums kept right.
  void rewrite_source(Ipv4 address, std::int32_t shift);
  void rewrite_destination(Ipv4 address, std::int32_t shift);
  /// The same to a port that is known. ports() has some.
  void rewrite_source_to(Ipv4 address, std::uint16_t port) { rewrite(12, 0, address, port); }
  void rewrite_destination_to(Ipv4 address, std::uint16_t port) { rewrite(16, 2, address, port); }

 private:
  Ipv4 read(std::size_t at) const;
  std::size_t sum_at() const;
  void rewrite(std::size_t at, std::size_t port_at, Ipv4 address,
               std::optional<std::uint16_t> port);

  std::span<std::uint8_t> bytes_;
  std::size_t header_ = 0;  // length of the IP header
};

}  // namespace qudag::emulator
