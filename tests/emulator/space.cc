#include "space.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace qudag::emulator {
namespace {

constexpr char kDevice[] = "emu0";
constexpr int kDeviceQueue = 8'192;  // packets that wait for us in the device; never the bottleneck

std::unexpected<Error> failed(const char* what) {
  const int error = errno;
  const bool denied = error == EPERM || error == EACCES || error == ENOENT || error == ENODEV;
  return fail(denied ? Errc::permission_denied : Errc::io_error,
              std::string(what) + ": " + std::strerror(error));
}

/// The caller's namespace again, whatever happens.
class Visit {
 public:
  Visit() : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {}
  ~Visit() {
    if (::setns(home_.get(), CLONE_NEWNET) != 0) ::_exit(70);  // nothing may run in a wrong place
  }
  explicit operator bool() const { return static_cast<bool>(home_); }

 private:
  Fd home_;
};

/// A message of rtnetlink, built attribute by attribute.
class Request {
 public:
  template <class Body>
  Request(std::uint16_t type, std::uint16_t flags, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    put(&header, sizeof header);
    put(&body, sizeof body);
  }
  void attribute(std::uint16_t type, std::uint32_t value) {
    const rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(sizeof value)), type};
    put(&head, sizeof head);
    put(&value, sizeof value);
  }
  Status send(int netlink) {
    const auto length = static_cast<std::uint32_t>(size_);
    std::memcpy(bytes_, &length, sizeof length);  // nlmsg_len
    if (::send(netlink, bytes_, size_, 0) < 0) return failed("netlink");
    alignas(nlmsghdr) char answer[512];
    if (::recv(netlink, answer, sizeof answer, 0) < 0) return failed("netlink");
    nlmsgerr result{};
    std::memcpy(&result, answer + NLMSG_HDRLEN, sizeof result);
    errno = -result.error;
    if (result.error != 0) return failed("netlink");
    return {};
  }

 private:
  void put(const void* data, std::size_t size) {
    std::memcpy(bytes_ + size_, data, size);
    size_ += NLMSG_ALIGN(size);
  }
  alignas(nlmsghdr) char bytes_[256] = {};
  std::size_t size_ = 0;
};

Status change_address(int netlink, bool add, std::uint32_t index, Ipv4 address) {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = 32;
  body.ifa_index = index;
  Request request(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, body);
  request.attribute(IFA_LOCAL, htonl(address));
  request.attribute(IFA_ADDRESS, htonl(address));
  return request.send(netlink);
}

Status add_route(int netlink, std::uint32_t index) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_LINK;
  body.rtm_type = RTN_UNICAST;
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body);
  request.attribute(RTA_OIF, index);
  return request.send(netlink);
}

Status bring_up(int netlink, std::uint32_t index, std::size_t mtu) {
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Request request(RTM_NEWLINK, 0, body);
  if (mtu > 0) request.attribute(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  if (mtu > 0) request.attribute(IFLA_TXQLEN, kDeviceQueue);
  return request.send(netlink);
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Space> Space::create(Ipv4 address, std::size_t mtu) {
  const Visit visit;
  if (!visit) return failed("/proc");
  if (::unshare(CLONE_NEWNET) != 0) return failed("a network namespace");
  Space out;
  out.net_ = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  out.tun_ = Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!out.net_ || !out.tun_) return failed("/dev/net/tun");
  ifreq request{};
  std::memcpy(request.ifr_name, kDevice, sizeof kDevice);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(out.tun_.get(), TUNSETIFF, &request) != 0) return failed("a TUN device");
  out.index_ = ::if_nametoindex(kDevice);
  out.netlink_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!out.netlink_) return failed("netlink");
  const int netlink = out.netlink_.get();
  out.address_ = address;
  // No IPv6 here: its neighbour discovery would only be noise in the counters.
  std::ofstream("/proc/sys/net/ipv6/conf/all/disable_ipv6") << 1;
  if (auto ok = bring_up(netlink, ::if_nametoindex("lo"), 0); !ok) {
    return std::unexpected(ok.error());
  }
  if (auto ok = bring_up(netlink, out.index_, mtu); !ok) return std::unexpected(ok.error());
  if (auto ok = change_address(netlink, true, out.index_, address); !ok) {
    return std::unexpected(ok.error());
  }
  if (auto ok = add_route(netlink, out.index_); !ok) return std::unexpected(ok.error());
  return out;
}

Status Space::also(Ipv4 address) { return change_address(netlink_.get(), true, index_, address); }

Status Space::move(Ipv4 address) {
  if (address == address_) return {};
  if (auto ok = change_address(netlink_.get(), true, index_, address); !ok) return ok;
  const Ipv4 before = std::exchange(address_, address);
  return change_address(netlink_.get(), false, index_, before);
}

std::span<std::uint8_t> Space::read(std::span<std::uint8_t> buffer) {
  const ssize_t n = ::read(tun_.get(), buffer.data(), buffer.size());
  return buffer.first(n > 0 ? static_cast<std::size_t>(n) : 0);
}

bool Space::write(std::span<const std::uint8_t> packet) {
  return ::write(tun_.get(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
}

std::uint64_t Space::dropped_by_device() const {
  const Visit visit;
  if (!visit || ::setns(net_.get(), CLONE_NEWNET) != 0) return 0;
  std::ifstream file("/proc/thread-self/net/dev");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t column[12] = {};
    words >> name;
    if (name != std::string(kDevice) + ":") continue;
    for (std::uint64_t& each : column) words >> each;
    return column[11];  // receive has eight columns; transmit: bytes, packets, errs, drop
  }
  return 0;
}

}  // namespace qudag::emulator
