#include "common/exit_codes.h"

namespace qudag::app {

Exit exit_of(Errc code) noexcept {
  if (code == Errc::internal) return Exit::internal;
  switch (static_cast<unsigned>(code) / 100) {
    case 0:
      return Exit::ok;
    case 1:
      return Exit::usage;
    case 2:
      return Exit::refused;
    case 3:
      return Exit::network;
    case 4:
      return Exit::crypto;
    case 5:
      return Exit::system;
    default:
      return Exit::internal;
  }
}

Exit exit_of(const Delivery& delivery) noexcept {
  if (delivery.outcome == Outcome::delivered || delivery.outcome == Outcome::stored) {
    return Exit::ok;
  }
  if (delivery.outcome == Outcome::expired) return Exit::network;
  const Exit exit = exit_of(delivery.reason.code);
  return exit == Exit::ok ? Exit::internal : exit;
}

std::string_view exit_codes_help() noexcept {
  return "Exit codes:\n"
         "  0  done\n"
         "  1  a defect in this program, or a check of `testnet demo` that failed\n"
         "  2  wrong arguments, configuration or input\n"
         "  3  refused by a limit; trying later may help\n"
         "  4  the network did not do it: unknown destination, unreachable, expired\n"
         "  5  a cryptographic check failed\n"
         "  6  the system: files, permissions, ports, disk space\n";
}

}  // namespace qudag::app
