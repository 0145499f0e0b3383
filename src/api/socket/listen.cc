// 1 look whether the path is taken by a live process, 2 bind to a private name beside it, 3 set the
// mode, 4 listen, 5 rename over the path: a client never meets a socket with a wrong mode or one
// that does not listen yet. Both ends ask the system who the other is (SO_PEERCRED).
#include "api/socket/listen.h"

#include "api/socket/place.h"
#include "base/posix.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

namespace qudag::api {
namespace {

std::unexpected<Error> failed(const char* what, const std::filesystem::path& path) {
  return system_failure(fmt::format("{}: {}", path.string(), what), errno);
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid_argument,
                fmt::format("the path of a socket (--socket, api.socket) has 1 to {} bytes",
                            sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

int unix_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

const sockaddr* as_generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<int> connect_to_anybody(const std::filesystem::path& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  Fd fd(unix_socket());
  if (fd.get() < 0) return failed("socket", path);
  if (::connect(fd.get(), as_generic(*address), sizeof *address) == 0) return fd.release();
  if (errno == ECONNREFUSED) {
    struct stat found {};
    if (::stat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
      return fail(Errc::invalid_argument,
                  path.string() + ": is no socket (--socket, $QUDAG_SOCKET)");
    }
    return fail(Errc::unreachable, path.string() + ": nobody listens; is `qudag node` running?");
  }
  if (errno == ENOENT) {
    return fail(Errc::not_found,
                path.string() +
                    ": no such socket (--socket, $QUDAG_SOCKET); is `qudag node` running with "
                    "this api.socket? That of the packaged service is /run/qudag/qudag.sock");
  }
  return failed("connect", path);
}

/// The user of the process at the other end, as it was when it connected or began to listen.
Result<unsigned> peer_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return fail(Errc::io_error, std::string("SO_PEERCRED: ") + std::strerror(errno));
  }
  return peer.uid;
}

bool is_own_or_root(unsigned user) { return user == 0 || user == ::geteuid(); }

}  // namespace

// ---- Listening ----------------------------------------------------------------------------------

Listening::Listening(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {
  struct stat made {};
  if (::lstat(path_.c_str(), &made) != 0) return;
  device_ = made.st_dev;
  inode_ = made.st_ino;
}

Listening::~Listening() {
  if (fd_ >= 0) ::close(fd_);
}

Listening::Listening(Listening&& other) noexcept
    : fd_(other.release()),
      path_(std::move(other.path_)),
      device_(other.device_),
      inode_(other.inode_) {}

Listening& Listening::operator=(Listening&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

int Listening::release() noexcept { return std::exchange(fd_, -1); }

void Listening::remove_file() const {
  struct stat found {};
  if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

Result<Listening> listen_on(const std::filesystem::path& path, unsigned mode) {
  const auto final_address = address_of(path);
  if (!final_address) return std::unexpected(final_address.error());

  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return fail(Errc::already_exists, path.string() + ": is there and is not a socket");
    }
    const auto live = connect_to_anybody(path);
    if (live) {
      ::close(*live);
      return fail(Errc::address_in_use, path.string() + ": another node listens on this socket");
    }
    if (live.error() == Errc::permission_denied) return std::unexpected(live.error());
  }

  const std::filesystem::path own = path.string() + fmt::format(".{}", ::getpid() % 100'000);
  const auto address = address_of(own);
  if (!address) return std::unexpected(address.error());
  Fd fd(unix_socket());
  if (fd.get() < 0) return failed("socket", path);
  ::unlink(own.c_str());
  if (::bind(fd.get(), as_generic(*address), sizeof *address) != 0) return failed("bind", path);
  Listening made(fd.release(), own);
  if (::chmod(own.c_str(), mode) != 0 || ::listen(made.fd(), SOMAXCONN) != 0 ||
      ::rename(own.c_str(), path.c_str()) != 0) {
    const auto error = failed("listen", path);
    made.remove_file();
    return error;
  }
  return Listening(made.release(), path);
}

// ---- Who is there -------------------------------------------------------------------------------

Result<int> connect_to(const std::filesystem::path& path, std::optional<unsigned> owner) {
  if (path.empty()) {
    const auto place = default_socket();
    return place ? connect_to(*place, owner) : std::unexpected(place.error());
  }
  auto connected = connect_to_anybody(path);
  if (!connected) return connected;
  Fd fd(*connected);
  const Result<unsigned> user = peer_user(fd.get());
  if (!user) return std::unexpected(user.error());
  if (!is_own_or_root(*user) && owner != *user) {
    return fail(Errc::permission_denied,
                fmt::format("{}: a process of user {} listens there, and would read what is sent; "
                            "if that is your node, say so: --socket-owner {}",
                            path.string(), *user, *user));
  }
  return fd.release();
}

Status check_client(int fd, unsigned mode) {
  if ((mode & (S_IRWXG | S_IRWXO)) != 0) return {};  // the system has looked at the file's mode
  const Result<unsigned> user = peer_user(fd);
  if (!user) return std::unexpected(user.error());
  if (is_own_or_root(*user)) return {};
  return fail(
      Errc::permission_denied,
      fmt::format("this node serves its own user and root, not user {}; api.mode = \"0660\" "
                  "lets the group of the socket in",
                  *user));
}

Result<unsigned> user_number(std::string_view name) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> text;
  const std::string terminated(name);
  if (::getpwnam_r(terminated.c_str(), &entry, text.data(), text.size(), &found) == 0 &&
      found != nullptr) {
    return entry.pw_uid;
  }
  return fail(Errc::not_found, terminated + ": no such user");
}

}  // namespace qudag::api
