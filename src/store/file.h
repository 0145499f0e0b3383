// What every file that is kept needs: whole reads and writes, and the reason in words when the
// system refuses. Blocking.
#pragma once

#include "base/bytes.h"
#include "base/posix.h"

#include <qudag/error.h>

#include <sys/stat.h>
#include <sys/types.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::store {

/// "what path: why", with the code of the system's error.
std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& path, int error);
/// False: see errno.
bool write_all(int fd, Bytes data);
/// Reads until `out` is full or the file ends; the number of bytes, or -1.
ssize_t read_all(int fd, MutableBytes out);

/// What is wrong with who may get at it; empty: nothing.
std::string fault_of(const struct stat& info);
/// A file of a directory, which `path` names in errors: a regular one of this user alone.
/// not_found; too_large; permission_denied; io_error.
Result<std::vector<std::byte>> read_own_file(int directory, const std::filesystem::path& path,
                                             std::string_view name, std::size_t bytes_max);
/// Through a temporary file of mode 0600, fsynced, renamed onto the name, and the directory
/// fsynced: after a crash it is the old one or the new one. disk_full, permission_denied, io_error.
Status replace_file(int directory, const std::filesystem::path& path, std::string_view name,
                    Bytes content);

}  // namespace qudag::store
