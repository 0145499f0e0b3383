#include "runtime/address_watch.h"
#include "base/posix.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace qudag::runtime {
namespace {

/// The way to everywhere is another: addresses may stay, and packets leave elsewhere.
bool is_default_route(const nlmsghdr& header, const char* body, std::size_t size) {
  rtmsg route{};
  if (header.nlmsg_type != RTM_NEWROUTE && header.nlmsg_type != RTM_DELROUTE) return false;
  if (size < sizeof route) return false;
  std::memcpy(&route, body, sizeof route);
  return route.rtm_dst_len == 0 && route.rtm_table == RT_TABLE_MAIN;
}

bool matters(const nlmsghdr& header, const char* body, std::size_t size) {
  if (is_default_route(header, body, size)) return true;
  const bool about_address = header.nlmsg_type == RTM_NEWADDR || header.nlmsg_type == RTM_DELADDR;
  ifaddrmsg address{};
  if (!about_address || size < sizeof address) return false;
  std::memcpy(&address, body, sizeof address);
  return address.ifa_scope < RT_SCOPE_LINK && (address.ifa_flags & IFA_F_TENTATIVE) == 0;
}

}  // namespace

Result<std::unique_ptr<AddressWatch>> AddressWatch::open() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return system_failure("rtnetlink", errno);
  std::unique_ptr<AddressWatch> out(new AddressWatch(fd));
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups =
      RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    return system_failure("rtnetlink", errno);
  }
  return out;
}

AddressWatch::~AddressWatch() { ::close(fd_); }

bool AddressWatch::changed() {
  bool out = false;
  alignas(nlmsghdr) std::array<char, 8'192> buffer;
  for (;;) {
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == ENOBUFS) out = true;  // more was said than we could hear
    if (n < 0 && (errno == ENOBUFS || errno == EINTR)) continue;
    if (n <= 0) return out;
    std::size_t at = 0;
    while (at + NLMSG_HDRLEN <= static_cast<std::size_t>(n)) {
      nlmsghdr header;
      std::memcpy(&header, buffer.data() + at, sizeof header);
      if (header.nlmsg_len < NLMSG_HDRLEN || at + header.nlmsg_len > static_cast<std::size_t>(n)) {
        break;
      }
      out = matters(header, buffer.data() + at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN) ||
            out;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

}  // namespace qudag::runtime
