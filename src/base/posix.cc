#include "base/posix.h"

#include <unistd.h>

#include <string>
#include <system_error>

namespace qudag {

bool Fd::close() noexcept {
  const int fd = release();
  return fd < 0 || ::close(fd) == 0;
}

Errc code_of_errno(int number) noexcept {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case EEXIST:
      return Errc::already_exists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::permission_denied;
    case ENOSPC:
    case EDQUOT:
      return Errc::disk_full;
    case EADDRINUSE:
      return Errc::address_in_use;
    default:
      return Errc::io_error;
  }
}

std::unexpected<Error> system_failure(std::string_view what, int number) {
  return fail(code_of_errno(number),
              std::string(what) + ": " + std::generic_category().message(number));
}

}  // namespace qudag
