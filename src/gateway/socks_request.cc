#include "gateway/socks_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace qudag::gateway {
namespace {

constexpr std::uint8_t kVersion = 5, kPasswordVersion = 1, kConnect = 1, kDomain = 3;
constexpr std::uint8_t kNoAuthentication = 0, kUserPassword = 2, kNoMethod = 0xff;

// Replies of RFC 1928, 6.
constexpr std::uint8_t kGeneralFailure = 1, kNotAllowed = 2, kNetworkUnreachable = 3,
                       kHostUnreachable = 4, kRefused = 5, kTtlExpired = 6, kNoCommand = 7,
                       kNoAddressType = 8;

std::uint8_t code_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::open:
      return 0;
    case Verdict::not_allowed:
      return kNotAllowed;
    case Verdict::no_route:
      return kNetworkUnreachable;
    case Verdict::unreachable:
      return kHostUnreachable;
    case Verdict::refused:
      return kRefused;
    case Verdict::too_slow:
      return kTtlExpired;
    case Verdict::failed:
    case Verdict::malformed:
    case Verdict::no_room:
      break;
  }
  return kGeneralFailure;
}

struct HttpStatus {
  unsigned number;
  std::string_view phrase, says;
};

HttpStatus status_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::open:
      return {200, "OK", ""};
    case Verdict::failed:
      break;
    case Verdict::not_allowed:
      return {403, "Forbidden", "names end in .qudag; this is no way to the internet"};
    case Verdict::malformed:
      return {400, "Bad Request", "names are SERVICE.NODE.qudag"};
    case Verdict::no_route:
      return {503, "Service Unavailable", "too few relays are known"};
    case Verdict::unreachable:
      return {502, "Bad Gateway", "the node or its service does not answer"};
    case Verdict::refused:
      return {502, "Bad Gateway", "no such service, or nobody listens there"};
    case Verdict::too_slow:
      return {504, "Gateway Timeout", "not open in time"};
    case Verdict::no_room:
      return {503, "Service Unavailable", "too many pipes"};
  }
  return {502, "Bad Gateway", "the pipe could not be opened"};
}

std::string http_answer(const HttpStatus& status) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}\n",
      status.number, status.phrase, status.says.size() + 1, status.says);
}

std::string bytes(std::initializer_list<std::uint8_t> values) {
  return {values.begin(), values.end()};
}

std::string text_of(Bytes part) {
  return {reinterpret_cast<const char*>(part.data()), part.size()};
}

bool equal_caseless(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return low(x) == low(y);
  });
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// Names are printable: nothing of a name reaches a log or a header that is not.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

SocksRequest::Fed SocksRequest::feed(Bytes bytes) {
  Fed out;
  while (out.state == State::more && out.consumed < bytes.size()) {
    const Bytes rest = bytes.subspan(out.consumed);
    const std::size_t room = std::min(rest.size(), held_.size() - size_);
    const std::size_t before = size_;
    std::memcpy(held_.data() + size_, rest.data(), room);
    size_ += room;
    Outcome done = step(Bytes(held_).first(size_));
    out.state = done.state;
    out.reply += done.reply;
    if (done.complete) {
      // What was held before had no end of a step in it.
      out.consumed += done.state == State::refused ? room : done.used - before;
      size_ = 0;
    } else {
      out.consumed += room;
      if (size_ == held_.size()) out.state = State::refused;  // step() has no end within its bound
    }
  }
  return out;
}

SocksRequest::Outcome SocksRequest::step(Bytes step) {
  if (step_ == Step::first) {
    const auto first = static_cast<std::uint8_t>(step[0]);
    if (first == kVersion) {
      step_ = Step::methods;
    } else if (first >= 'A' && first <= 'Z') {
      step_ = Step::http;
    } else if (first == 4) {
      return refusal(bytes({0, 0x5b, 0, 0, 0, 0, 0, 0}));  // SOCKS 4: refused
    } else {
      return refusal({});
    }
  }
  switch (step_) {
    case Step::first:
      break;
    case Step::methods:
      return methods(step);
    case Step::password:
      return password(step);
    case Step::request:
      return request(step);
    case Step::http:
      return http({reinterpret_cast<const char*>(step.data()), step.size()});
  }
  return refusal({});
}

SocksRequest::Outcome SocksRequest::methods(Bytes step) {
  ByteReader in(step.subspan(1));
  const std::uint8_t count = in.u8();
  const Bytes offered = in.take(count);
  if (!in.ok()) return {};
  const auto has = [&](std::uint8_t method) {
    return std::ranges::find(offered, static_cast<std::byte>(method)) != offered.end();
  };
  const std::uint8_t chosen = has(kUserPassword)       ? kUserPassword
                              : has(kNoAuthentication) ? kNoAuthentication
                                                       : kNoMethod;
  if (chosen == kNoMethod) return refusal(bytes({kVersion, kNoMethod}));
  step_ = chosen == kUserPassword ? Step::password : Step::request;
  return {State::more, true, std::size_t{2} + count, bytes({kVersion, chosen})};
}

