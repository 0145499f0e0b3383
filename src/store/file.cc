#include "store/file.h"

#include <unistd.h>

#include <cerrno>
#include <string>

namespace qudag::store {
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

}  // namespace qudag::store
