#include "base/reach.h"

#include <algorithm>
#include <array>
#include <span>

namespace qudag {
namespace {

Reach reach_of_v4(std::uint8_t a, std::uint8_t b) {
  if (a == 0 || a >= 224) return Reach::nowhere;  // this network; multicast, reserved, broadcast
  if (a == 127) return Reach::machine;
  if (a == 169 && b == 254) return Reach::link;
  const bool site = a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) ||
                    (a == 100 && (b & 0xc0) == 64);
  return site ? Reach::site : Reach::world;
}

bool is_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Reach reach_of_v6(std::span<const std::uint8_t, 16> ip) {
  if (is_zero(ip.first<15>()) && ip[15] == 1) return Reach::machine;
  // Unspecified, and the compatible form that nobody uses any more (RFC 4291, 2.5.5.1).
  if (is_zero(ip.first<12>()) || ip[0] == 0xff) return Reach::nowhere;
  if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) return Reach::link;
  if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0) return Reach::site;  // RFC 3879
  if ((ip[0] & 0xfe) == 0xfc) return Reach::site;
  // Translators and tunnels bring what is sent there to an address of IPv4.
  static constexpr std::array<std::uint8_t, 12> kTranslated{0, 0x64, 0xff, 0x9b};
  if (std::ranges::equal(ip.first<12>(), kTranslated)) return reach_of_v4(ip[12], ip[13]);
  if (ip[0] == 0x20 && ip[1] == 0x02) return reach_of_v4(ip[2], ip[3]);
  return Reach::world;
}

}  // namespace

Reach reach_of(const SocketAddress& address) {
  if (address.port == 0) return Reach::nowhere;
  if (address.is_v4()) return reach_of_v4(address.ip[12], address.ip[13]);
  return reach_of_v6(std::span<const std::uint8_t, 16>(address.ip));
}

namespace {

/// The bytes of the address in [begin, end) as a number, behind its family.
std::uint64_t prefix(const SocketAddress& address, std::size_t begin, std::size_t end) {
  std::uint64_t out = address.is_v4() ? 0 : 1;
  for (std::size_t i = begin; i < end; ++i) out = out << 8 | address.ip[i];
  return out;
}

}  // namespace

bool is_loopback(const SocketAddress& address) {
  if (address.is_v4()) return address.ip[12] == 127;
  return address.ip[15] == 1 && is_zero(std::span(address.ip).first<15>());
}

std::uint64_t network_prefix(const SocketAddress& address) {
  return address.is_v4() ? prefix(address, 12, 14) : prefix(address, 0, 4);
}

std::optional<std::uint64_t> network_of(const SocketAddress& address) {
  if (reach_of(address) != Reach::world) return std::nullopt;
  return network_prefix(address);
}

// The family falls out of 64 bits of IPv6; no address of the world begins like one of IPv4 then.
std::optional<std::uint64_t> host_of(const SocketAddress& address) {
  if (reach_of(address) != Reach::world) return std::nullopt;
  return address.is_v4() ? prefix(address, 12, 16) : prefix(address, 0, 8);
}

bool in_one_network(std::span<const SocketAddress> addresses) {
  std::optional<std::uint64_t> v4, v6;
  for (const SocketAddress& address : addresses) {
    const auto network = network_of(address);
    auto& known = address.is_v4() ? v4 : v6;
    if (network && known && *known != *network) return false;
    if (network) known = network;
  }
  return true;
}

}  // namespace qudag
