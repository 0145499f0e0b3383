#include "link/path/preferred.h"

#include "link/native_address.h"

#include <array>
#include <cstring>

namespace qudag::link {
namespace {

Reach reach_of_v4(std::uint8_t a, std::uint8_t b) {
  if (a == 0 || a >= 224) return Reach::nowhere;  // this network; multicast, reserved, broadcast
  if (a == 127) return Reach::machine;
  if (a == 169 && b == 254) return Reach::link;
  const bool site = a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) ||
                    (a == 100 && (b & 0xc0) == 64);
  return site ? Reach::site : Reach::world;
}

}  // namespace

Reach reach_of(const SocketAddress& address) {
  const auto& ip = address.ip;
  if (address.port == 0 || is_wildcard(address)) return Reach::nowhere;
  if (address.is_v4()) return reach_of_v4(ip[12], ip[13]);
  static constexpr std::array<std::uint8_t, 16> kLoopback{0, 0, 0, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 0, 0, 0, 0, 1};
  if (ip == kLoopback) return Reach::machine;
  if (ip[0] == 0xff) return Reach::nowhere;  // multicast
  if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) return Reach::link;
  return (ip[0] & 0xfe) == 0xfc ? Reach::site : Reach::world;
}

bool tell_preferred(ngtcp2_preferred_addr& out, std::span<const SocketAddress> addresses,
                    const SocketAddress& here) {
  for (SocketAddress address : addresses) {
    if (address.port == 0) address.port = here.port;
    if (address == here || reach_of(address) == Reach::nowhere) continue;
    if (address.is_v4() && out.ipv4_present == 0) {
      out.ipv4.sin_family = AF_INET;
      out.ipv4.sin_port = htons(address.port);
      std::memcpy(&out.ipv4.sin_addr, address.ip.data() + 12, 4);
      out.ipv4_present = 1;
    } else if (!address.is_v4() && out.ipv6_present == 0) {
      out.ipv6 = to_native(address);
      out.ipv6_present = 1;
    }
  }
  return out.ipv4_present != 0 || out.ipv6_present != 0;
}

std::optional<SocketAddress> choose_preferred(const ngtcp2_preferred_addr& told,
                                              const SocketAddress& dialed) {
  SocketAddress out;
  if (dialed.is_v4() && told.ipv4_present != 0) {
    std::array<std::uint8_t, 4> ip;
    std::memcpy(ip.data(), &told.ipv4.sin_addr, ip.size());
    out = SocketAddress::v4(ip[0], ip[1], ip[2], ip[3], ntohs(told.ipv4.sin_port));
  } else if (!dialed.is_v4() && told.ipv6_present != 0) {
    std::memcpy(out.ip.data(), &told.ipv6.sin6_addr, out.ip.size());
    out.port = ntohs(told.ipv6.sin6_port);
    if (out.is_v4()) return std::nullopt;  // in disguise
  } else {
    return std::nullopt;
  }
  const Reach reach = reach_of(out);
  if (reach == Reach::nowhere || reach < reach_of(dialed)) return std::nullopt;
  return out;
}

}  // namespace qudag::link
