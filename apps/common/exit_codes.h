// What the program's exit code says: the group of the error (docs/reference/exit-codes.md).
#pragma once

#include <qudag/message.h>

#include <string_view>

namespace qudag::app {

enum class Exit : int {
  ok = 0,
  internal = 1,  ///< a defect in this program, or a check of `testnet demo` that failed
  usage = 2,     ///< arguments, configuration, malformed input (100 to 199)
  refused = 3,   ///< a limit said no; trying later may help (200 to 299)
  network = 4,   ///< unknown destination, unreachable, expired (300 to 399)
  crypto = 5,    ///< a signature, tag or identity does not match (400 to 499)
  system = 6,    ///< files, permissions, ports, disk space (500 to 598)
};

Exit exit_of(Errc code) noexcept;
Exit exit_of(const Delivery& delivery) noexcept;

/// The table that `qudag --help` ends with.
std::string_view exit_codes_help() noexcept;

}  // namespace qudag::app
