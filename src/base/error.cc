// Names of the codes of include/qudag/error.h. A switch without default: the compiler says when a
// code has no name.
#include <qudag/error.h>

namespace qudag {

std::string_view name_of(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::malformed:
      return "malformed";
    case Errc::too_large:
      return "too_large";
    case Errc::unsupported:
      return "unsupported";
    case Errc::config_invalid:
      return "config_invalid";
    case Errc::refused_memory:
      return "refused_memory";
    case Errc::refused_queue_full:
      return "refused_queue_full";
    case Errc::refused_circuits:
      return "refused_circuits";
    case Errc::refused_links:
      return "refused_links";
    case Errc::refused_overload:
      return "refused_overload";
    case Errc::refused_rate:
      return "refused_rate";
    case Errc::refused_by_peer:
      return "refused_by_peer";
    case Errc::would_block:
      return "would_block";
    case Errc::unknown_destination:
      return "unknown_destination";
    case Errc::no_route:
      return "no_route";
    case Errc::unreachable:
      return "unreachable";
    case Errc::circuit_failed:
      return "circuit_failed";
    case Errc::link_closed:
      return "link_closed";
    case Errc::timed_out:
      return "timed_out";
    case Errc::expired:
      return "expired";
    case Errc::shutting_down:
      return "shutting_down";
    case Errc::cancelled:
      return "cancelled";
    case Errc::away:
      return "away";
    case Errc::authentication_failed:
      return "authentication_failed";
    case Errc::replayed:
      return "replayed";
    case Errc::identity_mismatch:
      return "identity_mismatch";
    case Errc::io_error:
      return "io_error";
    case Errc::address_in_use:
      return "address_in_use";
    case Errc::permission_denied:
      return "permission_denied";
    case Errc::not_found:
      return "not_found";
    case Errc::disk_full:
      return "disk_full";
    case Errc::already_exists:
      return "already_exists";
    case Errc::internal:
      return "internal";
  }
  return "unknown";  // a number that a newer program stored
}

std::string Error::message() const {
  std::string out(name_of(code));
  if (!detail.empty()) {
    out += ": ";
    out += detail;
  }
  return out;
}

}  // namespace qudag
