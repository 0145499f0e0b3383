#include "attack/wire.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace qudag::attack {
namespace {

sockaddr_in native(const SocketAddress& address) {
  QUDAG_ASSERT(address.is_v4());
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(address.port);
  std::copy_n(address.ip.data() + 12, 4, reinterpret_cast<std::uint8_t*>(&out.sin_addr));
  return out;
}

}  // namespace

Wire::Wire() {
  auto socket = runtime::UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0)});
  QUDAG_ASSERT(socket.has_value());
  socket_ = std::move(*socket);
}

std::size_t Wire::send(std::span<const runtime::Train> trains) {
  if (!let && !spoofed) return socket_->send(trains);
  for (const runtime::Train& train : trains) {
    for (std::size_t at = 0; at < train.data.size(); at += train.segment) {
      runtime::Train one = train;
      one.data = train.data.subspan(at, std::min(train.segment, train.data.size() - at));
      one.segment = one.data.size();
      if (let && !let(one.data)) continue;
      if (spoofed) {
        send_spoofed(train.to, one.data);
      } else {
        (void)socket_->send({&one, 1});  // full: lost
      }
    }
  }
  return trains.size();
}

void Wire::send_spoofed(const SocketAddress& to, Bytes datagram) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const std::uint64_t n = ++sent_spoofed;
  const sockaddr_in from = native(SocketAddress::v4(
      127, static_cast<std::uint8_t>(1 + n / 62'500 % 250),
      static_cast<std::uint8_t>(n / 250 % 250), static_cast<std::uint8_t>(1 + n % 250), 0));
  const sockaddr_in at = native(to);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0) {
    (void)::sendto(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&at),
                   sizeof at);
  }
  ::close(fd);
}

RawFlood::RawFlood(const SocketAddress& to) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in at = native(to);
  QUDAG_ASSERT(::connect(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
}

RawFlood::~RawFlood() { ::close(fd_); }

void RawFlood::add(Bytes datagram) {
  waiting_.emplace_back(datagram.begin(), datagram.end());
  if (waiting_.size() >= kBatch) flush();
}

void RawFlood::flush() {
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> pieces{};
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    pieces[i] = {waiting_[i].data(), waiting_[i].size()};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (std::size_t at = 0; at < waiting_.size();) {
    const int n = ::sendmmsg(fd_, &messages[at], static_cast<unsigned>(waiting_.size() - at), 0);
    if (n <= 0) {  // a blocking socket: an error left by an earlier datagram, not a full one
      ++at;
      continue;
    }
    at += static_cast<std::size_t>(n);
    sent_ += static_cast<std::uint64_t>(n);
  }
  waiting_.clear();
}

}  // namespace qudag::attack
