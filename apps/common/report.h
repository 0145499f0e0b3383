// How a program answers: an error for people and, if asked, for programs; and its exit code.
#pragma once

#include "common/exit_codes.h"

#include <qudag/error.h>

#include <functional>
#include <string_view>

namespace qudag::app {

/// `qudag: message` on standard error, `{"error":...}` on standard output with `json`.
Exit report(const Error& error, bool json);
/// Writes all of it to standard output. disk_full, io_error.
Status print(std::string_view text);

/// The body of a program's main: its exit code. Counts OpenSSL's memory from the beginning; what is
/// thrown becomes a report.
int guarded(const std::function<int()>& run);

}  // namespace qudag::app
