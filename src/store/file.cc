#include "store/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace qudag::store {
namespace {

constexpr std::string_view kTemporarySuffix = ".new";

}  // namespace

std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& path, int error) {
  return system_failure(std::string(what) + " " + path.string(), error);
}

bool write_all(int fd, Bytes data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

ssize_t read_all(int fd, MutableBytes out) {
  std::size_t have = 0;
  while (have < out.size()) {
    const ssize_t n = ::read(fd, out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(have);
}

/// What is wrong with who may get at it; empty: nothing.
std::string fault_of(const struct stat& info) {
  if (info.st_uid != ::geteuid()) {
    return "belongs to user " + std::to_string(info.st_uid) + ", and this is user " +
           std::to_string(::geteuid());
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return "is open to group or others";
  return {};
}

Result<std::vector<std::byte>> read_own_file(int directory, const std::filesystem::path& path,
                                             std::string_view name, std::size_t bytes_max) {
  const std::filesystem::path whole = path / name;
  // O_NONBLOCK: opening a FIFO must not hang; it is refused below.
  const Fd file(::openat(directory, std::string(name).c_str(),
                         O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (file.get() < 0) return failed("open", whole, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("stat", whole, errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::permission_denied, whole.string() + " is not a regular file");
  }
  if (const std::string fault = fault_of(info); !fault.empty()) {
    return fail(Errc::permission_denied, whole.string() + " " + fault);
  }
  if (static_cast<std::uint64_t>(info.st_size) > bytes_max) {
    return fail(Errc::too_large,
                whole.string() + " is larger than " + std::to_string(bytes_max) + " bytes");
  }
  std::vector<std::byte> out(static_cast<std::size_t>(info.st_size));
  const ssize_t size = read_all(file.get(), out);
  if (size < 0) return failed("read", whole, errno);
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Status replace_file(int directory, const std::filesystem::path& path, std::string_view name,
                    Bytes content) {
  const std::string to(name);
  const std::string temporary = to + std::string(kTemporarySuffix);
  ::unlinkat(directory, temporary.c_str(), 0);  // what a crash left
  Fd file(::openat(directory, temporary.c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("create", path / temporary, errno);
  // The umask may have taken the owner's bits; what is wanted is exactly 0600.
  if (::fchmod(file.get(), 0600) != 0 || !write_all(file.get(), content) ||
      ::fsync(file.get()) != 0 || !file.close() ||
      ::renameat(directory, temporary.c_str(), directory, to.c_str()) != 0) {
    const int error = errno;
    ::unlinkat(directory, temporary.c_str(), 0);
    return failed("write", path / to, error);
  }
  if (::fsync(directory) != 0) return failed("write", path, errno);
  return {};
}

}  // namespace qudag::store
