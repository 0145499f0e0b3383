#include "store/directory.h"

#include "store/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace qudag::store {
namespace {

constexpr std::string_view kLockName = "lock";

/// Whatever the reason: a node can run without.
std::unexpected<Error> no_use(std::string_view what, const std::filesystem::path& path, int error) {
  return fail(Errc::io_error,
              std::string(what) + " " + path.string() + ": " + std::strerror(error));
}

}  // namespace

Result<std::unique_ptr<Directory>> Directory::open(const std::filesystem::path& path,
                                                   std::string_view what) {
  // Its parents as the umask says; itself for nobody else.
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return no_use("make", path, errno);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return no_use("open", path, errno);
  std::unique_ptr<Directory> out(new Directory(path, fd, what));
  struct stat info {};
  if (::fstat(fd, &info) != 0) return no_use("stat", path, errno);
  // One that is open and cannot be written either: both, so that one chmod mends it.
  const bool open_to_others = (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
  if (info.st_uid == ::geteuid() && open_to_others && (info.st_mode & S_IWUSR) == 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", info.st_mode & 07777u);
    return fail(Errc::permission_denied, out->named() +
                                             " cannot be written, and others may enter or read it: "
                                             "its mode is " +
                                             mode.data() + "; chmod 700 it, or name another");
  }
  if (const std::string fault = fault_of(info); !fault.empty()) {
    return fail(Errc::permission_denied,
                out->named() + " " + fault + "; chmod 700 it, or name another");
  }
  if (auto locked = out->lock(); !locked) return std::unexpected(std::move(locked.error()));
  return out;
}

Directory::~Directory() {
  if (lock_ >= 0) ::close(lock_);  // and with it the lock goes
  ::close(fd_);
}

std::string Directory::named() const { return "the " + what_ + " " + path_.string(); }

/// A lock file that cannot be made keeps nobody out; writing will say why.
Status Directory::lock() {
  const Fd file(::openat(fd_, kLockName.data(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return {};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return no_use("lock", path_, errno);
    return fail(Errc::already_exists,
                named() + " is in use by another process; end it, or name another");
  }
  lock_ = ::dup(file.get());
  ::fcntl(lock_, F_SETFD, FD_CLOEXEC);
  return {};
}

Result<std::vector<std::byte>> Directory::read(std::string_view name, std::size_t bytes_max) const {
  return read_own_file(fd_, path_, name, bytes_max);
}

Status Directory::write(std::string_view name, Bytes content) {
  return replace_file(fd_, path_, name, content);
}

Status Directory::make(std::string_view name) {
  const std::filesystem::path whole = path_ / name;
  const Fd file(::openat(fd_, std::string(name).c_str(),
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("open", whole, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("stat", whole, errno);
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid()) {
    return fail(Errc::permission_denied, whole.string() + " is no regular file of this user");
  }
  if (::fchmod(file.get(), 0600) != 0) return failed("change the mode of", whole, errno);
  return {};
}

Result<std::string> Directory::set_aside(std::string_view name, std::uint64_t unix_seconds) {
  const std::string from(name);
  const std::string to = from + ".bad-" + std::to_string(unix_seconds);
  if (::renameat(fd_, from.c_str(), fd_, to.c_str()) != 0) {
    return failed("rename", path_ / from, errno);
  }
  drop_old_bad(name);
  return to;
}

void Directory::drop_old_bad(std::string_view name) {
  const std::string prefix = std::string(name) + ".bad-";
  std::vector<std::string> bad;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const std::string one = entry.path().filename().string();
    if (one.starts_with(prefix)) bad.push_back(one);
  }
  // By time: of equal length until the year 2286.
  std::ranges::sort(bad);
  for (std::size_t i = 0; i + kBadFilesMax < bad.size(); ++i) {
    ::unlinkat(fd_, bad[i].c_str(), 0);
  }
}

}  // namespace qudag::store
