// What every file that is kept needs: whole reads and writes, and the reason in words when the
// system refuses. Blocking.
#pragma once

#include "base/bytes.h"
#include "base/posix.h"

#include <qudag/error.h>

#include <sys/types.h>
#include <filesystem>
#include <string_view>

namespace qudag::store {

/// "what path: why", with the code of the system's error.
std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& path, int error);
/// False: see errno.
bool write_all(int fd, Bytes data);
/// Reads until `out` is full or the file ends; the number of bytes, or -1.
ssize_t read_all(int fd, MutableBytes out);

}  // namespace qudag::store
