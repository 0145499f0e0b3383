#include "link/path/preferred.h"

#include "base/reach.h"
#include "link/path/native_address.h"

#include <array>
#include <cstring>

namespace qudag::link {

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
