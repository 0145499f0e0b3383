// The file that holds a node's identity: its 32-byte seed and nothing else.
//
//   qudag identity 1
//   <64 hexadecimal digits>
//
// Exactly these two lines. The file is made with mode 0600 and never overwritten; a file that
// others may read or write is refused. Blocking file I/O: for start-up and for tools, not for a
// shard's thread.
#pragma once

#include "crypto/identity.h"

#include <qudag/error.h>

#include <string>

namespace qudag::node {

/// Writes a new file and flushes it to the disk. `already_exists`, `permission_denied`,
/// `disk_full`, `not_found` (the folder), `io_error`. A file that could not be completed is
/// removed.
Status save_identity(const std::string& path, const crypto::Identity& identity);

/// `not_found`, `permission_denied` (cannot be read, or its mode allows group or others anything),
/// `malformed`, `io_error`.
Result<crypto::Identity> load_identity(const std::string& path);

/// From what such a file contains. `malformed`.
Result<crypto::Identity> parse_identity(Bytes text);

}  // namespace qudag::node