SocksRequest::Outcome SocksRequest::password(Bytes step) {
  ByteReader in(step);
  if (in.u8() != kPasswordVersion) return refusal(bytes({kPasswordVersion, 1}));
  const Bytes user = in.take(in.u8());
  const Bytes secret = in.take(in.u8());
  if (!in.ok()) return {};
  // Both are any bytes: where the first ends is said, or two could be one.
  credentials_ =
      "socks" + std::string(1, static_cast<char>(user.size())) + text_of(user) + text_of(secret);
  step_ = Step::request;
  return {State::more, true, 3 + user.size() + secret.size(), bytes({kPasswordVersion, 0})};
}

SocksRequest::Outcome SocksRequest::request(Bytes step) {
  ByteReader in(step);
  const std::uint8_t version = in.u8(), command = in.u8();
  in.u8();  // reserved
  const std::uint8_t type = in.u8();
  if (version != kVersion) return refusal(socks_answer(kGeneralFailure));
  if (!in.ok()) return {};
  if (command != kConnect) return refusal(socks_answer(kNoCommand));
  if (type != kDomain) return refusal(socks_answer(kNoAddressType));
  const Bytes name = in.take(in.u8());
  const std::uint16_t port = in.u16();
  if (!in.ok()) return {};
  name_ = text_of(name);
  port_ = port;
  if (!is_name(name_)) return refusal(socks_answer(kGeneralFailure));
  return {State::asked, true, 7 + name.size(), {}};
}

SocksRequest::Outcome SocksRequest::http(std::string_view text) {
  constexpr std::string_view kMethod = "CONNECT ";
  constexpr std::string_view kEnd = "\r\n\r\n", kLine = "\r\n";
  // As soon as it shows, or the answer would depend on the pieces in which it came.
  if (text.substr(0, kMethod.size()) != kMethod.substr(0, text.size())) {
    return refusal(http_answer({405, "Method Not Allowed", "this proxy has CONNECT only"}));
  }
  const std::size_t end = text.find(kEnd);
  if (end == std::string_view::npos) {
    if (text.size() < kStepBytesMax) return {};
    return refusal(http_answer({431, "Request Header Fields Too Large", "at most 600 bytes"}));
  }
  const std::size_t used = end + kEnd.size();
  std::string_view fields = text.substr(0, end + kLine.size());
  const std::string_view line = fields.substr(0, fields.find(kLine));
  fields.remove_prefix(line.size() + kLine.size());
  while (!fields.empty()) {
    const std::string_view field = fields.substr(0, fields.find(kLine));
    fields.remove_prefix(field.size() + kLine.size());
    const std::size_t colon = std::min(field.find(':'), field.size());
    if (equal_caseless(field.substr(0, colon), "proxy-authorization")) {
      credentials_ = "http" + std::string(field.substr(std::min(colon + 1, field.size())));
    }
  }
  return http_line(line, used);
}

/// CONNECT name:port HTTP/1.1
SocksRequest::Outcome SocksRequest::http_line(std::string_view line, std::size_t used) {
  line.remove_prefix(std::min(line.find(' ') + 1, line.size()));
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view target = line.substr(0, space);
  const std::size_t colon = target.rfind(':');
  const auto port =
      colon == std::string_view::npos ? std::nullopt : port_of(target.substr(colon + 1));
  // To the end of the line: a field that hides there, behind a bare line feed, is none that counts.
  const std::string_view version = line.substr(space);
  const bool known = version == " HTTP/1.1" || version == " HTTP/1.0";
  if (!known || !port || !is_name(target.substr(0, colon))) {
    return refusal(http_answer({400, "Bad Request", "CONNECT takes NAME:PORT"}));
  }
  name_ = target.substr(0, colon);
  port_ = *port;
  return {State::asked, true, used, {}};
}

std::string SocksRequest::socks_answer(std::uint8_t code) const {
  return bytes({kVersion, code, 0, 1, 0, 0, 0, 0, 0, 0});  // bound to an address that is none
}

std::string SocksRequest::answer(Verdict verdict) const {
  if (step_ != Step::http) return socks_answer(code_of(verdict));
  if (verdict == Verdict::open) return "HTTP/1.1 200 OK\r\n\r\n";
  return http_answer(status_of(verdict));
}

}  // namespace qudag::gateway
