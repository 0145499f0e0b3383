// What a program says before its bytes go through: SOCKS version 5 (RFC 1928) with or without a
// user name and password (RFC 1929), or HTTP CONNECT (RFC 9110, 9.3.6), told apart by the first
// byte. Only the asking for a connection, and only to names: an address would have been looked up
// somewhere before.
//
//   1 feed() takes what came and says what to write and whether there is more to read, 2 it ends
//   with a Request or a refusal, 3 answer() is what to write once the pipe is open or is not.
//
// Pure, and for bytes from anybody: a step of the dialogue has at most 600 bytes, and there are at
// most three.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qudag::gateway {

/// How a request ends, in the words of neither protocol.
enum class Verdict : std::uint8_t {
  open,         ///< bytes go through from here on
  failed,       ///< for no reason of those below
  not_allowed,  ///< not under .qudag, or the service is not for us
  malformed,    ///< a name under .qudag that is none
  no_route,     ///< too few relays are known
  unreachable,  ///< no such node, or its service's port does not answer
  refused,      ///< no such service, or nobody listens there
  too_slow,
  no_room,  ///< too many pipes here or there
};

class SocksRequest {
 public:
  static constexpr std::size_t kStepBytesMax = 600;

  enum class State : std::uint8_t {
    more,     ///< read on
    asked,    ///< name(), port() and isolation() are known
    refused,  ///< write what is to be written, then close
  };
  struct Fed {
    State state = State::more;
    std::size_t consumed = 0;  ///< of the bytes given; what follows a request is the program's
    std::string reply;         ///< to be written now
  };

  /// Takes bytes in any pieces. Not after `asked` or `refused`.
  Fed feed(Bytes bytes);

  const std::string& name() const { return name_; }
  std::uint16_t port() const { return port_; }
  /// What of its protocol the program gave, never the same for two. Empty: none.
  const std::string& credentials() const { return credentials_; }

  /// What to write when it is known how the request ends. After `open` the bytes begin; after
  /// everything else the connection ends.
  std::string answer(Verdict verdict) const;

 private:
  enum class Step : std::uint8_t { first, methods, password, request, http };
  struct Outcome {
    State state = State::more;
    bool complete = false;  // a step of `used` bytes
    std::size_t used = 0;
    std::string reply;
  };
  Outcome step(Bytes step);
  Outcome methods(Bytes step);
  Outcome password(Bytes step);
  Outcome request(Bytes step);
  Outcome http(std::string_view text);
  Outcome http_line(std::string_view line, std::size_t used);
  static Outcome refusal(std::string reply) { return {State::refused, true, 0, std::move(reply)}; }
  std::string socks_answer(std::uint8_t code) const;

  Step step_ = Step::first;
  std::array<std::byte, kStepBytesMax> held_{};
  std::size_t size_ = 0;  // of held_
  std::string name_, credentials_;
  std::uint16_t port_ = 0;
};

}  // namespace qudag::gateway
