// The one list of things that can go wrong, for the library and for the program.
//
// Every function of libqudag that can fail for a reason outside the program returns
// `Result<T>`; nothing throws. The number of a code is stable: programs may store it, and the
// exit code of `qudag` is derived from its group (see docs/reference/exit-codes.md).
#pragma once

#include <qudag/export.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace qudag {

/// What went wrong. Groups of 100 share a meaning for the caller.
enum class Errc : std::uint16_t {
  ok = 0,

  // 100: the caller's input is wrong; the same call can never succeed.
  invalid_argument = 100,  ///< a value is outside its documented range
  malformed = 101,         ///< bytes or text do not have the documented form
  too_large = 102,         ///< larger than the documented bound
  unsupported = 103,       ///< a version or kind that this build does not know
  config_invalid = 104,    ///< a configuration file or flag is wrong

  // 200: refused because a bound is reached; trying later may succeed.
  refused_memory = 200,      ///< the memory bound (`limits.memory`) has no room
  refused_queue_full = 201,  ///< the queue of that priority is full
  refused_circuits = 202,    ///< the circuit limit is reached
  refused_links = 203,       ///< the link limit is reached
  refused_overload = 204,    ///< the overload manager refuses new work
  refused_rate = 205,        ///< a rate limit was hit
  refused_by_peer = 206,     ///< the destination or a relay refused
  would_block = 207,         ///< no room now; a later call may succeed

  // 300: the network did not do it.
  unknown_destination = 300,  ///< no descriptor for that id is known
  no_route = 301,             ///< too few relays are known for a circuit through the wanted number
  unreachable = 302,          ///< a node did not answer
  circuit_failed = 303,       ///< the circuit of a reply, or every attempt, has ended
  link_closed = 304,          ///< the link ended
  timed_out = 305,            ///< the time allowed for it is over
  expired = 306,              ///< the message's time to live ended first
  shutting_down = 307,        ///< the node is stopping
  cancelled = 308,            ///< Node::cancel ended the message first
  away = 309,                 ///< the receiver is not there, and the message was not to wait

  // 400: a cryptographic check failed; the input is hostile or corrupt.
  authentication_failed = 400,  ///< a tag, a signature or an identity does not match
  replayed = 401,               ///< seen before
  identity_mismatch = 402,      ///< the peer is not the node that was dialed

  // 500: the machine.
  io_error = 500,           ///< a system call failed; the detail names it
  address_in_use = 501,     ///< the port is taken
  permission_denied = 502,  ///< the system refused, or a key file's mode is too open
  not_found = 503,          ///< a file does not exist
  disk_full = 504,          ///< no space left
  already_exists = 505,     ///< will not overwrite
  internal = 599,           ///< a defect in this program
};

/// The stable, lower-case name of a code, e.g. "refused_memory". Never null.
QUDAG_API std::string_view name_of(Errc code) noexcept;

/// A code and, where it helps a person, a detail. Details never carry an address, an id or a
/// payload unless the caller gave it in the same call.
struct Error {
  Errc code = Errc::internal;
  std::string detail;

  Error() = default;
  Error(Errc c) : code(c) {}  // NOLINT: an Errc is an Error
  Error(Errc c, std::string d) : code(c), detail(std::move(d)) {}

  /// "name: detail", or the name alone.
  [[nodiscard]] QUDAG_API std::string message() const;

  friend bool operator==(const Error& a, Errc b) { return a.code == b; }
};

template <class T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

inline std::unexpected<Error> fail(Errc code) { return std::unexpected<Error>(Error(code)); }
inline std::unexpected<Error> fail(Errc code, std::string detail) {
  return std::unexpected<Error>(Error(code, std::move(detail)));
}

}  // namespace qudag
