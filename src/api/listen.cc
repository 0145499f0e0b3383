// 1 look whether the path is taken by a live process, 2 bind to a private name beside it, 3 set the
// mode, 4 listen, 5 rename over the path: a client never meets a socket with a wrong mode or one
// that does not listen yet.
#include "api/listen.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qudag::api {
namespace {

std::unexpected<Error> failed(const char* what, const std::filesystem::path& path) {
  const int number = errno;
  const Errc code = number == EACCES || number == EPERM || number == EROFS ? Errc::permission_denied
                    : number == ENOENT || number == ENOTDIR                ? Errc::not_found
                    : number == ENOSPC                                     ? Errc::disk_full
                    : number == EADDRINUSE                                 ? Errc::address_in_use
                                                                           : Errc::io_error;
  return fail(code, fmt::format("{}: {}: {}", path.string(), what, std::strerror(number)));
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid_argument,
                fmt::format("api.socket: a path of 1 to {} bytes", sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int unix_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

const sockaddr* as_generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<int> listen_on(const std::filesystem::path& path, unsigned mode) {
  const auto final_address = address_of(path);
  if (!final_address) return std::unexpected(final_address.error());

  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return fail(Errc::already_exists, path.string() + ": is there and is not a socket");
    }
    const auto live = connect_to(path);
    if (live) {
      ::close(*live);
      return fail(Errc::address_in_use, path.string() + ": another node listens on this socket");
    }
    if (live.error() == Errc::permission_denied) return std::unexpected(live.error());
  }

  const std::filesystem::path own = path.string() + fmt::format(".{}", ::getpid() % 100'000);
  const auto address = address_of(own);
  if (!address) return std::unexpected(address.error());
  Descriptor fd(unix_socket());
  if (fd.get() < 0) return failed("socket", path);
  ::unlink(own.c_str());
  if (::bind(fd.get(), as_generic(*address), sizeof *address) != 0) return failed("bind", path);
  if (::chmod(own.c_str(), mode) != 0 || ::listen(fd.get(), SOMAXCONN) != 0 ||
      ::rename(own.c_str(), path.c_str()) != 0) {
    const auto error = failed("listen", path);
    ::unlink(own.c_str());
    return error;
  }
  return fd.release();
}

Result<int> connect_to(const std::filesystem::path& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  Descriptor fd(unix_socket());
  if (fd.get() < 0) return failed("socket", path);
  if (::connect(fd.get(), as_generic(*address), sizeof *address) == 0) return fd.release();
  if (errno == ECONNREFUSED) {
    return fail(Errc::unreachable, path.string() + ": nobody listens; is `qudag node` running?");
  }
  if (errno == ENOENT) {
    return fail(Errc::not_found,
                path.string() + ": no such socket; is `qudag node` running with this api.socket?");
  }
  return failed("connect", path);
}

}  // namespace qudag::api
