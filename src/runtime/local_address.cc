// 1. a UDP socket of the address's family; 2. connect() makes the system choose a route and with it
// a source, bind() makes it look whether the address is its own; 3. getsockname() tells.
#include "runtime/local_address.h"

#include "base/posix.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace qudag::runtime {
namespace {

union Name {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

class Question {
 public:
  explicit Question(const SocketAddress& about)
      : fd_(::socket(about.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::memset(&name_, 0, sizeof name_);
    if (about.is_v4()) {
      size_ = sizeof name_.v4;
      name_.v4.sin_family = AF_INET;
      name_.v4.sin_port = htons(about.port);
      std::memcpy(&name_.v4.sin_addr, about.ip.data() + 12, 4);
    } else {
      size_ = sizeof name_.v6;
      name_.v6.sin6_family = AF_INET6;
      name_.v6.sin6_port = htons(about.port);
      std::memcpy(&name_.v6.sin6_addr, about.ip.data(), 16);
    }
  }

  bool connect() { return fd_ && ::connect(fd_.get(), &name_.any, size_) == 0; }
  bool bind() { return fd_ && ::bind(fd_.get(), &name_.any, size_) == 0; }
  std::optional<SocketAddress> own_name() {
    Name name{};
    socklen_t size = sizeof name;
    if (::getsockname(fd_.get(), &name.any, &size) != 0) return std::nullopt;
    if (name.any.sa_family == AF_INET) {
      std::array<std::uint8_t, 4> ip{};
      std::memcpy(ip.data(), &name.v4.sin_addr, ip.size());
      return SocketAddress::v4(ip[0], ip[1], ip[2], ip[3], 0);
    }
    SocketAddress out;
    std::memcpy(out.ip.data(), &name.v6.sin6_addr, out.ip.size());
    return out;
  }

 private:
  const Fd fd_;
  Name name_;
  socklen_t size_ = 0;
};

}  // namespace

std::optional<SocketAddress> source_for(const SocketAddress& to) {
  Question question(to);
  return question.connect() ? question.own_name() : std::nullopt;
}

bool is_ours(const SocketAddress& address) {
  SocketAddress any_port = address;
  any_port.port = 0;
  return Question(any_port).bind();
}

}  // namespace qudag::runtime
