// SocketAddress as ngtcp2 wants it: always an IPv6 socket address, IPv4 as IPv4-mapped, so that
// one address has one form whatever family the socket has.
#pragma once

#include <qudag/address.h>

#include <netinet/in.h>

#include <ngtcp2/ngtcp2.h>

#include <algorithm>

namespace qudag::link {

inline bool is_wildcard(const SocketAddress& address) {
  const auto* const from = address.ip.data() + (address.is_v4() ? 12 : 0);
  return std::all_of(from, address.ip.data() + 16, [](std::uint8_t byte) { return byte == 0; });
}

inline sockaddr_in6 to_native(const SocketAddress& address) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(address.port);
  std::memcpy(&out.sin6_addr, address.ip.data(), address.ip.size());
  return out;
}

inline SocketAddress from_native(const ngtcp2_addr& address) {
  SocketAddress out;
  if (address.addrlen != sizeof(sockaddr_in6)) return out;
  sockaddr_in6 in{};
  std::memcpy(&in, address.addr, sizeof in);
  std::memcpy(out.ip.data(), &in.sin6_addr, out.ip.size());
  out.port = ntohs(in.sin6_port);
  return out;
}

/// A path whose two addresses live in this object.
struct NativePath {
  sockaddr_in6 local{};
  sockaddr_in6 remote{};

  NativePath() = default;
  NativePath(const SocketAddress& local_address, const SocketAddress& remote_address)
      : local(to_native(local_address)), remote(to_native(remote_address)) {}

  ngtcp2_path view() {
    return {{reinterpret_cast<ngtcp2_sockaddr*>(&local), sizeof local},
            {reinterpret_cast<ngtcp2_sockaddr*>(&remote), sizeof remote},
            nullptr};
  }
};

}  // namespace qudag::link
