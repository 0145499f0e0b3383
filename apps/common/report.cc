#include "common/report.h"

#include "api/server/render.h"
#include "base/posix.h"

#include <qudag/metrics.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace qudag::app {
namespace {

/// What a person can do about it, for the errors that people meet.
std::string_view hint(Errc code) {
  switch (code) {
    case Errc::unknown_destination:
      return "no descriptor of that node is known here: is it running with known = true, and has "
             "this node joined the same network (bootstrap)?";
    case Errc::no_route:
      return "the netmap has too few relays for that many hops: wait for gossip, or use fewer "
             "--relays";
    case Errc::expired:
      return "no acknowledgement came in time: a relay or the destination may be unreachable; a "
             "longer --ttl may help";
    case Errc::refused_by_peer:
      return "the destination is there, but nobody receives or its queue is full (`qudag recv`)";
    case Errc::unreachable:
      return "a relay or the destination did not answer";
    case Errc::disk_full:
      return "no space left on that disk";
    case Errc::address_in_use:
      return "another process uses it: choose another, or port 0";
    default:
      return {};
  }
}

/// One line, whatever a file or an argument contains.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

Exit report(const Error& error, bool json) {
  if (json) (void)print(api::error_json(error));
  fmt::print(stderr, "qudag: {}\n", one_line(error.message()));
  if (const auto text = hint(error.code); !text.empty()) fmt::print(stderr, "  {}\n", text);
  return exit_of(error.code);
}

Status print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure("standard output");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

int guarded(const std::function<int()>& run) {
  static_cast<void>(count_tls_memory());  // before anything uses OpenSSL
  try {
    return run();
  } catch (const std::exception& error) {
    static_cast<void>(report({Errc::internal, error.what()}, false));
    return static_cast<int>(Exit::internal);
  }
}

}  // namespace qudag::app
