// Text forms of ids and addresses. Each parser checks length and alphabet first, so nothing that
// comes from outside reaches inet_pton() but the characters of a numeric address.
#include "base/base32.h"

#include <qudag/address.h>

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace qudag {
namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t kNameMax = 253;  // RFC 1035, 2.3.4, as text without the last dot
constexpr std::size_t kLabelMax = 63;
constexpr std::size_t kPeerTextMax = NodeId::kTextSize + 1 + kNameMax + 1 + 5;
constexpr std::array<std::uint8_t, 12> kV4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/// Decimal, 0 to 65535, no sign, no leading zeros: one text per port.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

bool only(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}

}  // namespace

// ---- base32.h -----------------------------------------------------------------------------------

std::optional<unsigned> base32_value(char c) {
  if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::size_t at = kAlphabet.find(c);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(at);
}

std::string base32_text(Bytes bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  unsigned held = 0;  // bits not written yet, at the low end
  unsigned count = 0;
  for (const std::byte b : bytes) {
    held = (held << 8) | std::to_integer<unsigned>(b);
    count += 8;
    while (count >= 5) {
      count -= 5;
      out += kAlphabet[(held >> count) & 31];
    }
    held &= (1u << count) - 1;
  }
  if (count > 0) out += kAlphabet[(held << (5 - count)) & 31];
  return out;
}

std::optional<std::vector<std::byte>> parse_base32(std::string_view text) {
  std::vector<std::byte> out;
  out.reserve(text.size() * 5 / 8);
  unsigned held = 0;
  unsigned count = 0;
  for (const char c : text) {
    const auto value = base32_value(c);
    if (!value) return std::nullopt;
    held = (held << 5) | *value;
    count += 5;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<std::byte>((held >> count) & 0xff));
      held &= (1u << count) - 1;
    }
  }
  // Five spare bits or more would be a character that says nothing.
  if (held != 0 || count >= 5) return std::nullopt;
  return out;
}

// ---- NodeId -------------------------------------------------------------------------------------

std::string NodeId::to_string() const { return base32_text(bytes); }

Result<NodeId> NodeId::parse(std::string_view text) {
  if (text.size() != kTextSize) return fail(Errc::malformed, "an id has 52 characters");
  const auto raw = parse_base32(text);
  if (!raw) {
    const bool base32 =
        std::ranges::all_of(text, [](char c) { return base32_value(c).has_value(); });
    return fail(Errc::malformed,
                base32 ? "the spare bits of an id are zero" : "an id is base32: a-z and 2-7");
  }
  NodeId id;
  std::ranges::copy(*raw, id.bytes.begin());
  return id;
}

// ---- SocketAddress ------------------------------------------------------------------------------

bool SocketAddress::is_v4() const noexcept {
  return std::equal(kV4Prefix.begin(), kV4Prefix.end(), ip.begin());
}

SocketAddress SocketAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                                std::uint16_t port) noexcept {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, port};
}

std::string SocketAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    inet_ntop(AF_INET, ip.data() + kV4Prefix.size(), text, sizeof text);
    return std::string(text) + ":" + std::to_string(port);
  }
  inet_ntop(AF_INET6, ip.data(), text, sizeof text);
  return "[" + std::string(text) + "]:" + std::to_string(port);
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto malformed = [] {
    return fail(Errc::malformed, "an address is 192.0.2.1:4433 or [2001:db8::1]:4433");
  };
  if (text.size() > INET6_ADDRSTRLEN + 8) return malformed();
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed();
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return malformed();

  SocketAddress out;
  out.port = *port;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return malformed();
    host = host.substr(1, host.size() - 2);
    if (!only(host, "0123456789abcdefABCDEF:.")) return malformed();
    if (inet_pton(AF_INET6, std::string(host).c_str(), out.ip.data()) != 1) return malformed();
    return out;
  }
  if (!only(host, "0123456789.")) return malformed();
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), out.ip.begin());
  if (inet_pton(AF_INET, std::string(host).c_str(), out.ip.data() + kV4Prefix.size()) != 1) {
    return malformed();
  }
  return out;
}

// ---- PeerAddress --------------------------------------------------------------------------------

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A host's name (RFC 1123, 2.1), with '_' as many have it. The last label has a letter: what has
/// none is an address that somebody mistyped.
bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > kNameMax) return false;
  bool letter = false;
  std::size_t label = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (label == 0 || text[i - 1] == '-') return false;
      label = 0;
      letter = false;
      continue;
    }
    if (!is_letter(c) && !is_digit(c) && c != '_' && (c != '-' || label == 0)) return false;
    letter = letter || is_letter(c);
    if (++label > kLabelMax) return false;
  }
  return letter && text.back() != '-';
}

}  // namespace

std::string PeerAddress::to_string() const {
  const std::string where = name.empty() ? at.to_string() : name + ":" + std::to_string(at.port);
  return id.to_string() + "@" + where;
}

Result<PeerAddress> PeerAddress::parse(std::string_view text) {
  if (text.size() <= NodeId::kTextSize || text.size() > kPeerTextMax ||
      text[NodeId::kTextSize] != '@') {
    return fail(Errc::malformed,
                "a peer is id@address:port or id@name:port with an id of 52 characters");
  }
  auto id = NodeId::parse(text.substr(0, NodeId::kTextSize));
  if (!id) return std::unexpected(std::move(id.error()));
  const std::string_view where = text.substr(NodeId::kTextSize + 1);
  auto at = SocketAddress::parse(where);
  if (at) return PeerAddress{*id, *at};
  const std::size_t colon = where.rfind(':');
  if (colon == std::string_view::npos) return std::unexpected(std::move(at.error()));
  const auto port = parse_port(where.substr(colon + 1));
  if (!port || !is_host_name(where.substr(0, colon))) return std::unexpected(std::move(at.error()));
  return PeerAddress{*id, {.ip = {}, .port = *port}, std::string(where.substr(0, colon))};
}

}  // namespace qudag
