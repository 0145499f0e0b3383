// Names of the priorities and outcomes of include/qudag/message.h, and ids as text.
#include <qudag/message.h>

namespace qudag {

std::string_view name_of(Priority c) noexcept {
  switch (c) {
    case Priority::high:
      return "high";
    case Priority::normal:
      return "normal";
    case Priority::low:
      return "low";
  }
  return "unknown";
}

Result<Priority> parse_priority(std::string_view text) {
  for (const Priority c : {Priority::high, Priority::normal, Priority::low}) {
    if (text == name_of(c)) return c;
  }
  return fail(Errc::invalid_argument, "priority is high, normal or low");
}

std::string_view name_of(Outcome o) noexcept {
  switch (o) {
    case Outcome::delivered:
      return "delivered";
    case Outcome::expired:
      return "expired";
    case Outcome::refused:
      return "refused";
    case Outcome::failed:
      return "failed";
    case Outcome::stored:
      return "stored";
  }
  return "unknown";
}

std::string_view name_of(IfAway how) noexcept {
  switch (how) {
    case IfAway::store:
      return "store";
    case IfAway::wait:
      return "wait";
    case IfAway::refuse:
      return "refuse";
  }
  return "unknown";
}

Result<IfAway> parse_if_away(std::string_view text) {
  for (const IfAway how : {IfAway::store, IfAway::wait, IfAway::refuse}) {
    if (text == name_of(how)) return how;
  }
  return fail(Errc::invalid_argument, "if away: store, wait or refuse");
}

std::string MessageId::to_string() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(kTextSize);
  for (const std::byte b : bytes) {
    out += kDigits[std::to_integer<std::size_t>(b >> 4)];
    out += kDigits[std::to_integer<std::size_t>(b & std::byte{15})];
  }
  return out;
}

Result<MessageId> MessageId::parse(std::string_view text) {
  const auto wrong = [] { return fail(Errc::malformed, "a message id is 32 hexadecimal digits"); };
  if (text.size() != kTextSize) return wrong();
  MessageId out;
  for (std::size_t i = 0; i < kTextSize; ++i) {
    const char c = text[i];
    unsigned value = 0;
    if (c >= '0' && c <= '9') {
      value = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = static_cast<unsigned>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      value = static_cast<unsigned>(c - 'A' + 10);
    } else {
      return wrong();
    }
    out.bytes[i / 2] = out.bytes[i / 2] << 4 | static_cast<std::byte>(value);
  }
  return out;
}

}  // namespace qudag
