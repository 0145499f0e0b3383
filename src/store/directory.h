// A directory that one process keeps its state in.
//
// Opening: it is made with mode 0700 if it is not there; one that belongs to somebody else, or that
// others may enter, is refused; a lock file keeps a second process out until this one ends.
// Writing: a temporary file of mode 0600, written, fsynced, renamed onto the name, and the
// directory fsynced: after a crash the file is the old one or the new one. A file that cannot be
// read as what it should be is set aside under a name of its own, so that somebody can look at it;
// the last kBadFilesMax of them are kept.
//
// Blocking file I/O: for start-up, stop and worker threads, not for a shard's. Threads: one at a
// time.
#pragma once

#include "base/bytes.h"

#include <qudag/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::store {

class Directory {
 public:
  static constexpr std::size_t kBadFilesMax = 4;  // of each name

  /// already_exists: another process has it. permission_denied: it is somebody else's, or open to
  /// others. io_error: it is not there and cannot be made, or is no directory. `what`: static text,
  /// what errors call it.
  static Result<std::unique_ptr<Directory>> open(const std::filesystem::path& path,
                                                 std::string_view what = "state directory");
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// False: nothing can be written there (a read-only file system, or no space for the lock), so
  /// nobody else is kept out.
  bool locked() const { return lock_ >= 0; }

  /// not_found; too_large; permission_denied (mode, owner, no regular file); io_error.
  Result<std::vector<std::byte>> read(std::string_view name, std::size_t bytes_max) const;
  /// disk_full, permission_denied, io_error; the old file is still there then.
  Status write(std::string_view name, Bytes content);
  /// Makes an empty file, if there is none, and sees to it that its mode is 0600.
  /// permission_denied: no regular file, or somebody else's; disk_full, io_error.
  Status make(std::string_view name);
  /// Renames it to `name.bad-<time>`; the new name.
  Result<std::string> set_aside(std::string_view name, std::uint64_t unix_seconds);

 private:
  Directory(std::filesystem::path path, int directory, std::string_view what)
      : path_(std::move(path)), fd_(directory), what_(what) {}
  Status lock();
  std::string named() const;
  void drop_old_bad(std::string_view name);

  const std::filesystem::path path_;
  const int fd_;
  const std::string what_;
  int lock_ = -1;
};

}  // namespace qudag::store
