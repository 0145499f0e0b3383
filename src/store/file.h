// What every file that is kept needs: a descriptor that is closed, whole reads and writes, and the
// reason in words when the system refuses. Blocking.
#pragma once

#include "base/bytes.h"

#include <qudag/error.h>

#include <sys/types.h>
#include <filesystem>
#include <string_view>
#include <utility>

namespace qudag::store {

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  /// Closing may be what reports that the disk is full.
  bool close();

 private:
  int fd_;
};

/// not_found, already_exists, permission_denied, disk_full, io_error; "what path: why".
std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& path, int error);
/// False: see errno.
bool write_all(int fd, Bytes data);
/// Reads until `out` is full or the file ends; the number of bytes, or -1.
ssize_t read_all(int fd, MutableBytes out);

}  // namespace qudag::store
